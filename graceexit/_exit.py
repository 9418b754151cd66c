"""
How a process ends: one SIGTERM, from the handler to the death.

    phase     the main thread                      the ender, a thread of its own
    SERVING   end_by: notes the signal, starts
              the ender, and unwinds
    WAITING   unwinds; hook: "I have ended";       waits for the main thread, runs the items of
              runs the hooks of others, joins      negative order, waits for those hooks, for the
              the other threads; joined: waits     other threads and for the jobs of pools
    RUNNING   is in that join, or waits            runs the rest
    LEAVING   leaves the join; at_exit: runs the   closes what was held open; sees to it that the
              exit functions, and dies             main thread gets there, and that it takes no
                                                   longer than it may

A process that ends by itself begins with the hook. The ender is a raw thread, on which nobody's
signal handler runs, so that nothing there has to be done twice. The hook and the exit function run
on the main thread, where somebody's handler may raise between any two instructions; so both begin
with the same step, `_begin`, which may be done again, and what the one does not come to do the
other does.

The main thread waits for the ender where Python has joined the other threads. Not done, because it
hangs on 3.15: to mark a stuck thread as joined. Python up to 3.12 keeps a set of the
locks that it is going to wait for, and the hook takes the registered threads out of it: where no
thread can be started (3.12.1 after the main thread's end, a process limit) the items run after the
join, for the main thread has to have ended by then for whoever looks at that.
"""

import atexit
import os
import sys
import threading
from signal import SIGINT, getsignal
from time import sleep

from graceexit import _signals
from graceexit._executors import Executors, Jobs, workers
from graceexit._items import NEVER, is_running, place, target_of
from graceexit._latch import LOOK, Bell, Latch, start_thread, within
from graceexit._report import (
    Report,
    call_of,
    escaped,
    signal_name,
    stack_of,
    text_of,
    traceback_of,
)
from graceexit._unwinding import Unwinding, is_interrupted, is_under_way, stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from graceexit._account import Account
    from graceexit._items import Outcome
    from graceexit._limits import Limits
    from graceexit._registry import Registry

INFO, WARNING, ERROR = 20, 30, 40  # the levels of logging
SERVING, WAITING, RUNNING, LEAVING = "serving", "waiting", "running", "leaving"

PATIENCE = 5.0  # seconds after which a program that ends by itself is told what it waits for
SAME_PRESS = 0.5  # seconds within which Ctrl-C pressed again is the same press
STILL = 1.0  # seconds after which a KeyboardInterrupt that is still being handled is the end
# So often what the main thread does may raise: a handler, each time that it is called, or a broken
# hub of gevent, at once and for ever, which takes a second to do it so often.
RAISES = 10_000
TO_LEAVE = 1.0  # seconds for the main thread to leave the join
EXIT_FUNCTIONS = 5.0  # seconds for the exit functions of a process that would be dead without us
FLUSHING = 1.0  # seconds for the log
WRITING = 1.0  # seconds for the report that outlives the process
LOOKS = 0.05  # seconds between two looks at a thread that cannot be joined

REMEDIES = (
    "to have a thread stopped, write register(thread, stop=...); to tell its owner,"
    " on_exit(tell, order=-1); to give it longer, install(linger=...)"
)


class Leave(BaseException):
    """Raised in the main thread to make it leave a join that would last for ever."""


