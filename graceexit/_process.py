"""
What belongs to this process: its registry, what `install` has changed, and what a fork drops.

All state of the package is one `Process`; how it ends is a module of its own (`_exit`), which is
imported when something is registered. A forked child begins anew: a fork is `uninstall`, and then
`install` if something is kept.

The exit begins in `threading._shutdown`, which ours stands in front of: the interpreter and
multiprocessing call it by that name as the main thread's code has ended, on every version, and
before the hooks of `threading._register_atexit`. (Not done: to be one of these hooks. The newest
runs first, so that a pool that was imported later would be closed before the exit begins; and what
makes the main thread leave the join has to be caught outside of it, for from 3.15 on it is the end
of a child of multiprocessing.) Where it is missing the exit function does it all.
"""

import atexit
import os
import sys
import threading

from graceexit import _signals
from graceexit._items import seconds
from graceexit._latch import Latch, within
from graceexit._registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import EllipsisType, FrameType
    from typing import Any

    from graceexit._account import Account
    from graceexit._executors import Executors
    from graceexit._exit import Exit
    from graceexit._hold import Hold
    from graceexit._report import Report

RAISES = 100  # so often somebody's handler may raise as the exit begins
LINGER = 5.0  # seconds that items wait for the rest of a program that is being ended

NO_HANDLER = (
    "no handler could be set, so that a signal would have run nothing: the first registration, or"
    " install(), has to come on the main thread"
)


