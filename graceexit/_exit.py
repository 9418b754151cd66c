"""
How a process ends: one SIGTERM, from the handler to the death.

1. The handler (`end_by`) notes the signal, starts the *ender* and raises SystemExit, so that the
   main thread unwinds. A process that ends by itself begins with 2.
2. The hook that runs before Python joins the threads (`hook`) says that the main thread has ended,
   and starts the ender if nothing has. It also starts a small non-daemon thread that waits for the
   ender, and which the interpreter joins like any other.
3. The ender (`_end`) waits for the main thread, runs the items of negative order, waits for the
   other threads, runs the rest, and makes the main thread leave a join that would last for ever
   (`_finish`).
4. The exit function (`at_exit`) waits for the ender; if the signal was ours, it runs the other
   exit functions and dies of the signal.

The module is imported by `install`, not before: a process that registers nothing pays nothing. A
handler of somebody else may raise at any moment of what runs on the main thread, so that each step
there can be done again.

Not done, because it hangs on 3.15: to mark a stuck thread as joined. Python up to 3.12 keeps a set
of the locks that it is going to wait for, and the hook takes the registered threads out of it:
leaving the join would cost a child of multiprocessing its exit code there, and where no thread can
be started (3.12.1 after the main thread's end, a process limit) it is the exit function, after the
join, that has to stop them.
"""

import atexit
import os
import stat
import sys
import threading
from time import monotonic, sleep

from graceexit import _signals
from graceexit._items import NEVER, place, target_of
from graceexit._latch import LOOK, Bell, Latch, start_thread
from graceexit._report import (
    ERROR,
    INFO,
    WARNING,
    Report,
    signal_name,
    traceback_of,
    within,
    write,
)

try:
    import faulthandler
except ImportError:  # pragma: no cover - a subinterpreter, which cannot be measured, has none
    faulthandler = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from graceexit._process import Process
    from graceexit._runner import Outcome

PATIENCE = 5.0  # seconds after which a program that ends by itself is told what it waits for
SAME_PRESS = 0.5  # seconds within which Ctrl-C pressed again is the same press
ATTEMPTS = 5  # so often the exit tries to begin, each time after a handler has raised
# So often what the exit function waits for may raise: a handler, each time that it is called, or a
# broken hub of gevent, at once and for ever, which takes a second to do it so often.
RAISES = 100_000
LEAVING = 1.0  # seconds for the main thread to leave the join
EXIT_FUNCTIONS = 5.0  # seconds for the exit functions of a process that would be dead without us
RESERVE = 0.5  # seconds of the grace that are left for saying what happened, and for the death
STDERR = 2  # the file descriptor
FLUSHING = 1.0  # seconds for the log, and for the standard streams