class Exit:
    """The end of one process, from the first sign of it; a forked child has another one."""

    def __init__(  # noqa: PLR0917  (it is made at one place)
        self,
        registry: "Registry",
        exiting: Latch,
        handlers: _signals.Handlers,
        limits: "Limits",
        executors: Executors,
        be_first: "Callable[[], None]",
        account: "Account | None" = None,
    ) -> None:
        self.limits = limits
        self.phase = SERVING
        self._registry = registry
        self._exiting = exiting
        self._handlers = handlers
        self._executors = executors
        self._account = account  # for the report that outlives the process
        self._be_first = be_first  # among the exit functions
        self._signum: int | None = None  # the signal to die of
        self._pressed = 0.0  # when the last Ctrl-C came that counted
        self._answer = False  # it is to be answered
        self._abandoned = False  # somebody has uninstalled us: nothing is to be ended
        self._has_complained = False  # that no report can be written
        self._dying = False  # the process is about to send itself a signal that kills it
        self._has_ender = False
        self._to_end = threading.Lock()  # taken by the ender, should two be started
        self._bell = Bell()  # wakes the ender
        self._unwinding = Unwinding(self._bell.ring, self._prepare, self._say_failed)
        self._jobs = Jobs(self._bell.ring)
        self._main_ended = Latch()
        self._hooks_over = Latch()  # those of others, which come before the join
        self._over = Latch()  # the items have been run
        self._joined = Latch()  # the main thread has left the join
        self._exit_functions = Latch()  # they have begun
        self._finished = Latch()  # they have ended
        self._cut: list[threading.Thread] = []  # who goes on though its time is over
        self._taken_out: set[int] = set()  # ids of threads that Python does not join at its end

    # SERVING: the handlers. They run on the main thread, between any two instructions of it.

    def notice(self, signum: int) -> None:
        """Note that the end has been asked for, whoever sees to it."""
        if self._exiting.signum is None:
            self._exiting.signum = signum
            self._exiting.set()
            self._note("noticed")
            if self.limits.grace is not None:
                self.limits.begin()
                self._start()

    def end_by(
        self, signum: int, frame: "FrameType | None", is_held: "Callable[[int], bool]"
    ) -> None:
        """Do what the default action would do, after the clean-up."""
        if self._dying:  # what it would do is being done
            return
        first = self._signum is None
        if first:
            self.limits.ask()
            self._signum = signum
        has_ender = self._start()
        # A hook that raises would skip the others. Python handles there what came between the
        # program's end and the first line of its own.
        if not (self._main_ended.is_set() or is_shutting_down(frame)):
            if first and not is_held(signum):
                self._unwinding.begin(signum, frame, getsignal(SIGINT))
        elif not has_ender and is_in_join(frame):  # nobody else makes this thread leave it
            hide(Leave)
            self.phase = LEAVING
            self.leave(signum, frame, None)

    def _prepare(self) -> None:
        """Let another thread make the main thread unwind once more."""
        self._handlers.put_for_leaving(self.leave)

    def leave_by(self, signum: int, frame: "FrameType | None", error: BaseException | None) -> None:
        """Unwind the main thread now, which had something in hand when *signum* came."""
        # What is raised now takes its place; that a generator is closed is no failure.
        if isinstance(error, Exception) and not is_under_way():
            self._say_failed(error, "what was in hand")
        if signum == SIGINT != self._signum:
            self._prepare()
            self._unwinding.interrupt()
        else:
            self._unwinding.begin(signum, frame, getsignal(SIGINT))

    def press(self, signum: int, *, held: bool) -> None:
        """Note Ctrl-C where Python's own handler goes on to raise KeyboardInterrupt."""
        if held:
            self._pressed = self.limits.clock()
            self.limits.ask()
            self.notice(signum)
            self._start()
        elif self.limits.grace is not None and self._exiting.signum is None:
            since = self.limits.clock()

            def look() -> None:
                # A program, such as a notebook, may go on after it.
                while is_interrupted(threading.main_thread().ident):
                    if self.limits.clock() >= since + STILL:
                        self.notice(signum)
                        return
                    sleep(LOOKS)

            def look_later() -> None:
                sleep(LOOKS)
                look()

            start_thread(look_later)

    # WAITING: the hook, on the main thread, before the hooks of others and the join.

    def hook(self) -> None:
        """
        Begin the exit.

        It does not wait, and no error gets out, for that would skip the hooks of others.
        """
        try:
            self._begin()
        except BaseException as error:  # perhaps somebody's handler
            self._begin()
            self._say_error(error)

    def _begin(self) -> None:
        """Begin the exit: the main thread's code is over. To be called again does no harm."""
        if not self._main_ended.is_set():
            self._pressed = self.limits.clock()  # by Ctrl-C, perhaps
            if getattr(sys, "last_type", None) is KeyboardInterrupt:
                self.notice(int(SIGINT))
        if self._exiting.signum is not None or in_child():
            self.limits.ask()
        self._exiting.set()
        self.limits.begin()
        self._registry._attend = self._start
        self._unwinding.end()
        self._handlers.take_over(self.interrupt, self.leave)
        if self._registry or self._registry._left or self._signum is not None:
            take_out_of_the_join(self._registry, self._taken_out)
            self._be_first()
            if self._start() and not self._over.is_set() and can_start_threads():
                self._executors.hold(self.end_of_hooks)
            else:
                self._hooks_over.set()
        else:
            self._hooks_over.set()
        self._note("main_ended")
        self._main_ended.set()
        self._bell.ring()
        if not self._has_ender:
            self._run_here(before_the_join=True)

    def end_of_hooks(self) -> None:
        """Note that the hooks of others have run."""
        self._hooks_over.set()
        self._bell.ring()

    def joined(self) -> None:
        """Wait for the ender, on the main thread; Python has joined the other ones."""
        self.end_of_hooks()
        if self._has_ender:
            self._wait_until_over()
        else:
            self._run_here(before_the_join=False)
            if self._signum is not None and in_child():
                self._die(self._signum)
        self._joined.set()
        self._bell.ring()

    def _wait_until_over(self) -> bool:
        """Wait for the ender, whatever somebody's handler raises: nothing is left to unwind."""
        for _ in range(RAISES):
            try:
                return self._over.wait()
            except BaseException:  # noqa: S112
                continue
        return False

    def _run_here(self, *, before_the_join: bool) -> None:
        """Run the items on the main thread, where no thread can be started."""
        if self._registry:
            self._say_begin()
            begun = self.limits.clock()
            # From 3.13 on the registered threads must end before the join.
            late = before_the_join and hasattr(threading, "_shutdown_locks")
            outcomes = self._run(before=0 if late else NEVER)
            if not late:
                self._say_end(outcomes, begun)
                self._flush()
            self.phase = WAITING if late else LEAVING

    # WAITING, RUNNING: the ender.

    def _start(self) -> bool:
        """Wake the ender, or start it if nobody has; return whether there is one."""
        if not self._has_ender and start_thread(self._end):
            self._has_ender = True
        self._bell.ring()
        return self._has_ender

    def _end(self) -> None:
        """End the process: the body of the one thread that does."""
        # A handler may start one while the hook does, or raise before it is noted.
        if not self._to_end.acquire(blocking=False):
            return
        self._has_ender = True
        try:
            begun = self._say_begin()
            self._wait(self._main_thread)
            if self._abandoned:
                return
            if any(item.order < 0 for item in list(self._registry._items)):
                self._run(before=0)
            if self._others():
                start_thread(self._accompany)
                self._wait(self._others)
            self._say_end(self._run(), begun)
            if len(self._registry) and not self._registry._tired:  # registered while that was said
                self._run()
        except BaseException as error:  # whatever it is, the process must end
            self._say_error(error)
        finally:
            self._jobs.end()
            if self._abandoned:
                self._over.set()  # for which the main thread may wait
            else:
                self._finish()

    def _wait(self, rest: "Callable[[], list[threading.Thread]]") -> None:
        """Wait until *rest()* is empty, for as long as the rest of the program may take."""
        self.phase = WAITING
        begun = self.limits.clock()
        warn_at = begun + PATIENCE
        while (threads := rest()) and (left := self._patience()) > 0:
            if self._answer:
                self._answer = False
                what = f"Ctrl-C: waiting {left:.1f} s more for"
                self._say_waiting(threads, what, "press again to end now")
            elif left == NEVER and self.limits.clock() >= warn_at:
                warn_at = NEVER
                self._say_waiting(threads, "waiting for", REMEDIES)
            due = self._unwinding.due()
            if due is not None and due <= 0:
                _signals.interrupt_main(_signals.SIGURG)
                due = LOOKS
            woken = self._bell.wait(min(left, LOOK, NEVER if due is None else due))
            if not woken and self._main_ended.is_set():
                # A signal that another thread has taken does not wake a thread that joins.
                _signals.interrupt_main(_signals.SIGURG)
        # Each is named once.
        threads = [] if self._unwinding.parked else [one for one in threads if one not in self._cut]
        if threads:
            self._cut += threads
            waited = self.limits.clock() - (self.limits.since or begun)
            what = f"{self.limits.name} is over (waited {waited:.1f} s), and items run beside"
            self._say_waiting(threads, what, REMEDIES)
            if self._account is not None:
                limit = self.limits.name.partition("=")[0].rpartition(" ")[2]
                self._account.cut_off += [cut_off(thread, waited, limit) for thread in threads]

    def _patience(self) -> float:
        """Return the seconds that the rest of the program still has."""
        return 0.0 if self._unwinding.parked else self.limits.patience()

    def _accompany(self) -> None:
        """Join the others for the ender, which has to hear of more than their end."""
        while (others := self._others()) and not self._over.is_set():
            if others[0] is threading.main_thread():
                self._hooks_over.wait(LOOK)
            else:
                wait_for(others[0])
        self._bell.ring()

    def _main_thread(self) -> list[threading.Thread]:
        """Return the main thread, until it has ended."""
        return [] if self._main_ended.is_set() else [threading.main_thread()]

    def _threads(self) -> list[threading.Thread]:
        """Return the threads that Python waits for, that are nobody's to stop and in no pool."""
        ids = {id(item.subject) for item in self._registry._known()} | workers()
        return [thread for thread in joined_at_exit() if id(thread) not in ids]

    def _others(self) -> list[threading.Thread]:
        """Return what items of order 0 wait for: hooks, other threads, and jobs of pools."""
        if threads := self._threads():
            return threads
        if not self._hooks_over.is_set():
            return [threading.main_thread()]
        return self._jobs.left()

    def _run(self, before: float = NEVER) -> "list[Outcome]":
        """Run the items of an order below *before*; return how all have ended so far."""
        self.phase = RUNNING
        return self._registry._advance(before, self.limits.limit(), self.limits.grace)

    # LEAVING: the ender sees to it that the main thread ends the process, or does it itself.

    def _finish(self) -> None:
        """End what is left to end, once the items have been run."""
        self._hooks_over.set()  # nobody waits for them any more, and what tells of it is taken out
        self._close()
        self._flush()
        if self._signum is not None and (in_child() or not self._main_ended.is_set()):
            self._die(self._signum)
        self._be_first()
        self._over.set()
        while not self._joined.is_set() and not self._is_to_leave():
            self._bell.wait(LOOK)
        if self._signum is not None and in_child():  # it has come since
            self._die(self._signum)
        hide(Leave)
        self.phase = LEAVING
        give_up = self.limits.clock() + TO_LEAVE
        while not self._joined.wait(LOOKS):
            if self.limits.clock() >= give_up or not _signals.interrupt_main(_signals.SIGURG):
                self._end_now()
        # Exit functions may wait for ever for what a thread holds that was left behind.
        must_end = self._signum is not None or self._registry._left
        limit = self.limits.limit()
        left = NEVER if limit is None else limit - self.limits.clock()
        if must_end and not self._finished.wait(min(EXIT_FUNCTIONS, left)):
            self._end_now()

    def _close(self) -> None:
        """Call what was held back; it takes no longer than the process has."""
        closed = Latch()
        dying = self._signum is not None and in_child()

        def release() -> None:
            try:
                self._executors.release(dying=dying)
            finally:
                closed.set()
                self._bell.ring()

        begun = self.limits.clock()
        if not start_thread(release) and self._signum is None:  # else it dies of the signal
            release()
        while not closed.is_set():
            left = NEVER
            if dying:
                left = begun + self.limits.closing() - self.limits.clock()
            elif self._signum is not None or self.limits.grace is not None:
                left = max(self.limits.patience(), begun + LOOKS - self.limits.clock())
            if left <= 0:
                break
            self._bell.wait(min(left, LOOK))

    def _is_to_leave(self) -> bool:
        """Return whether the main thread is to wait for nothing more, if it still does."""
        if not self._main_ended.is_set():
            return False
        waited_for = {id(thread) for thread in joined_at_exit()} - self._taken_out
        if self._signum is not None:
            # Where there is no thread to wait for, the hook of somebody else may be at work.
            return bool(waited_for) or self._patience() <= 0
        stuck = {id(item.subject) for item in self._registry._left}
        return bool(waited_for & stuck) and not self._threads()

    def leave(self, _signum: int, frame: "FrameType | None", _layer: object) -> None:
        """Leave the join, or what else is to be left: a signal handler, for the ender."""
        if self.phase == LEAVING and is_joining(frame):
            raise Leave
        if not self._main_ended.is_set():
            self._unwinding.again()

    def at_exit(self) -> None:
        """Wait for the ender, run what is left, and die of the signal if it was ours."""
        if self._exit_functions.is_set():  # this function is one of those that run now
            return
        self._exit_functions.set()
        self._joined.set()
        has_begun = False
        for _ in range(RAISES):
            try:
                if not has_begun:
                    self._begin()  # if the hook did not
                    self.end_of_hooks()
                    has_begun = True
                if self._has_ender and not self._wait_until_over():
                    break
                if (self._registry and not self._registry._tired) or self._registry._run:
                    self._run()  # some left, or a run that goes on
                break
            except BaseException:  # noqa: S112
                continue
        if self._signum is not None:
            try:
                atexit._run_exitfuncs()
            finally:
                self._finished.set()
                self._die(self._signum)
        self._handlers.uninstall()
        if getattr(sys, "last_type", None) is KeyboardInterrupt:
            die_of_ctrl_c_all_the_same()

    def run_before_death(self, signum: int) -> None:
        """Run the items: the main thread is about to send itself a signal that kills it."""
        self.notice(signum)
        self._pressed = self.limits.clock()
        # A second one must not kill half way.
        self._dying = True
        taken = self._handlers.take_over(self.interrupt, self.leave)
        try:
            begun = self._say_begin()
            self._say_end(self._run(), begun)
            if in_child():
                self._executors.release(dying=True)
            self._last_words("")
        finally:
            self._handlers.give_back(taken)
            self._dying = False
            self.phase = SERVING

    def _end_now(self) -> None:
        """End the process from here."""
        if self._signum is not None:
            self._die(self._signum)
        self._last_words("")
        os._exit(1)

    def _die(self, signum: int) -> None:
        """Die of *signum*, after what was printed has gone out."""
        try:
            self._write(signal_name(signum))
            self._last_words("")
        finally:
            _signals.die(signum)

    # What may come in between: Ctrl-C, and `uninstall`.

    def interrupt(self, signum: int, frame: "FrameType | None", layer: _signals.Layer) -> None:
        """Take Ctrl-C for a signal while others are waited for; else a person wants out."""
        now = self.limits.clock()
        if self.phase == SERVING and callable(layer.previous):  # there is nothing to be run
            layer.previous(signum, frame)
        elif self.phase == WAITING and self.limits.since is None:
            self._answer = True
            self._pressed = now
            self.notice(signum)
            self.end_by(signum, frame, lambda _: False)
        elif now - self._pressed >= SAME_PRESS:
            self._pressed = NEVER
            if self.phase == WAITING:
                names = [f"thread {escaped(one.name)}{place_of(one)}" for one in self._others()]
            else:
                names = self._registry._running(frame)
            said = f"Ctrl-C again: ended at once; still running: {', '.join(names) or 'nothing'}"
            self._last_words(f"graceexit[{os.getpid()}]: {said}\n")
            _signals.die(signum)

    def abandon(self) -> None:
        """End nothing: uninstalled, or a forked child."""
        self._abandoned = True
        self.limits.disarm()
        self.limits.close()
        self._unwinding.end()
        self._jobs.end()
        self._main_ended.set()
        self._hooks_over.set()
        self._bell.ring()

    # Saying so.

    def _say_begin(self) -> float:
        self._say_why()
        self._note("begun")
        self._registry._say().post(INFO, f"exit begins, {len(self._registry)} to run")
        return self.limits.clock()

    def _say_why(self) -> None:
        log, signum = self._registry._say(), self._exiting.signum
        log.why, log.signum = why(signum), signum

    def _say_end(self, outcomes: "list[Outcome]", begun: float) -> None:
        report = Report(outcomes, self._exiting.signum, self.limits.clock() - begun)
        self._registry._say().post(INFO, f"exit complete: {report.summary}")
        if self._account is not None:
            self._account.outcomes = outcomes
            self._write(None)

    def _say_waiting(self, threads: list[threading.Thread], what: str, remedy: str) -> None:
        self._say_why()
        known = [(thread, place_of(thread)) for thread in threads]

        def text(careful: bool) -> str:  # noqa: FBT001
            names = [
                ("thread" if careful else f"thread {escaped(thread.name)}") + at
                for thread, at in known
            ]
            return f"{what} {', '.join(names)}; {remedy}"

        self._registry._say().post(WARNING, text)

    def _note(self, what: str) -> None:
        if self._account is not None:
            self._account.note(what)

    def _write(self, death: str | None) -> None:
        """Write the report that outlives the process."""
        if (account := self._account) is not None:
            failed: list[BaseException] = []

            def write() -> None:
                try:
                    account.write(self._exiting.signum, death)
                except BaseException as error:
                    failed.append(error)

            if (not within(WRITING, write) or failed) and not self._has_complained:
                self._has_complained = True
                why_not = text_of(failed[0]) if failed else "it takes too long"
                said = f"the report cannot be written to {account.path}: {why_not}"
                self._registry._say().post(WARNING, said)

    def _say_failed(self, error: BaseException, what: str = "the main task") -> None:
        said = f"{what} failed: {type(error).__qualname__}: {text_of(error)}"
        self._say_why()
        self._registry._say().post(ERROR, said, error)

    def _say_error(self, error: BaseException) -> None:
        self._registry._say().post(ERROR, f"the exit itself failed:\n{traceback_of(error)}")

    def _last_words(self, text: str) -> None:
        self._registry._say().last_words(text, self._flushing())

    def _flush(self) -> None:
        self._registry._say().flush(self._flushing())

    def _flushing(self) -> float:
        return min(FLUSHING, self.limits.left() / 4)


