"""
How a process ends: one SIGTERM, from the handler to the death.

1. The handler (`_ours`) notes the signal, starts the *ender* and raises SystemExit, so that the main
   thread unwinds. A process that ends by itself begins with 2.
2. The hook that runs before Python joins threads (`_begin`) says that the main thread has ended,
   and starts the ender if nothing has. It starts a small non-daemon thread too, which the
   interpreter joins like any other, so that it waits for the ender.
3. The ender (`_end`) waits for the main thread, runs the items of negative order, waits for the other
   threads, runs the rest, and (`_finish`) makes the main thread leave a join that would last for
   ever.
4. The exit function (`_at_exit`) waits for the ender, and if the signal was ours it runs the other
   exit functions and dies of the signal.

All state of the module is one `Process`, which a forked child begins anew. Handlers and hooks cannot
be taken back from a child, so each of them asks first whether there is anything to do.

The hook is `threading._register_atexit`, which is private, but in every Python since 3.9; without it
the exit function does what the hook does. Not done, because it hangs on 3.15: to mark a stuck thread
as joined. Python up to 3.12 keeps a set of the locks it is going to wait for, and taking a thread
out of it is done where no thread can be started (3.12.1 after the main thread's end, a process
limit): there the interpreter must not wait for a thread that only the exit function can stop.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
from time import monotonic, sleep

from graceexit import _signals
from graceexit._items import place, seconds
from graceexit._latch import Bell, Latch
from graceexit._registry import Registry
from graceexit._runner import is_main_interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import EllipsisType, FrameType

    from graceexit._report import Report
    from graceexit._runner import Outcome

LINGER = 5.0
PATIENCE = 5.0  # seconds: a process that ends by itself then says what it waits for
SAME_PRESS = 0.5  # seconds: Ctrl-C pressed again within them is the same press
EXIT_FUNCTIONS = 5.0  # seconds for the exit functions, if the process would not live on without us
UNCATCHABLE = {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")}
LEAVING = 1.0  # seconds for the main thread to leave the join


class Process:
    """What this process knows of its own end."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self.clock = clock
        self.registry = Registry()
        self.registry._attend = self._attend
        self.exiting = Latch()
        self.handlers = _signals.Handlers(
            live=lambda: self.installed,
            notice=self._notice,
            ours=self._ours,
            interrupt=self._interrupt,
            may_leave=lambda: self.leaving and not self.at_exit.is_set(),
            last=self._run_before_death,
        )
        self.installed = False
        self.hooked = False  # the hooks are in place; they cannot be taken out again
        self.grace: float | None = None
        self.linger: float | None = LINGER
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Forget everything about an exit: a new process, or a new test."""
        self.exiting.clear()
        self.begun = False  # the exit has begun: the main thread's code is over
        self.quiet = False  # our handler must not raise
        self.waiting = False  # the ender waits for the rest of the program
        self.noticed_at: float | None = None
        self.our_signal: int | None = None  # the signal to die of
        self.our_signal_at = 0.0
        self.main_ended = Latch()
        self.main_ended_at: float | None = None
        self.deadline: float | None = None  # when the grace is over
        self.armed = False  # the last resort is armed
        self.pressed = 0.0  # the last Ctrl-C that counted
        self.interrupted = False  # Ctrl-C has been pressed once
        self.bell = Bell()  # wakes the ender
        self.to_start = threading.Lock()  # who gets it starts the ender
        self.inline = False  # no ender: no thread can be started
        self.joining = False  # a thread joins the others and rings the bell
        self.over = Latch()  # the items have been run
        self.waiter: threading.Thread | None = None
        self.leaving = False  # the main thread is to leave its join
        self.at_exit = Latch()  # the exit functions have begun
        self.finished = Latch()  # the exit functions have ended
        self.outcomes: list[Outcome] = []
        self.started = 0.0  # when the log said that the exit begins
        self.dropped = 0  # items that belong to the parent

    # Install and uninstall.

    def install(
        self,
        *,
        grace: float | EllipsisType | None = ...,
        linger: float | EllipsisType | None = ...,
        signals: Iterable[int] | EllipsisType = ...,
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
        if not self.installed and grace is ...:
            grace = grace_of_environment()
        grace = self.grace if grace is ... else seconds(grace, "grace")
        linger = self.linger if linger is ... else seconds(linger, "linger", zero=True)
        signals = self.handlers.signals or _signals.DEFAULT if signals is ... else checked(signals)
        self.grace, self.linger = grace, linger
        if grace is not None:
            import faulthandler  # noqa: F401  (so that the handler need not import it)
        import graceexit._report  # noqa: F401

        self.installed = True
        self.registry._attend = None
        if not self.hooked:
            self.hooked = True
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(
                    before=self._disarm_for_fork,
                    after_in_parent=self._arm_after_fork,
                    after_in_child=self._after_fork,
                )
            try:
                threading._register_atexit(self._hook)  # type: ignore[attr-defined]
            except (AttributeError, RuntimeError):
                pass  # the exit function does it all; RuntimeError: the hooks are already running
        self._be_first()
        self.handlers.install(signals)

    def uninstall(self) -> None:
        """
        Put back what `install` has changed: handlers, `signal.raise_signal`, hooks and settings.

        For test suites and notebooks; call it on the main thread. A handler that somebody has gone
        in front of only passes the signal on from now. Items stay registered, and the next
        `register` or `install` installs anew. A second call changes nothing.
        """
        self.installed = False
        self.handlers.uninstall()
        atexit.unregister(self._at_exit)
        self.grace, self.linger = None, LINGER
        self._begin_anew()
        self.registry._attend = self._attend

    def _be_first(self) -> None:
        """Be the exit function that was registered last, for that one runs first."""
        if not self.at_exit.is_set():
            atexit.unregister(self._at_exit)
            atexit.register(self._at_exit)

    def _attend(self) -> None:
        """See to a registration that came before `install` or during the exit."""
        if self.begun:
            self._start_ender()
            self.bell.ring()
        elif not self.installed:
            self.install()

    # Signals. All of these run on the main thread, between any two instructions of it.

    def _notice(self, signum: int) -> None:
        """Note that the end has been asked for."""
        if self.noticed_at is None:
            self.noticed_at = self.clock()
            self.exiting.signum = signum
            self.exiting.set()
            self._arm()
            if self.grace is not None:
                self._start_ender()

    def _ours(self, signum: int, frame: FrameType | None) -> None:
        """Do what the default action would do, after the clean-up."""
        if self.our_signal is not None:
            return
        self.our_signal_at = self.clock()
        self.our_signal = signum
        self._be_first()
        has_ender = self._start_ender()
        self.bell.ring()
        late = self.quiet or is_shutting_down(frame)
        if in_child():
            if not has_ender:
                self._run()
                self._die(signum)
        elif not late:
            raise SystemExit(128 + signum)
        elif not has_ender and not self.registry._is_running() and not self.at_exit.is_set():
            # Nobody else can make this thread leave the join that it may be in.
            self._hide_leave()
            raise _signals.Leave

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Ctrl-C during the exit: once is a notice, twice is a person who wants out."""
        now = self.clock()
        if self.waiting and not self.interrupted:
            self.interrupted = True
            self.pressed = now
            self._notice(signum)
            self._ours(signum, frame)
        elif now - self.pressed >= SAME_PRESS:
            run = self.registry._run
            names = [item.name for item in run.in_progress()] if run is not None else []
            text = f"graceexit: Ctrl-C, ended while {', '.join(names) or 'exiting'} still ran\n"
            self._last_words(text)
            _signals.die(signum)

    def _run_before_death(self, signum: int) -> None:
        """Run the items: the main thread is about to send itself a signal that kills it."""
        self.quiet = True
        self.pressed = self.clock()
        self._notice(signum)
        try:
            self._say_begin()
            self._run()
            self._say_end()
            self._last_words("")
        finally:
            self.quiet = self.begun

    # The hook and the exit function, on the main thread.

    def _hook(self) -> None:
        """Begin the exit; must not raise, for that would skip other hooks, and must not wait."""
        try:
            self._begin()
            if self.to_start.locked() and self.waiter is None:  # there is an ender
                waiter = threading.Thread(target=self.over.wait, name="graceexit", daemon=False)
                self.waiter = waiter
                waiter.start()
        except RuntimeError:
            # No thread can be started, but the ender is at work. The exit function waits for it;
            # where there may be none, wait here.
            if in_child():
                self.over.wait()
        except BaseException:
            self._say_error()

    def _begin(self) -> None:
        """Begin the exit: the main thread's code is over."""
        if self.begun or not (self.installed or self.dropped):
            return
        self.quiet = self.begun = True
        self.registry._attend = self._attend
        self.main_ended_at = self.pressed = self.clock()
        if not self.registry and self.our_signal is None:
            self.exiting.set()
            self.main_ended.set()
            self._say_dropped()
            return
        self._arm()
        self._be_first()
        self.handlers.take_over()
        self.exiting.set()
        self.main_ended.set()
        self.bell.ring()
        if not self._start_ender():
            self._begin_inline()

    def _begin_inline(self) -> None:
        """Begin the exit where no thread can be started: everything happens on the main thread."""
        self.inline = True
        self._say_begin()
        self._run(before=0)
        locks = getattr(threading, "_shutdown_locks", None)  # up to 3.12
        if locks is None or in_child():
            # Threads must end before the join, and in a child no exit function may come.
            if in_child():
                self._wait(self._others_ended)
            self._run()
            return
        for item in list(self.registry._items):
            locks.discard(getattr(item.subject, "_tstate_lock", None))

    def _at_exit(self) -> None:
        """Wait for the ender, run what is left, and die of the signal if it was ours."""
        self.at_exit.set()
        self._begin()
        self.bell.ring()
        while self.to_start.locked() and not self.over.is_set():  # an ender is at work
            try:
                self.over.wait()
            except BaseException:  # somebody's handler has raised: nothing is left to unwind
                continue
        if self.registry:
            self._run()
        if self.inline:
            self._say_end()
            self._flush(1.0)
        self.handlers.give_back()
        if self.our_signal is not None:
            atexit.unregister(self._at_exit)
            atexit._run_exitfuncs()
            self.finished.set()
            self._die(self.our_signal)
        self.handlers.uninstall()

    # The ender.

    def _start_ender(self) -> bool:
        """Start the ender unless somebody has; return whether there is one."""
        if self.to_start.acquire(blocking=False):
            try:
                if not is_main_interpreter():
                    raise RuntimeError
                _thread.start_new_thread(self._end, ())
            except RuntimeError:
                self.to_start.release()
                return False
        return True

    def _end(self) -> None:
        """End the process: the body of the one thread that does."""
        try:
            self._say_begin()
            self._wait(self.main_ended.is_set)
            self._run(before=0)
            self._wait(self._others_ended)
            self._run()
            self._say_end()
        except BaseException:
            self._say_error()
        finally:
            self._finish()

    def _wait(self, done: Callable[[], bool]) -> None:
        """Wait until *done()*, for as long as the rest of the program may take."""
        warn_at: float | None = self.clock() + PATIENCE
        told = False
        self.waiting = True
        while not done():
            left = self._patience()
            if left is not None and left <= 0:
                break
            if self.interrupted and not told:
                told, warn_at = True, None
                self._say_waiting(f"Ctrl-C: at most {left or 0:.3g} s more for", "")
            limit = left
            if warn_at is not None and left is None:
                limit = warn_at - self.clock()
                if limit <= 0:
                    warn_at, limit = None, None
                    self._say_waiting(
                        "the exit waits for",
                        "; register the thread, close what owns it with on_exit(..., order=-1), or"
                        " set install(linger=...) and end the process by a signal",
                    )
            self.bell.wait(limit)
        self.waiting = False

    def _patience(self) -> float | None:
        """Return the seconds that the rest of the program still has; None for no limit."""
        now = self.clock()
        ends = []
        if self.our_signal is not None:
            if in_child():
                return 0.0
            if self.linger is not None:
                ends.append(self.our_signal_at + self.linger)
        elif self.main_ended_at is not None and (self.noticed_at is not None or in_child()):
            if self.linger is not None:
                ends.append(self.main_ended_at + self.linger)
        if self.deadline is not None and self.grace is not None:
            ends.append(self.deadline - self.grace / 2)
        return min(ends) - now if ends else None

    def _others(self) -> list[threading.Thread]:
        """Return the threads that Python waits for and that are nobody's to stop."""
        known = [item.subject for item in [*self.registry._items, *self.registry._left]]
        known += [threading.main_thread(), self.waiter]
        return [
            thread
            for thread in threading.enumerate()
            if not thread.daemon and not any(thread is other for other in known)
        ]

    def _others_ended(self) -> bool:
        """Return whether they have ended; if not, see to it that the bell rings when they do."""
        if not self._others():
            return True
        if not self.joining:
            try:
                self.joining = True
                _thread.start_new_thread(self._join_others, ())
            except RuntimeError:
                self.joining = False
                self._join_one(self._patience())
        return False

    def _join_others(self) -> None:
        """Join the others one by one, those too that are started meanwhile."""
        while self._others():
            self._join_one(None)
        self.bell.ring()

    def _join_one(self, timeout: float | None) -> None:
        """Join one of the others, and ring the bell."""
        for thread in self._others()[:1]:
            try:
                thread.join(timeout)
            except RuntimeError:  # it is being started at this moment
                sleep(0.001)
        self.bell.ring()

    def _finish(self) -> None:
        """End what is left to end."""
        ours = self.our_signal
        if ours is not None and (in_child() or not self.main_ended.is_set()):
            self._die(ours)
        self._be_first()
        self.over.set()
        # Make the main thread leave the join if it waits for a thread that is left behind.
        while not self.at_exit.is_set():
            if self.main_ended.is_set() and self._stuck():
                self._leave_join()
                break
            self.bell.wait()
        # Exit functions may wait for ever for what such a thread holds.
        if self.our_signal is not None or self.registry._left:
            if not self.finished.wait(EXIT_FUNCTIONS):
                self._end_now()

    def _stuck(self) -> bool:
        """Return whether the interpreter waits for a thread that may be left behind."""
        left = [item.subject for item in self.registry._left]
        if self.our_signal is not None:
            left += self._others()
        return any(not getattr(thread, "daemon", True) and thread.is_alive() for thread in left)

    def _leave_join(self) -> None:
        """Have the main thread leave the join, and end the process if it does not."""
        self._hide_leave()
        self.leaving = True
        give_up = self.clock() + LEAVING
        ident = threading.main_thread().ident
        while not self.at_exit.is_set():
            if self.clock() >= give_up or _signals.LEAVE is None or ident is None:
                self._end_now()
            signal.pthread_kill(ident, _signals.LEAVE)
            self.at_exit.wait(0.05)

    def _hide_leave(self) -> None:
        """Keep the interpreter from printing that it ignored our exception."""
        hook = sys.unraisablehook
        sys.unraisablehook = lambda unraisable: (
            None if unraisable.exc_type is _signals.Leave else hook(unraisable)
        )

    def _end_now(self) -> None:
        """End the process from here."""
        if self.our_signal is not None:
            self._die(self.our_signal)
        self._last_words("")
        os._exit(1)

    def _die(self, signum: int) -> None:
        """Die of *signum*, after what was printed has gone out."""
        self._last_words("")
        _signals.die(signum)

    # Running, and saying so.

    def _run(self, before: int | None = None) -> None:
        self.outcomes = self.registry._advance(before, self.deadline)

    def shutdown(self) -> Report:
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
        from graceexit._report import INFO, signal_name

        signum = self.exiting.signum
        why = signal_name(signum) if signum is not None else "the end of the program"
        count = len(self.registry)
        self.started = self.clock()
        self.registry._say(INFO, f"exit because of {why}: {count} to run")
        self._say_dropped()

    def _say_dropped(self) -> None:
        from graceexit._report import DEBUG, WARNING

        if self.dropped:
            self.registry._say(
                DEBUG if in_child() else WARNING,
                f"{self.dropped} registrations of the parent process were not run in this fork of"
                " it; register in the child, or register callbacks with each_process=True",
            )
            self._flush(1.0)

    def _say_end(self) -> None:
        from graceexit._report import INFO, Report

        report = Report(self.outcomes, self.exiting.signum, self.clock() - self.started)
        self.registry._say(INFO, f"exit: {report.summary()}")
        self._flush(1.0)

    def _say_waiting(self, what: str, remedy: str) -> None:
        from graceexit._report import WARNING

        threads = self._others() if self.main_ended.is_set() else [threading.main_thread()]
        names = ", ".join(f"{thread.name} ({place(thread)})" for thread in threads)
        self.registry._say(WARNING, f"{what} {names}{remedy}")

    def _say_error(self) -> None:
        from traceback import format_exc

        from graceexit._report import ERROR

        self.registry._say(ERROR, f"graceexit itself failed:\n{format_exc()}")

    def _flush(self, timeout: float) -> None:
        if self.registry._log is not None:
            if self.deadline is not None:
                timeout = min(timeout, (self.deadline - self.clock()) / 4)
            self.registry._log.flush(timeout)

    def _last_words(self, text: str) -> None:
        """Say what is left to say and flush the standard streams, a second at most."""
        from graceexit._report import within

        def speak() -> None:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (AttributeError, ValueError, OSError):
                    pass  # None, closed or broken
            if text:
                os.write(2, text.encode())

        self._flush(1.0)
        within(1.0, speak)

    # The last resort: it needs no GIL, and exists under `grace` only.

    def _arm(self) -> None:
        if self.grace is not None and self.deadline is None:
            self.deadline = self.clock() + self.grace
            self._arm_after_fork()

    def _arm_after_fork(self) -> None:
        if self.deadline is not None:
            import faulthandler

            left = max(self.deadline - self.clock(), 0.001)
            faulthandler.dump_traceback_later(left, exit=True, file=2)
            self.armed = True

    def _disarm_for_fork(self) -> None:
        # An armed timer makes the child hang as it ends.
        if self.armed:
            import faulthandler

            faulthandler.cancel_dump_traceback_later()

    # Fork.

    def _after_fork(self) -> None:
        """Begin anew in a forked child, with the callbacks that each process is to run."""
        self.handlers.give_back()
        items = self.registry._items
        kept = [item for item in items if item.each_process]
        dropped = self.dropped + len(items) - len(kept)
        items.clear()  # a run that was in progress in the parent finds nothing here
        self.registry._reset()
        for item in kept:
            self.registry._items[item] = True
        self.installed = self.installed and bool(kept)
        self.registry._attend = None if self.installed else self._attend
        self._begin_anew()
        self.dropped = dropped


