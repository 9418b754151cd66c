"""
How a process ends: one SIGTERM, from the handler to the death.

1. The handler (`end_by`) notes the signal, starts the *ender* and raises SystemExit, so that the
   main thread unwinds. A process that ends by itself begins with 2.
2. The hook that runs before Python joins the threads (`_hook`) says that the main thread has ended,
   and starts the ender if nothing has. It also starts a small non-daemon thread that waits for the
   ender, and which the interpreter joins like any other.
3. The ender (`_end`) waits for the main thread, runs the items of negative order, waits for the
   other threads, runs the rest, and makes the main thread leave a join that would last for ever
   (`_finish`).
4. The exit function (`_at_exit`) waits for the ender; if the signal was ours, it runs the other
   exit functions and dies of the signal.

All state of the module is one `Process`, which a forked child begins anew. Handlers and hooks
cannot be taken out of a child, so each of them asks first whether there is anything to do.

The hook is `threading._register_atexit`: private, but in every Python since 3.9. Without it the
exit function does what the hook does. Not done, because it hangs on 3.15: to mark a stuck thread as
joined. Python up to 3.12 keeps a set of the locks that it is going to wait for, and the hook takes
the registered threads out of it: leaving the join would cost a child of multiprocessing its exit
code there, and where no thread can be started (3.12.1 after the main thread's end, a process limit)
it is the exit function, after the join, that has to stop them.
"""

import _thread
import atexit
import os
import sys
import threading
from time import monotonic, sleep

from graceexit import _signals
from graceexit._items import place, seconds, target_of
from graceexit._latch import Bell, Latch
from graceexit._registry import ERROR, WARNING, Registry
from graceexit._runner import NEVER, is_main_interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import EllipsisType, FrameType

    from graceexit._report import Report
    from graceexit._runner import Outcome

DEBUG, INFO = 10, 20  # levels of logging
LINGER = 5.0  # seconds that items wait for the rest of a program that is being ended
PATIENCE = 5.0  # seconds after which a program that ends by itself is told what it waits for
SAME_PRESS = 0.5  # seconds within which Ctrl-C pressed again is the same press
NUDGE = 1.0  # seconds after which a main thread that joins looks for signals that it has missed
LEAVING = 1.0  # seconds for the main thread to leave the join
EXIT_FUNCTIONS = 5.0  # seconds for the exit functions of a process that would be dead without us
FLUSHING = 1.0  # seconds for the log, and for the standard streams