def die_of_ctrl_c_all_the_same() -> None:
    """Have Python die of the KeyboardInterrupt of which an import of an item makes it forget."""
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102
    except KeyboardInterrupt:
        pass


def hide(exception: type[BaseException]) -> None:
    """Keep the interpreter from printing that it has ignored *exception*, as up to 3.14 it does."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda arg: None if arg.exc_type is exception else hook(arg)


def why(signum: int | None) -> str:
    """Return why the process exits."""
    if signum is None:
        return "at the end of the program"
    return "on Ctrl-C" if signum == SIGINT else f"on {signal_name(signum)}"


def cut_off(thread: threading.Thread, seconds: float, limit: str) -> dict[str, object]:
    """Return who goes on though its time is over, as the report has it."""
    calls = stack_of(thread.ident)
    kind = "job" if id(thread) in workers() else "thread"
    return {
        "name": str(thread._name),  # type: ignore[attr-defined]  # for `name` may be anybody's code
        "kind": "main thread" if thread is threading.main_thread() else kind,
        "where": call_of(calls[-1]) if calls else "",
        "seconds": round(seconds, 3),
        "limit": limit,
    }


def place_of(thread: threading.Thread) -> str:
    """Return where a thread is defined, or what job a worker of a pool has, and where it is."""
    calls = stack_of(thread.ident) or []
    defined = place(target_of(thread))
    if id(thread) in workers():
        jobs = [name for file, _, name in calls if "concurrent" not in file]
        defined = f"job {jobs[0]}" if jobs else "a job"
    return (f" ({defined})" if defined else "") + (f" at {call_of(calls[-1])}" if calls else "")


def joined_at_exit() -> list[threading.Thread]:
    """Return the threads that Python waits for at its end."""
    main = threading.main_thread()
    return [
        thread
        for thread in threading.enumerate()
        if not thread.daemon
        and thread is not main
        and type(thread).__name__ != "_MainThread"  # eventlet has a second one, which never ends
    ]


def wait_for(thread: threading.Thread) -> None:
    """Wait for one of threading's threads for a moment, whatever its class makes of it."""
    try:
        threading.Thread.join(thread, LOOK)
    except RuntimeError:  # it is being started at this moment
        sleep(LOOKS)
    if getattr(thread, "_tstate_lock", thread) is None and is_running(thread):
        sleep(LOOKS)  # up to 3.12 it may be marked as stopped: then it cannot be waited for