class Process:
    """
    What this process has registered and installed.

    Attributes:
        exit: Its end, once that has begun: with a signal, or with the end of the main thread. Not
            before, for its locks have to be gevent's if gevent has patched them by then.
    """

    exit: "Exit | None" = None

    def __init__(self) -> None:
        self.registry = Registry()
        self.exiting = Latch()
        self.handlers = _signals.Handlers(self._on_signal, self._before_death)
        self.grace: float | EllipsisType | None = ...  # as the environment says
        self.linger: float | None = LINGER
        self.report: str | EllipsisType | None = ...
        self._holding: Hold | None = None  # once `hold` has been called
        self._executors: Executors | None = None
        self._installed = False
        self._handled = False  # handlers are set, or can never be
        self._pid = 0  # that of the first install; a fork is noticed by it
        self._hooked = False  # the hooks are in place; not all can be taken out again
        self._real: Any = None  # what our `threading._shutdown` has replaced
        self._has_left = False  # the main thread has left a join that would last for ever
        self._dropped = 0  # registrations of the parent, in a forked child
        self._forking = 0  # threads that are forking
        self.registry._attend = self.install

    def install(
        self,
        *,
        grace: "float | EllipsisType | None" = ...,
        linger: "float | EllipsisType | None" = ...,
        signals: "Iterable[int] | EllipsisType" = ...,
        report: "str | os.PathLike[str] | EllipsisType | None" = ...,
    ) -> None:
        """
        Install the handlers and hooks, or change how they work. The first `register` does it too.

        Each call applies what it is given, keeps the rest, and goes in front of a handler that a
        server has installed meanwhile. Off the main thread and in a subinterpreter handlers cannot
        be set; there the hooks do the work, and the next call on the main thread sets them.

        Args:
            grace: Seconds after which the process is gone, whatever hangs, counted from when the
                signal is noticed, else from the end of the main thread. None, the default unless
                the variable GRACEEXIT_GRACE gives them, for no limit.
            linger: Seconds (5.0) that items wait for the rest of the program once the process is
                being ended; zero for not at all, None for no limit.
            signals: What ends the process: SIGTERM and SIGINT, on Windows SIGBREAK too.
            report: Where each process writes its report as a line of JSON as it ends; `{pid}` in
                the path gives each a file of its own. None, the default unless the variable
                GRACEEXIT_REPORT gives a path, for none.

        Raises:
            TypeError: An argument is of the wrong kind.
            ValueError: A number is out of range, or no handler can be set for a signal.
        """
        # Refuse what makes no sense before anything is changed.
        if grace is ... and (grace := self.grace) is ...:
            grace = grace_of_environment()
        grace = seconds(grace, "grace")
        linger = seconds(self.linger if linger is ... else linger, "linger", zero=True)
        if signals is ...:
            signals = self.handlers.signals or _signals.DEFAULT
        signals = _signals.checked(signals)
        report = path_of(self.report if report is ... else report)
        # An exception may come at any moment of what follows; then it is done again.
        if not self._hooked:  # the fork of a process that has only imported us goes unnoticed
            self._pid = os.getpid()
        self.grace, self.linger, self.report = grace, linger, report
        import_what_is_needed(with_grace=grace is not None, with_report=report is not None)
        from graceexit._executors import Executors

        if self._executors is None:
            self._executors = Executors()
        self._executors.hold_finalizers(self._has_to_run)
        self._installed = True
        if not self._hooked:
            atexit.register(self.at_exit)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(
                    before=self._before_fork,
                    after_in_parent=self._after_fork_in_parent,
                    after_in_child=self._after_fork,
                )
            self._hooked = True
        current = getattr(threading, "_shutdown", None)
        if current is not None and current != self._shutdown and self._real in (None, current):
            self._real = current
            setattr(threading, "_shutdown", self._shutdown)  # noqa: B010  (checkers do not know it)
        self._set_handlers(signals)

    def _set_handlers(self, signals: "Iterable[int] | None" = None) -> None:
        """Set the handlers, as soon as that is possible: on the main thread."""
        self.registry._attend = self._set_handlers if self.exit is None else self.exit._start
        if self.handlers.install(self.handlers.signals if signals is None else signals):
            if self.grace is not None:
                self.handlers.put_for_ctrl_c(self._on_ctrl_c)
            self._handled = True
        elif _signals.is_main_thread():
            self._handled = True  # they can never be set, as in a subinterpreter
        if self._handled and self.exit is None:
            self.registry._attend = None

    def be_first(self) -> None:
        """Be the exit function that was registered last too, for that one runs first."""
        atexit.register(self.at_exit)  # not unregistered before, which compares it with all others

    def uninstall(self) -> None:
        """
        Put back what `install` has changed: handlers, functions, hooks and settings.

        For test suites and notebooks; call it on the main thread. A handler that somebody has gone
        in front of only passes the signal on from now, and a hook that stays does nothing. Items
        stay registered, but nothing runs them at the end until the next `register` or `install`
        installs anew. A second call changes nothing.
        """
        if self._executors is not None:
            self._executors.release()  # Python has gone past what is held, if an item calls this
        self._begin_anew()
        self.grace, self.linger, self.report = ..., LINGER, ...
        if self._real is not None and getattr(threading, "_shutdown", None) == self._shutdown:
            setattr(threading, "_shutdown", self._real)  # noqa: B010  (checkers do not know it)
            self._real = None

    def _begin_anew(self) -> None:
        """Forget everything about an exit: a new process, or a new test."""
        self.handlers.uninstall()
        self._installed = self._handled = False
        if (ending := vars(self).pop("exit", None)) is not None:
            ending.abandon()
        if self._executors is not None:
            self._executors.forget()
        self._dropped = 0
        self.exiting.clear()
        if self._holding is not None:
            self._holding.reset()
        self.registry._attend = self.install

    def hold(self) -> "Hold":
        """
        Let the main thread finish what it has in hand before a signal unwinds it.

        For the loop of a main thread with a message, a batch or a step in hand:
        `with graceexit.hold(): ...`. A signal that would end the process, or Ctrl-C, is noted at
        once (`exiting`, `linger` and `grace` begin), and the main thread unwinds as the block ends;
        a second Ctrl-C unwinds it at once. The block may be one step, or the whole loop if that
        asks `exiting`. It nests, does nothing on other threads, and is cut only by `linger` and
        `grace`.

        Returns:
            A context manager, always the same one.
        """
        if (holding := self._holding) is None:
            from graceexit._hold import Hold

            holding = self._holding = Hold(self._leave)
        # Whoever has Python's own handler from before may set it again, as ipykernel does.
        if (not holding.is_ready or _signals.has_pythons_ctrl_c()) and _signals.is_main_thread():
            if not holding.is_ready:
                self.install()
            self.handlers.put_for_ctrl_c(self._on_ctrl_c)
            holding.is_ready = True
        return holding

    def _is_held(self, signum: int) -> bool:
        """Return whether the main thread has something in hand, and unwinds when it is done."""
        return self._holding is not None and self._holding.takes(signum)

    def _leave(self, signum: int, frame: "FrameType", error: BaseException | None) -> None:
        """Unwind the main thread, which has nothing in hand any more."""
        if self.exit is not None:
            self.exit.leave_by(signum, frame, error)

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
        self.registry._say().why = "in shutdown()"
        account = None if self.exit is not None else self._account()
        if account is not None:
            account.note("begun")
        report = self.registry.run()
        report.signum = self.exiting.signum
        if account is not None:
            account.outcomes = report._outcomes
            within(1.0, lambda: account.write(report.signum, None))
        return report

    def ending(self) -> "Exit | None":
        """Return the end of this process, begun by whoever asks first; None if not installed."""
        if self._installed and os.getpid() != self._pid:
            self._after_fork()  # a signal has come before the hook of the fork
        if self._installed and self.exit is None:
            from graceexit._exit import Exit
            from graceexit._limits import Limits

            limits = Limits(None if self.grace is ... else self.grace, self.linger)
            limits.forking = self._forking
            ending = Exit(
                self.registry,
                self.exiting,
                self.handlers,
                limits,
                self._executors,  # type: ignore[arg-type]
                self.be_first,
                self._account(),
            )
            vars(self).setdefault("exit", ending)  # a handler may come between: one of two is kept
        return self.exit

    def _account(self) -> "Account | None":
        """Return what is to be reported, None for nothing."""
        if not isinstance(self.report, str):
            return None
        from graceexit._account import Account

        return Account(self.report)

    def _on_signal(self, signum: int, frame: "FrameType | None", layer: _signals.Layer) -> object:
        """Note a signal, and do what was done before; what killed ends the process instead."""
        in_front = _signals.is_in_front(signum, layer)
        if (ending := self.ending()) is not None:
            ending.notice(signum)
        if callable(layer.previous):
            return layer.previous(signum, frame)
        if not in_front:  # another handler has called ours, and decides what comes of it
            return None
        if ending is None:  # uninstalled, or a forked child that has registered nothing
            _signals.die(signum)
        else:
            ending.end_by(signum, frame, self._is_held)
        return None

    def _on_ctrl_c(self, signum: int, frame: "FrameType | None", layer: _signals.Layer) -> object:
        """Note Ctrl-C, and raise KeyboardInterrupt unless the main thread has something in hand."""
        held = self._is_held(signum)
        if (ending := self.ending()) is not None:
            ending.press(signum, held=held)
            if held:
                return None
        return layer.previous(signum, frame)

    def _before_death(self, signum: int) -> None:
        """Run the items before the process sends itself a signal that kills it."""
        if (ending := self.ending()) is not None:
            ending.run_before_death(signum)

    def _shutdown(self) -> None:
        """Begin the exit, on the main thread and before Python joins the other ones."""
        from graceexit._exit import Leave, is_called_by_multiprocessing

        ending = None
        for _ in range(RAISES):  # somebody's handler may raise, and other hooks must run
            try:
                self._say_dropped()
                if (ending := self.ending()) is not None:
                    self._say_unhandled()
                    ending.hook()
                break
            except BaseException:  # noqa: S112
                continue
        try:
            if self._has_left:  # from 3.15 on a second call would join again
                raise Leave  # noqa: TRY301
            if self._real is not None:
                self._real()
        except Leave:
            self._has_left = True
            # The interpreter has to hear of it, or 3.15 calls this for ever: a thread is left.
            if not is_called_by_multiprocessing(sys._getframe()):
                raise
        finally:
            if ending is not None:
                ending.joined()

    def at_exit(self) -> None:
        """Complete the exit, on the main thread and after Python has joined the other ones."""
        if (ending := self.ending()) is not None:
            ending.at_exit()

    def _has_to_run(self) -> bool:
        """Return whether a child of multiprocessing has items to run as it ends."""
        from graceexit._exit import in_child

        return self._installed and bool(self.registry) and in_child()

    def _say_dropped(self) -> None:
        """Say that items of the parent process have not been run in this one."""
        dropped, self._dropped = self._dropped, 0
        if dropped:
            from graceexit._exit import in_child, why

            log = self.registry._say()
            log.why = why(self.exiting.signum)
            log.post(
                10 if in_child() else 30,
                f"registrations of the parent process that were not run in this fork of it:"
                f" {dropped}; register in the child, or register callbacks with"
                " each_process=True",
            )
            log.flush(1.0)

    def _say_unhandled(self) -> None:
        """Say that no signal could have been handled."""
        if not self._handled and self.registry:
            from graceexit._exit import why

            log = self.registry._say()
            log.why = why(self.exiting.signum)
            log.post(30, NO_HANDLER)

    def _before_fork(self) -> None:
        self._forking += 1
        if self.exit is not None:
            self.exit.limits.forking += 1
            self.exit.limits.disarm()

    def _after_fork_in_parent(self) -> None:
        self._forking -= 1
        if self.exit is not None:
            self.exit.limits.forking -= 1
            self.exit.limits.arm()

    def _after_fork(self) -> None:
        """Begin anew in a forked child, with the callbacks that each process is to run."""
        if os.getpid() == self._pid:  # a handler has done it
            return
        self._forking = 0
        was_installed, signals = self._installed, self.handlers.signals
        items = self.registry._items
        kept = [item for item in items if item.each_process]
        dropped = self._dropped + len(items) - len(kept)
        items.clear()  # a run that was in progress in the parent finds nothing here
        self.registry._reset()
        self.registry._items.update(dict.fromkeys(kept, True))
        self._begin_anew()
        self._dropped = dropped
        if kept and was_installed:
            self.install(signals=signals)
            self.registry._attend = self.install  # for code in C may set its handlers behind this
        self._pid = os.getpid()