def in_child() -> bool:
    """Return whether multiprocessing has started this process."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def is_shutting_down(frame: FrameType | None) -> bool:
    """Return whether *frame*, which a signal has interrupted, belongs to the interpreter's end."""
    while frame is not None:
        if frame.f_code is threading._shutdown.__code__:  # type: ignore[attr-defined]
            return True
        frame = frame.f_back
    return bool(getattr(threading, "_SHUTTING_DOWN", False))


def grace_of_environment() -> float | None:
    """Return the grace that the variable GRACEEXIT_GRACE sets, None if it does not."""
    text = os.environ.get("GRACEEXIT_GRACE", "").strip()
    try:
        return seconds(float(text), "GRACEEXIT_GRACE") if text else None
    except ValueError:
        raise ValueError(f"GRACEEXIT_GRACE must be seconds above zero; got {text!r}") from None


def checked(signals: Iterable[int]) -> tuple[int, ...]:
    """Return *signals* as a tuple if each can have a handler."""
    rule = "signals must be signal numbers such as (signal.SIGTERM, signal.SIGINT)"
    if isinstance(signals, (int, str)):
        raise TypeError(f"{rule}; got {signals!r}")
    signals = tuple(signals)
    for signum in signals:
        if isinstance(signum, bool) or not isinstance(signum, int):
            raise TypeError(f"{rule}; got {signum!r}")
        if signum not in signal.valid_signals() or signum in UNCATCHABLE:
            raise ValueError(f"{rule}; no handler can be set for {signum!r}")
    return signals


own = Process()