def take_out_of_the_join(registry: "Registry", taken_out: set[int]) -> None:
    """Have Python up to 3.12 not join the threads that the ender stops."""
    locks: set[object] = getattr(threading, "_shutdown_locks", set())
    for item in list(registry._items) if locks else ():
        # A callback may be anything, also something of which every attribute raises.
        lock = None if item.stop is None else getattr(item.subject, "_tstate_lock", None)
        if lock in locks:  # pragma: no cover - up to 3.12
            locks.discard(lock)
            taken_out.add(id(item.subject))


def can_start_threads() -> bool:
    """Return whether the end of the program is no reason for Python to start none any more."""
    # python/cpython#114570; children of multiprocessing end before the interpreter does.
    return not (3, 12) <= sys.version_info < (3, 12, 3) or in_child()


def in_child() -> bool:
    """Return whether multiprocessing has started this process."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def is_called_by_multiprocessing(frame: "FrameType") -> bool:
    """Return whether a child of multiprocessing goes on after this call, to which *frame* leads."""
    caller = ("multiprocessing.process", "_bootstrap")
    return caller in {(one.f_globals.get("__name__"), one.f_code.co_name) for one in stack(frame)}


def is_shutting_down(frame: "FrameType | None") -> bool:
    """Return whether Python has begun to join the threads, or to run the hooks before that."""
    if getattr(threading, "_SHUTTING_DOWN", False) or is_joining(frame):
        return True
    ours = getattr(getattr(threading, "_shutdown", None), "__code__", None)
    return ours is not None and any(one.f_code is ours for one in stack(frame))


def is_in_join(frame: "FrameType | None") -> bool:
    """Return whether *frame* itself waits for the other threads."""
    return (
        frame is not None
        and frame.f_code.co_name == "_shutdown"
        and frame.f_globals is vars(threading)
    )


def is_joining(frame: "FrameType | None") -> bool:
    """Return whether *frame* belongs to Python's end: to its join, or to the hook of another."""
    return any(is_in_join(one) for one in stack(frame))