def import_what_is_needed(*, with_grace: bool, with_report: bool) -> None:
    """Import what the exit needs now, so that nothing has to be found and read then."""
    import graceexit._exit
    import graceexit._limits
    import graceexit._log
    import graceexit._runner

    try:
        import faulthandler  # noqa: F401
    except ImportError:  # pragma: no cover - a subinterpreter, which cannot be measured
        pass
    if with_grace:
        graceexit._limits.import_for_a_socket()
    if with_report:
        import json  # noqa: F401

        import graceexit._account


def path_of(report: "str | os.PathLike[str] | EllipsisType | None") -> str | None:
    """Return where the report is to be written, None for nowhere; `...` asks the environment."""
    if report is ...:
        return os.environ.get("GRACEEXIT_REPORT") or None
    if report is not None and not isinstance(report, (str, os.PathLike)):
        raise TypeError(f"report must be a path, or None for no report; got {report!r}")
    return None if report is None else os.fspath(report)


def grace_of_environment() -> float | None:
    """Return the grace that the variable GRACEEXIT_GRACE gives, None if it does not."""
    text = os.environ.get("GRACEEXIT_GRACE", "").strip()
    try:
        return seconds(float(text), "GRACEEXIT_GRACE") if text else None
    except ValueError:
        raise ValueError(f"GRACEEXIT_GRACE must be seconds above zero; got {text!r}") from None


own = Process()