class Exit:
    """The end of one process, from the first sign of it; a forked child has another one."""

    def __init__(
        self,
        process: "Process",
        *,
        clock: "Callable[[], float]" = monotonic,
        end: "Callable[[int], None]" = os._exit,
    ) -> None:
        self._clock = clock
        self._end_process = end
        self._process = process
        self._registry = process.registry
        self._exiting = process.exiting
        self._our_signal: int | None = None  # the signal to die of
        self._ending_since: float | None = None  # when the process began to be ended, not to end
        self._deadline: float | None = None  # when the grace is over
        self._stderr = STDERR  # where the last resort prints
        self._quiet = False  # our handler must not raise
        self._pressed = 0.0  # when the last Ctrl-C came that counted
        self._warned = False  # Ctrl-C has been pressed once
        self._waiting = False  # the ender waits for the rest of the program
        self._inline = False  # there is no ender, for no thread can be started
        self._in_hook = False  # the main thread is not in the join yet
        self._leaving = False  # it is to leave the join
        self._begun = False  # nothing is left to be done for the exit to begin
        self._dying = False  # the exit functions of others run, and then it dies of the signal
        self._abandoned = False  # somebody has uninstalled us: nothing is to be ended
        self._has_ender = False
        self._to_end = threading.Lock()  # taken by the ender, should two be started
        self._bell = Bell()  # wakes the ender
        self._main_ended = Latch()
        self._over = Latch()  # the items have been run
        self._exit_functions = Latch()  # they have begun
        self._finished = Latch()  # they have ended
        self._waiter: threading.Thread | None = None
        self._taken_out: set[int] = set()  # ids of threads that are not joined at the end
        self._outcomes: list[Outcome] = []
        self._said_at = 0.0  # when the log said that the exit begins

    def abandon(self) -> None:
        """End nothing: uninstalled."""
        self._abandoned = True
        self._main_ended.set()
        self._bell.ring()
        if self._stderr != STDERR:
            try:
                os.close(self._stderr)
            except OSError:  # the program has closed whatever was open
                pass

    # Signals: all of this runs on the main thread, between any two instructions of it.

    def notice(self, signum: int) -> None:
        """Note that the end has been asked for."""
        if self._exiting.signum is None:
            self._exiting.signum = signum
            self._exiting.set()
            if self._process.grace is not None:
                self._set_deadline()
                self._start_ender()

    def end_by(self, signum: int, frame: "FrameType | None") -> None:
        """Do what the default action would do, after the clean-up."""
        if self._our_signal is not None:
            return
        self._ending_since = self._clock()
        self._our_signal = signum
        has_ender = self._start_ender()
        self._bell.ring()
        if in_child():
            # Nothing unwinds there without us either, and a worker of a ProcessPoolExecutor would
            # hand the exception to its parent. The ender runs the items at once.
            if not has_ender:
                self._run()
                self._die(signum)
        elif not self._quiet and not is_shutting_down(frame):
            raise SystemExit(128 + signum)
        elif not has_ender:
            # Nobody else can make this thread leave the join that it may be in.
            self._leaving = True
            self.leave()

    def interrupt(self, signum: int, frame: "FrameType | None") -> None:
        """Ctrl-C during the exit: once is a notice, twice is a person who wants out."""
        now = self._clock()
        if self._waiting and not self._warned:
            self._warned = True
            self._pressed = now
            self.notice(signum)
            self.end_by(signum, frame)
        elif now - self._pressed >= SAME_PRESS:
            self._pressed = NEVER
            running = self._others() if self._waiting else self._registry._in_progress()
            names = ", ".join(one.name for one in running)
            self._last_words(f"Ctrl-C: ended at once; still running: {names or 'nothing'}\n")
            _signals.die(signum)

    def leave(self, *_: object) -> None:
        """Make the main thread leave the join, if that is asked for."""
        joining = self._begun and not self._in_hook and not self._exit_functions.is_set()
        if self._leaving and joining:
            hide(_signals.Leave)
            raise _signals.Leave

    def run_before_death(self, signum: int) -> None:
        """Run the items: the main thread is about to send itself a signal that kills it."""
        self._quiet = True
        self._pressed = self._clock()
        self.notice(signum)
        try:
            self._say_begin()
            self._run()
            self._say_end()
            self._last_words("")
        finally:
            self._quiet = self._main_ended.is_set()

    # The hook and the exit function, on the main thread.

    def hook(self) -> None:
        """
        Begin the exit, before Python joins the other threads.

        It does not wait, and no error gets out, for that would skip the hooks of others. What does
        get out leaves the join, if that has been asked for meanwhile.
        """
        self._in_hook = True
        try:
            self._begin()
            # If it did not come to begin, there is to be an ender all the same. A child that was
            # interrupted in its hooks may come here twice.
            wanted = self._has_ender or not self._begun
            if wanted and self._start_ender() and self._waiter is None:
                self._waiter = threading.Thread(target=self._accompany, name="graceexit")
                self._waiter.daemon = False
                try:
                    self._waiter.start()
                except RuntimeError:  # no thread can be started
                    if in_child():  # there may be no exit function that waits
                        self._over.wait()
        except BaseException as error:  # a handler may raise here, and other hooks must run
            self._say_error(error)
            self._begin()  # if that was between two attempts
        self._in_hook = False
        self.leave()

    def _begin(self) -> None:
        """Begin the exit, though somebody's handler may raise at any moment of it."""
        attempts = 0
        while not self._begun and attempts < ATTEMPTS:
            attempts += 1
            try:
                self._do_begin()
            except BaseException as error:
                self._say_error(error)

    def _do_begin(self) -> None:
        """Begin the exit: the main thread's code is over."""
        self._quiet = True
        self._pressed = self._clock()
        if self._ending_since is None and (self._exiting.signum is not None or in_child()):
            self._ending_since = self._pressed
        self._exiting.set()
        self._main_ended.set()
        self._registry._attend = self.attend
        self._set_deadline()
        if self._registry or self._registry._left or self._our_signal is not None:
            self._be_first()
            self._process.handlers.take_over(self)
            self._bell.ring()
            self._take_out_of_the_join()
            if not self._start_ender():
                self._begun = True
                self._begin_inline()
        else:
            self._process.handlers.allow_leaving(self)  # something may yet be registered
        self._begun = True

    def _be_first(self) -> None:
        """Have our exit function run before the other ones."""
        if not self._exit_functions.is_set():
            self._process.be_first()

    def attend(self) -> None:
        """See to a registration that comes during the exit."""
        self._start_ender()
        self._bell.ring()

    def _take_out_of_the_join(self) -> None:
        """Have Python up to 3.12 not wait for the threads that the ender waits for."""
        locks: set[object] = getattr(threading, "_shutdown_locks", set())
        for item in list(self._registry._items) if locks else ():
            # A callback may be anything, also something of which every attribute raises.
            lock = None if item.stop is None else getattr(item.subject, "_tstate_lock", None)
            if lock in locks:  # pragma: no cover - up to 3.12
                locks.discard(lock)
                self._taken_out.add(id(item.subject))

    def _begin_inline(self) -> None:
        """Begin the exit where no thread can be started: everything happens on the main thread."""
        self._inline = True
        self._say_begin()
        self._run(before=0)
        if in_child():  # no exit function may come
            self._wait(self._is_alone)
            self._run()
        # From 3.13 on the threads must end before the join.
        elif not hasattr(threading, "_shutdown_locks"):  # pragma: no branch - else up to 3.12
            self._run()
        self._waiting = True

    def _accompany(self) -> None:
        """Be what the interpreter joins; tell the ender when the other threads have ended."""
        while others := self._others():
            try:
                # As Python does, whatever the thread's class makes of it; it may yet be registered.
                threading.Thread.join(others[0], LOOK)
            except RuntimeError:  # it is being started at this moment
                sleep(0.001)
        self._bell.ring()
        self._over.wait()

    def at_exit(self) -> None:
        """Wait for the ender, run what is left, and die of the signal if it was ours."""
        if self._dying:
            return
        self._exit_functions.set()
        raised = 0
        while raised < RAISES:
            try:
                self._begin()
                self._bell.ring()
                self._process.handlers.take_over(self)  # Ctrl-C is ours, if it is not yet
                if self._has_ender:
                    self._over.wait()
                self._waiting = False
                if self._registry or self._registry._run:  # some left, or a run that was cut
                    self._run()
                if self._inline:
                    self._say_end()
                break
            except BaseException as error:  # somebody's handler, and nothing is left to unwind
                raised += 1
                if raised == RAISES:
                    self._say_error(error)
        if self._our_signal is not None:
            try:
                self._dying = True  # this function is one of those that run now
                atexit._run_exitfuncs()
            finally:  # somebody's handler may raise at any moment
                self._finished.set()
                self._die(self._our_signal)
        self._process.handlers.uninstall()

    # The ender.

    def _start_ender(self) -> bool:
        """Start the ender unless somebody has; return whether there is one."""
        if not self._has_ender and start_thread(self._end):
            self._has_ender = True
        return self._has_ender

    def _end(self) -> None:
        """End the process: the body of the one thread that does."""
        # A handler may start one while the hook does, or raise before it is noted.
        if not self._to_end.acquire(blocking=False):
            return
        self._has_ender = True
        try:
            self._say_begin()
            self._wait(self._main_ended.is_set)
            if self._abandoned:
                return
            self._run(before=0)
            self._wait(self._is_alone)
            self._run()
            self._say_end()
            if self._registry:  # something has been registered while that was said
                self._run()
        except BaseException as error:  # whatever it is, the process must end
            self._say_error(error)
        finally:
            if not self._abandoned:
                self._finish()

    def _wait(self, done: "Callable[[], bool]") -> None:
        """Wait until *done()*, for as long as the rest of the program may take."""
        warn_at = self._clock() + PATIENCE
        noticed = False  # Ctrl-C has been answered
        self._waiting = True
        while not done() and (left := self._patience()) > 0:
            now = self._clock()
            if self._warned and not noticed:
                noticed = True
                self._say_waiting(
                    f"Ctrl-C: at most {left:.1f} s more for", "press again to end now"
                )
            elif left == NEVER and now >= warn_at:
                warn_at = NEVER
                self._say_waiting(
                    "the exit waits for",
                    "register the thread, or close its owner with on_exit(..., order=-1), or end"
                    " the process by a signal (linger)",
                )
            if not self._bell.wait(min(left, LOOK)) and self._main_ended.is_set():
                # A signal that another thread has taken does not wake a thread that joins.
                _signals.interrupt_main(_signals.SIGURG)
        self._waiting = False

    def _patience(self) -> float:
        """Return the seconds that the rest of the program still has."""
        if self._our_signal is not None and in_child():
            return 0.0
        end = NEVER
        grace, linger = self._process.grace, self._process.linger
        if self._ending_since is not None and linger is not None:
            end = self._ending_since + linger
        if self._deadline is not None and grace is not None:
            end = min(end, self._deadline - grace / 2)
        return end - self._clock()

    def _others(self) -> list[threading.Thread]:
        """Return the threads that Python waits for and that are nobody's to stop."""
        ids = {id(item.subject) for item in self._registry._known()} | {id(self._waiter)}
        return [thread for thread in joined_at_exit() if id(thread) not in ids]

    def _is_alone(self) -> bool:
        return not self._others()

    def _finish(self) -> None:
        """End what is left to end, once the items have been run."""
        if self._our_signal is not None and (in_child() or not self._main_ended.is_set()):
            self._die(self._our_signal)
        self._be_first()
        self._over.set()
        # A signal may still come that leaves the threads behind which the interpreter waits for.
        while not self._exit_functions.is_set() and (left := self._until_leaving()) > 0:
            self._bell.wait(min(left, LOOK))
        if self._our_signal is not None and in_child():
            self._die(self._our_signal)
        self._leaving = True
        give_up = self._clock() + LEAVING
        while not self._exit_functions.is_set():
            if self._clock() >= give_up or not _signals.interrupt_main(_signals.SIGURG):
                self._end_now()
            self._exit_functions.wait(0.05)
        # Exit functions may wait for ever for what a thread holds that was left behind.
        must_end = self._our_signal is not None or self._registry._left
        left = NEVER if (limit := self._limit()) is None else limit - self._clock()
        if must_end and not self._finished.wait(min(EXIT_FUNCTIONS, left)):
            self._end_now()

    def _until_leaving(self) -> float:
        """Return the seconds after which the main thread is to leave what it waits for."""
        if not self._main_ended.is_set():
            return NEVER
        waited_for = {id(thread) for thread in joined_at_exit()} - self._taken_out
        if self._our_signal is not None:
            # Where there is no thread to wait for, the hook of somebody else may be at work.
            return 0.0 if waited_for - {id(self._waiter)} else self._patience()
        left = {id(item.subject) for item in self._registry._left}
        return 0.0 if waited_for & left and self._is_alone() else NEVER

    def _end_now(self) -> None:
        """End the process from here."""
        if self._our_signal is not None:
            self._die(self._our_signal)
        self._last_words("")
        self._end_process(1)

    def _die(self, signum: int) -> None:
        """Die of *signum*, after what was printed has gone out."""
        try:
            self._last_words("")
            if not _signals.is_main_thread():
                # Within a second, for the lock of the imports may be taken for ever.
                within(1.0, lambda: __import__("ctypes"))
        finally:
            _signals.die(signum, end=self._end_process)

    # Running, and saying so.

    def _run(self, before: float = NEVER) -> None:
        self._outcomes = self._registry._advance(before, self._limit())

    def _limit(self) -> float | None:
        """Return when everything has to be over, under grace."""
        if self._deadline is None or self._process.grace is None:
            return None
        return self._deadline - min(self._process.grace / 10, RESERVE)

    def _say_begin(self) -> None:
        self._said_at = self._clock()
        signum = self._exiting.signum
        why = "the end of the program" if signum is None else signal_name(signum)
        self._registry._say(INFO, f"exit because of {why}: {len(self._registry)} to run")

    def _say_end(self) -> None:
        report = Report(self._outcomes, self._exiting.signum, self._clock() - self._said_at)
        self._registry._say(INFO, f"exit: {report.summary}")
        self._flush()

    def _say_waiting(self, what: str, remedy: str) -> None:
        threads = self._others() if self._main_ended.is_set() else [threading.main_thread()]
        names = ", ".join(f"{thread.name} ({place(target_of(thread))})" for thread in threads)
        self._registry._say(WARNING, f"{what} {names}; {remedy}")

    def _say_error(self, error: BaseException) -> None:
        try:
            self._registry._say(ERROR, f"the exit itself failed:\n{traceback_of(error)}")
            self._flush()
        except BaseException:  # noqa: S110
            pass  # a handler may raise here as well

    def _flush(self) -> None:
        left = NEVER if self._deadline is None else self._deadline - self._clock()
        self._registry._flush(min(FLUSHING, left / 4))

    def _last_words(self, text: str) -> None:
        """Say what is left to say and flush the standard streams."""

        def speak() -> None:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (AttributeError, ValueError, OSError):
                    pass  # None, closed or broken
            write(text)

        self._flush()
        within(FLUSHING, speak)

    # The last resort: it needs no GIL, and exists under `grace` only.

    def _set_deadline(self) -> None:
        if self._process.grace is not None and self._deadline is None:
            self._stderr = stderr_that_takes_no_time()
            self._deadline = self._clock() + self._process.grace
            self.arm()

    def arm(self) -> None:
        """Have the process ended when the grace is over, if that is running."""
        if self._deadline is not None and faulthandler and not self._process.forking:
            left = max(self._deadline - self._clock(), 0.001)
            faulthandler.dump_traceback_later(left, exit=True, file=self._stderr)

    def disarm(self) -> None:
        """Cancel it before a fork, for an armed one makes the child hang as it ends."""
        if self._deadline is not None and faulthandler:
            faulthandler.cancel_dump_traceback_later()