class Process:
    """What this process knows of its own end."""

    def __init__(
        self, *, clock: "Callable[[], float]" = monotonic, end: "Callable[[int], None]" = os._exit
    ) -> None:
        self._clock = clock
        self._exit = end
        self.registry = Registry()
        self.exiting = Latch()
        self._handlers = _signals.Handlers(self)
        self._hooked = False  # the hooks are in place; they cannot be taken out again
        self._set_installed(yes=False)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget everything about an exit: a new process, or a new test."""
        self.exiting.clear()
        self._begun = False  # the exit has begun: the main thread's code is over
        self._quiet = False  # our handler must not raise
        self._our_signal: int | None = None  # the signal to die of
        self._ending_since: float | None = None  # when the process began to be ended, not to end
        self._deadline: float | None = None  # when the grace is over
        self._pressed = 0.0  # when the last Ctrl-C came that counted
        self._warned = False  # Ctrl-C has been pressed once
        self._waiting = False  # the ender waits for the rest of the program
        self._joining = False  # a thread joins the others and rings the bell
        self._inline = False  # there is no ender, for no thread can be started
        self._leaving = False  # the main thread is to leave its join
        self._in_hook = False  # it is not in the join yet
        self._to_start = threading.Lock()  # taken by whoever starts the ender
        self._bell = Bell()  # wakes the ender
        self._main_ended = Latch()
        self._over = Latch()  # the items have been run
        self._exit_functions = Latch()  # they have begun
        self._finished = Latch()  # they have ended
        self._waiter: threading.Thread | None = None
        self._taken_out: set[int] = set()  # ids of threads that are not joined at the end
        self._outcomes: list[Outcome] = []
        self._said_at = 0.0  # when the log said that the exit begins
        self._dropped = 0  # registrations that belong to the parent

    # Install and uninstall.

    def install(
        self,
        *,
        grace: "float | EllipsisType | None" = ...,
        linger: "float | EllipsisType | None" = ...,
        signals: "Iterable[int] | EllipsisType" = ...,
    ) -> None:
        """
        Install the handlers and hooks, or change how they work. The first `register` does it too.

        Each call applies what it is given, keeps the rest, and goes in front of a handler that a
        server has installed meanwhile. Off the main thread and in a subinterpreter handlers cannot
        be set; there the hooks do the work.

        Args:
            grace: Seconds after which the process is gone, whatever hangs, counted from the signal.
                None, the default unless the variable GRACEEXIT_GRACE gives them, for no limit.
            linger: Seconds (5.0) that items wait for the rest of the program once the process is
                being ended; zero for not at all, None for no limit.
            signals: What ends the process: SIGTERM and SIGINT, on Windows SIGBREAK too.

        Raises:
            TypeError: An argument is of the wrong kind.
            ValueError: A number is out of range, or no handler can be set for a signal.
        """
        if grace is ...:
            grace = self._grace if self.is_live() else grace_of_environment()
        grace = seconds(grace, "grace")
        linger = self._linger if linger is ... else seconds(linger, "linger", zero=True)
        if signals is ...:
            signals = self._handlers.signals or _signals.DEFAULT
        signals = _signals.checked(signals)
        self._set_installed(yes=True, grace=grace, linger=linger)
        # Now, so that nothing needs to be found and read when the end has come.
        import graceexit._report  # noqa: F401

        if grace is not None:
            import faulthandler  # noqa: F401
        if not self._hooked:
            self._hooked = True
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(
                    before=self._disarm,
                    after_in_parent=self._arm,
                    after_in_child=self._after_fork,
                )
            try:
                threading._register_atexit(self._hook)  # type: ignore[attr-defined]
            except (AttributeError, RuntimeError):
                pass  # the exit function does it all; RuntimeError: the hooks are running already
        self._be_first()
        self._handlers.install(signals)

    def uninstall(self) -> None:
        """
        Put back what `install` has changed: handlers, `signal.raise_signal`, hooks and settings.

        For test suites and notebooks; call it on the main thread. A handler that somebody has gone
        in front of only passes the signal on from now. Items stay registered, and the next
        `register` or `install` installs anew. A second call changes nothing.
        """
        self._set_installed(yes=False)
        self._handlers.uninstall()
        atexit.unregister(self._at_exit)
        self._begin_anew()

    def is_live(self) -> bool:
        """Return whether this process has installed anything."""
        return self._installed

    def _set_installed(
        self, *, yes: bool, grace: float | None = None, linger: float | None = LINGER
    ) -> None:
        self._installed = yes
        self._grace = grace
        self._linger = linger
        self.registry._attend = None if yes else self._attend

    def _attend(self) -> None:
        """See to a registration that comes before `install` or during the exit."""
        if self._begun:
            self._start_ender()
            self._bell.ring()
        else:
            self.install()

    def _be_first(self) -> None:
        """Be the exit function that was registered last, for that one runs first."""
        if not self._exit_functions.is_set():
            atexit.unregister(self._at_exit)
            atexit.register(self._at_exit)

    # Signals: all of this runs on the main thread, between any two instructions of it.

    def notice(self, signum: int) -> None:
        """Note that the end has been asked for."""
        if self.exiting.signum is None:
            self.exiting.signum = signum
            self.exiting.set()
            if self._grace is not None:
                self._set_deadline()
                self._start_ender()

    def end_by(self, signum: int, frame: "FrameType | None") -> None:
        """Do what the default action would do, after the clean-up."""
        if self._our_signal is not None:
            return
        self._ending_since = self._clock()
        self._our_signal = signum
        self._be_first()
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
            self.leave(signum, frame)

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
            run = self.registry._run
            running = run.in_progress() if run is not None and not self._waiting else self._others()
            names = ", ".join(one.name for one in running)
            self._last_words(f"Ctrl-C: ended at once; still running: {names or 'nothing'}\n")
            _signals.die(signum)

    def leave(self, signum: int, frame: "FrameType | None") -> None:  # noqa: ARG002
        """Make the main thread leave the join, if that is asked for."""
        too_early = self._in_hook or self.registry._is_running()
        if self._leaving and not too_early and not self._exit_functions.is_set():
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
            self._quiet = self._begun

    # The hook and the exit function, on the main thread.

    def _hook(self) -> None:
        """Begin the exit; an error must not get out, for it would skip other hooks; do not wait."""
        self._in_hook = True
        try:
            self._begin()
            if self._to_start.locked() and self._waiter is None:  # there is an ender
                self._waiter = threading.Thread(target=self._over.wait, name="graceexit")
                self._waiter.daemon = False
                self._waiter.start()
        except RuntimeError:
            # No thread can be started, but the ender is at work. The exit function waits for it; in
            # a child, where there may be none, wait here.
            if in_child():
                self._over.wait()
        except BaseException as error:  # a handler may raise here, and other hooks must run
            self._say_error(error)
        self._in_hook = False
        self.leave(0, None)  # that was asked for meanwhile

    def _begin(self) -> None:
        """Begin the exit: the main thread's code is over."""
        if self._begun or not (self._installed or self._dropped):
            return
        self._quiet = self._begun = True
        self._pressed = self._clock()
        if self._ending_since is None and (self.exiting.signum is not None or in_child()):
            self._ending_since = self._pressed
        self.exiting.set()
        self._main_ended.set()
        self.registry._attend = self._attend
        self._say_dropped()
        if self.registry or self.registry._left or self._our_signal is not None:
            self._set_deadline()
            self._be_first()
            self._handlers.take_over()
            self._bell.ring()
            self._take_out_of_the_join()
            if not self._start_ender():
                self._begin_inline()

    def _take_out_of_the_join(self) -> None:
        """Have Python up to 3.12 not wait for the threads that the ender waits for."""
        locks: set[object] = getattr(threading, "_shutdown_locks", set())
        for item in list(self.registry._items):
            lock = getattr(item.subject, "_tstate_lock", None)
            if lock in locks:  # pragma: no cover - up to 3.12
                locks.discard(lock)
                self._taken_out.add(id(item.subject))

    def _begin_inline(self) -> None:
        """Begin the exit where no thread can be started: everything happens on the main thread."""
        self._inline = True
        self._say_begin()
        self._run(before=0)
        if in_child():  # no exit function may come
            self._wait(self._others_ended)
            self._run()
        # From 3.13 on the threads must end before the join.
        elif not hasattr(threading, "_shutdown_locks"):  # pragma: no branch - else up to 3.12
            self._run()
        self._waiting = True

    def _at_exit(self) -> None:
        """Wait for the ender, run what is left, and die of the signal if it was ours."""
        self._exit_functions.set()
        self._begin()
        self._bell.ring()
        while self._to_start.locked() and not self._over.is_set():  # there is an ender
            try:
                self._over.wait()
            except BaseException:  # noqa: S112
                continue  # somebody's handler has raised, and nothing is left to unwind
        self._waiting = False
        if self.registry:
            self._run()
        if self._inline:
            self._say_end()
        self._handlers.give_back()
        if self._our_signal is not None:
            atexit.unregister(self._at_exit)
            try:
                atexit._run_exitfuncs()
            finally:  # somebody's handler may raise at any moment
                self._finished.set()
                self._die(self._our_signal)
        self._handlers.uninstall()

    # The ender.

    def _start_ender(self) -> bool:
        """Start the ender unless somebody has; return whether there is one."""
        if not is_main_interpreter():
            return False  # pragma: no cover - a subinterpreter cannot be measured
        if self._to_start.acquire(blocking=False):
            try:
                _thread.start_new_thread(self._end, ())
            except RuntimeError:
                self._to_start.release()
                return False
        return True

    def _end(self) -> None:
        """End the process: the body of the one thread that does."""
        try:
            self._say_begin()
            self._wait(self._main_ended.is_set)
            self._run(before=0)
            self._wait(self._others_ended)
            self._run()
            self._say_end()
        except BaseException as error:  # whatever it is, the process must end
            self._say_error(error)
        finally:
            self._finish()

    def _wait(self, done: "Callable[[], bool]") -> None:
        """Wait until *done()*, for as long as the rest of the program may take."""
        warn_at = self._clock() + PATIENCE
        noticed = False  # Ctrl-C has been answered
        self._waiting = True
        while not done():
            left = self._patience()
            if left <= 0:
                break
            until_warning = max(warn_at - self._clock(), 0.0)
            if self._warned and not noticed:
                noticed = True
                self._say_waiting(
                    f"Ctrl-C: at most {left:.1f} s more for", "press again to end now"
                )
            elif left == NEVER and until_warning == 0:
                warn_at = NEVER
                self._say_waiting(
                    "the exit waits for",
                    "register the thread, or close its owner with on_exit(..., order=-1), or end"
                    " the process by a signal (linger)",
                )
            limit = min(left, until_warning) if until_warning > 0 else left
            if not self._bell.wait(min(limit, NUDGE)) and self._main_ended.is_set():
                # A signal that another thread has taken does not wake a thread that joins.
                _signals.interrupt_main(_signals.SIGURG)
        self._waiting = False

    def _patience(self) -> float:
        """Return the seconds that the rest of the program still has."""
        if self._our_signal is not None and in_child():
            return 0.0
        end = NEVER
        if self._ending_since is not None and self._linger is not None:
            end = self._ending_since + self._linger
        if self._deadline is not None and self._grace is not None:
            end = min(end, self._deadline - self._grace / 2)
        return end - self._clock()

    def _others(self) -> list[threading.Thread]:
        """Return the threads that Python waits for and that are nobody's to stop."""
        known = [item.subject for item in [*self.registry._items, *self.registry._left]]
        ids = {id(thread) for thread in [*known, self._waiter]}
        return [thread for thread in joined_at_exit() if id(thread) not in ids]

    def _others_ended(self) -> bool:
        """Return whether they have ended; if not, see to it that the bell rings when they do."""
        if not self._others():
            return True
        if not self._joining:
            self._joining = True
            try:
                _thread.start_new_thread(self._join_others, ())
            except RuntimeError:
                self._joining = False
                left = self._patience()
                self._join_one(None if left == NEVER else left)
        return False

    def _join_others(self) -> None:
        """Join the others one by one, those too that are started meanwhile."""
        while self._others():
            self._join_one(None)
        self._bell.ring()

    def _join_one(self, timeout: float | None) -> None:
        """Join one of the others and ring the bell."""
        for thread in self._others()[:1]:
            try:
                thread.join(timeout)
            except RuntimeError:  # it is being started at this moment
                sleep(0.001)
        self._bell.ring()

    def _finish(self) -> None:
        """End what is left to end, once the items have been run."""
        if self._our_signal is not None and (in_child() or not self._main_ended.is_set()):
            self._die(self._our_signal)
        self._be_first()
        self._over.set()
        # A signal may still come that leaves the threads behind which the interpreter waits for.
        while not self._exit_functions.is_set() and (left := self._until_leaving()) > 0:
            self._bell.wait(None if left == NEVER else left)
        self._leaving = True
        give_up = self._clock() + LEAVING
        while not self._exit_functions.is_set():
            if self._clock() >= give_up or not _signals.interrupt_main(_signals.SIGURG):
                self._end_now()
            self._exit_functions.wait(0.05)
        # Exit functions may wait for ever for what a thread holds that was left behind.
        must_end = self._our_signal is not None or self.registry._left
        if must_end and not self._finished.wait(EXIT_FUNCTIONS):
            self._end_now()

    def _until_leaving(self) -> float:
        """Return the seconds after which the main thread is to leave what it waits for."""
        if not self._main_ended.is_set():
            return NEVER
        waited_for = {id(thread) for thread in joined_at_exit()} - self._taken_out
        if self._our_signal is not None:
            # Where there is no thread to wait for, the hook of somebody else may be at work.
            return 0.0 if waited_for - {id(self._waiter)} else self._patience()
        left = {id(item.subject) for item in self.registry._left}
        return 0.0 if waited_for & left and self._others_ended() else NEVER

    def _end_now(self) -> None:
        """End the process from here."""
        if self._our_signal is not None:
            self._die(self._our_signal)
        self._last_words("")
        self._exit(1)

    def _die(self, signum: int) -> None:
        """Die of *signum*, after what was printed has gone out."""
        try:
            _signals.ignore_interrupt()
            self._last_words("")
        finally:
            _signals.die(signum, end=self._exit)

    # Running, and saying so.

    def _run(self, before: float = NEVER) -> None:
        self._outcomes = self.registry._advance(before, self._deadline)

    def shutdown(self) -> "Report":
        """
        Run every item now, whatever its order, without waiting for other threads.

        For a process whose end nothing announces, such as a job that ends by `os._exit`, and for a
        server's own shutdown event: `await asyncio.to_thread(graceexit.shutdown)`. It sets
        `exiting`. A second call, from any thread, waits for the first and finds nothing left; a
        call from inside an item returns at once. Afterwards the registry is empty and open: what
        is registered later is run later.

        Returns:
            What was run, and how it went.
        """
        self.exiting.set()
        report = self.registry.run()
        report.signum = self.exiting.signum
        return report

    def _say_begin(self) -> None:
        from graceexit._report import signal_name

        self._said_at = self._clock()
        signum = self.exiting.signum
        why = "the end of the program" if signum is None else signal_name(signum)
        self.registry._say(INFO, f"exit because of {why}: {len(self.registry)} to run")

    def _say_end(self) -> None:
        from graceexit._report import Report

        report = Report(self._outcomes, self.exiting.signum, self._clock() - self._said_at)
        self.registry._say(INFO, f"exit: {report.summary}")
        self._flush()

    def _say_dropped(self) -> None:
        if self._dropped:
            self.registry._say(
                DEBUG if in_child() else WARNING,
                f"{self._dropped} registrations of the parent process were not run in this fork of"
                " it; register in the child, or register callbacks with each_process=True",
            )
            self._flush()

    def _say_waiting(self, what: str, remedy: str) -> None:
        threads = self._others() if self._main_ended.is_set() else [threading.main_thread()]
        names = ", ".join(f"{thread.name} ({place(target_of(thread))})" for thread in threads)
        self.registry._say(WARNING, f"{what} {names}; {remedy}")

    def _say_error(self, error: BaseException) -> None:
        from graceexit._report import traceback_of

        self.registry._say(ERROR, f"the exit itself failed:\n{traceback_of(error)}")
        self._flush()

    def _flush(self) -> None:
        left = NEVER if self._deadline is None else self._deadline - self._clock()
        self.registry._flush(min(FLUSHING, left / 4))

    def _last_words(self, text: str) -> None:
        """Say what is left to say and flush the standard streams."""
        from graceexit._report import within, write

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
        if self._grace is not None and self._deadline is None:
            self._deadline = self._clock() + self._grace
            self._arm()

    def _arm(self) -> None:
        if self._deadline is not None:
            import faulthandler

            left = max(self._deadline - self._clock(), 0.001)
            faulthandler.dump_traceback_later(left, exit=True, file=2)

    def _disarm(self) -> None:
        """Cancel it before a fork, for an armed one makes the child hang as it ends."""
        if self._deadline is not None:
            import faulthandler

            faulthandler.cancel_dump_traceback_later()

    def _after_fork(self) -> None:
        """Begin anew in a forked child, with the callbacks that each process is to run."""
        self._handlers.give_back()
        items = self.registry._items
        kept = [item for item in items if item.each_process]
        dropped = self._dropped + len(items) - len(kept)
        items.clear()  # a run that was in progress in the parent finds nothing here
        self.registry._reset()
        self.registry._items.update(dict.fromkeys(kept, True))
        self._set_installed(
            yes=self._installed and bool(kept), grace=self._grace, linger=self._linger
        )
        self._begin_anew()
        self._dropped = dropped


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


def grace_of_environment() -> float | None:
    """Return the grace that the variable GRACEEXIT_GRACE gives, None if it does not."""
    text = os.environ.get("GRACEEXIT_GRACE", "").strip()
    try:
        return seconds(float(text), "GRACEEXIT_GRACE") if text else None
    except ValueError:
        raise ValueError(f"GRACEEXIT_GRACE must be seconds above zero; got {text!r}") from None


own = Process()
