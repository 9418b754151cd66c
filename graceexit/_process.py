"""
What belongs to this process: its registry, what `install` has changed, and what a fork drops.

All state of the package is one `Process`; how it ends is a module of its own (`_exit`), which is
imported when something is registered. A forked child begins anew: what can be taken out of it is,
and the rest finds that nothing is installed and does nothing.

The hook that begins the exit is `threading._register_atexit`: private, but in every Python since
3.9. Where it is missing the exit function does what the hook does.
"""

import atexit
import os
import threading

from graceexit import _signals
from graceexit._items import seconds
from graceexit._latch import Latch
from graceexit._registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import EllipsisType

    from graceexit._exit import Exit
    from graceexit._report import Report

LINGER = 5.0  # seconds that items wait for the rest of a program that is being ended


class Process:
    """
    What this process has registered and installed.

    Attributes:
        exit: Its end, once that has begun: with a signal, or with the end of the main thread.
    """

    exit: "Exit | None" = None

    def __init__(self) -> None:
        self.registry = Registry()
        self.exiting = Latch()
        self.handlers = _signals.Handlers(self)
        self.grace: float | None = None
        self.linger: float | None = LINGER
        self._installed = False
        self._configured = False  # grace is not to be looked for in the environment any more
        self._pid = 0  # that of the first install; a fork is noticed by it
        self.forking: list[bool] = []  # an entry for each thread that is forking
        self._hooked = False  # the hooks are in place; they cannot be taken out again
        self._dropped = 0  # registrations of the parent, in a forked child
        self.registry._attend = self.install

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
            grace: Seconds after which the process is gone, whatever hangs, counted from when the
                signal is noticed, else from the end of the main thread. None, the default unless
                the variable GRACEEXIT_GRACE gives them, for no limit.
            linger: Seconds (5.0) that items wait for the rest of the program once the process is
                being ended; zero for not at all, None for no limit.
            signals: What ends the process: SIGTERM and SIGINT, on Windows SIGBREAK too.

        Raises:
            TypeError: An argument is of the wrong kind.
            ValueError: A number is out of range, or no handler can be set for a signal.
        """
        # Refuse what makes no sense before anything is changed.
        if grace is ...:
            grace = self.grace if self._configured else grace_of_environment()
        if linger is ...:
            linger = self.linger
        if signals is ...:
            signals = self.handlers.signals or _signals.DEFAULT
        grace, linger = seconds(grace, "grace"), seconds(linger, "linger", zero=True)
        signals = _signals.checked(signals)
        if not self._hooked:  # the fork of a process that has only imported us goes unnoticed
            self._pid = os.getpid()
        self.grace, self.linger, self._configured = grace, linger, True
        # Import now, so that nothing needs to be found and read when the end has come.
        import graceexit._exit
        import graceexit._runner  # noqa: F401

        if grace is not None:
            try:
                import ctypes  # noqa: F401  (there may be no time for it at the death)
            except ImportError:  # pragma: no cover - a subinterpreter has none, and cannot die
                pass
        self._installed = True
        self.be_first()
        # An exception may come at any moment of what follows; then it is done again.
        if not self._hooked:
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(
                    before=self._before_fork,
                    after_in_parent=self._after_fork_in_parent,
                    after_in_child=self._after_fork,
                )
            try:
                threading._register_atexit(self._hook)  # type: ignore[attr-defined]
            except (AttributeError, RuntimeError):
                pass  # the exit function does it all; RuntimeError: the hooks are running already
            self._hooked = True
        self.handlers.install(signals)
        self.registry._attend = None if self.exit is None else self.exit.attend

    def be_first(self) -> None:
        """Be the exit function that was registered last, for that one runs first."""
        self._forget_at_exit()
        atexit.register(self.at_exit)

    def _forget_at_exit(self) -> None:
        """Be no exit function."""
        try:
            atexit.unregister(self.at_exit)
        except Exception:  # noqa: S110
            pass  # it compares ours with those of others; to be called once more does no harm

    def uninstall(self) -> None:
        """
        Put back what `install` has changed: handlers, `signal.raise_signal`, hooks and settings.

        For test suites and notebooks; call it on the main thread. A handler that somebody has gone
        in front of only passes the signal on from now, and a hook that stays does nothing. Items
        stay registered, but nothing runs them at the end until the next `register` or `install`
        installs anew. A second call changes nothing.
        """
        self.handlers.uninstall()
        if self.exit is not None:
            self.exit.disarm()
        self._begin_anew()
        self.grace, self.linger, self._configured = None, LINGER, False

    def _begin_anew(self) -> None:
        """Forget everything about an exit: a new process, or a new test."""
        self._installed = False
        if (ending := vars(self).pop("exit", None)) is not None:
            ending.abandon()
        self._forget_at_exit()
        self._dropped = 0
        self.exiting.clear()
        self.registry._attend = self.install

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

    def ending(self) -> "Exit | None":
        """Return the end of this process, begun by whoever asks first; None if not installed."""
        if not self._installed:
            return None
        if os.getpid() != self._pid:  # a signal has come before the hook of the fork
            self._after_fork()
            return self.ending()
        from graceexit._exit import Exit

        if self.exit is None:  # a handler may come between: one of the two is kept
            vars(self).setdefault("exit", Exit(self))
        return self.exit

    def _hook(self) -> None:
        """Begin the exit, on the main thread and before Python joins the other ones."""
        if self._dropped:
            try:
                self._say_dropped()
            except BaseException:  # noqa: S110
                pass  # somebody's handler has raised, and other hooks must run
        if (ending := self.ending()) is not None:
            ending.hook()

    def at_exit(self) -> None:
        """Complete the exit, on the main thread and after Python has joined the other ones."""
        if (ending := self.ending()) is not None:
            ending.at_exit()

    def _say_dropped(self) -> None:
        """Say that items of the parent process have not been run in this one."""
        from graceexit._exit import in_child
        from graceexit._report import DEBUG, WARNING

        self.registry._say(
            DEBUG if in_child() else WARNING,
            f"{self._dropped} registrations of the parent process were not run in this fork of it;"
            " register in the child, or register callbacks with each_process=True",
        )
        self.registry._flush(1.0)

    def _before_fork(self) -> None:
        self.forking.append(True)
        if self.exit is not None:
            self.exit.disarm()

    def _after_fork_in_parent(self) -> None:
        del self.forking[:1]
        if self.exit is not None:
            self.exit.arm()

    def _after_fork(self) -> None:
        """Begin anew in a forked child, with the callbacks that each process is to run."""
        if os.getpid() == self._pid:  # a handler has done it
            return
        self.forking.clear()
        self.handlers.give_back()
        was_installed = self._installed
        items = self.registry._items
        kept = [item for item in items if item.each_process]
        dropped = self._dropped + len(items) - len(kept)
        items.clear()  # a run that was in progress in the parent finds nothing here
        self.registry._reset()
        self.registry._items.update(dict.fromkeys(kept, True))
        self._begin_anew()
        self._dropped = dropped
        if kept and was_installed:
            self._installed = True
            self.be_first()
        self._pid = os.getpid()


def grace_of_environment() -> float | None:
    """Return the grace that the variable GRACEEXIT_GRACE gives, None if it does not."""
    text = os.environ.get("GRACEEXIT_GRACE", "").strip()
    try:
        return seconds(float(text), "GRACEEXIT_GRACE") if text else None
    except ValueError:
        raise ValueError(f"GRACEEXIT_GRACE must be seconds above zero; got {text!r}") from None


own = Process()