def stderr_that_takes_no_time() -> int:
    """
    Return a descriptor of stderr that no full pipe can block, where there is such a one.

    Linux opens a pipe anew by its name there, so that what others write to it blocks as before.
    """
    try:
        if stat.S_ISFIFO(os.fstat(STDERR).st_mode):
            return os.open(f"/proc/self/fd/{STDERR}", os.O_WRONLY | os.O_NONBLOCK)
    except (AttributeError, OSError):  # Windows; it is closed; another user has opened it
        pass
    return STDERR


def joined_at_exit() -> list[threading.Thread]:
    """Return the threads that Python waits for at its end."""
    main = threading.main_thread()
    return [thread for thread in threading.enumerate() if not thread.daemon and thread is not main]


def in_child() -> bool:
    """Return whether multiprocessing has started this process."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def is_shutting_down(frame: "FrameType | None") -> bool:
    """Return whether *frame*, which a signal has interrupted, belongs to the interpreter's end."""
    while frame is not None:
        if frame.f_code.co_name == "_shutdown" and frame.f_globals is vars(threading):
            return True  # pragma: no cover - nothing here runs Python code from 3.13 on
        frame = frame.f_back
    return bool(getattr(threading, "_SHUTTING_DOWN", False))


def hide(exception: type[BaseException]) -> None:
    """Keep the interpreter from printing that it has ignored *exception*."""
    hook = sys.unraisablehook

    def quiet_hook(unraisable: "sys.UnraisableHookArgs", /) -> None:
        if unraisable.exc_type is not exception:
            hook(unraisable)

    sys.unraisablehook = quiet_hook
