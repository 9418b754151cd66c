"""
What belongs to this process: its registry, what `install` has changed, and what a fork drops.

All state of the package is one `Process`; how it ends is a module of its own (`_exit`), which is
imported when something is registered. A forked child begins anew: it forgets the exit and the
handlers, keeps the settings, and installs again if a callback is kept.
"""

import _thread
import atexit
import os

from graceexit import _signals
from graceexit._latch import Latch, is_main_interpreter
from graceexit._registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import EllipsisType, FrameType

    from graceexit._executors import Executors
    from graceexit._exit import Exit
    from graceexit._hold import Hold
    from graceexit._hook import Hook
    from graceexit._items import Item
    from graceexit._report import Report
    from graceexit._settings import Settings


class Process:
    """What this process has registered and installed."""

    # Its end, made when that begins: its locks have to be gevent's if gevent has patched by then.
    exit: "Exit | None" = None

    def __init__(self) -> None:
        self.registry = Registry()
        self.exiting = Latch()
        self.handlers = _signals.Handlers(self._on_signal, self._on_ctrl_c, self._before_death)
        self._settings: Settings | None = None  # imported by the first install, as the hooks are
        self._hook: Hook | None = None
        self._holding: Hold | None = None  # once `hold` has been called
        self._executors: Executors | None = None
        self._installed = False
        self._handled = False  # handlers are set, or can never be
        self._is_deadly = False  # a signal would have run nothing as something was registered
        self._pid = 0  # where it was installed first; a fork is noticed by it
        self._dropped: list[Item] = []  # registered by the parent, in a forked child
        self._forking: dict[int, list[Item]] = {}  # by thread what was registered as it began to
        self.registry._attend = self.install

    @property
    def settings(self) -> "Settings":
        """What `install` was told."""
        if self._settings is None:
            from graceexit._settings import Settings

            self._settings = Settings()
        return self._settings

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
        self.settings.change(grace, linger, signals, report)
        # An exception may come at any moment of what follows; then it is done again.
        import_what_is_needed(self.settings)
        from graceexit._executors import Executors
        from graceexit._hook import Hook

        self._executors = self._executors or Executors()
        self._hook = self._hook or Hook(self._on_end)
        if not self._pid:  # the fork of a process that has only imported us goes unnoticed
            atexit.register(self.at_exit)
            call_at_forks(self._before_fork, self._after_fork_in_parent, self._after_fork)
            self._pid = os.getpid()
        self._executors.hold_finalizers(lambda: self._installed and bool(self.registry))
        self._installed = True
        self._hook.install()
        self._set_handlers()

    def _set_handlers(self) -> None:
        """Set the handlers, as soon as that is possible: on the main thread."""
        ending = self.exit
        self.registry._attend = self._set_missing if ending is None else ending.ender.start
        is_possible = self.handlers.install(self.settings.signals)
        if is_possible and self.settings.grace is not None:
            self.handlers.put_for_ctrl_c()
        # Where the main thread cannot set them nobody can, nor in a subinterpreter. Another thread
        # leaves it to the next registration.
        if is_possible or _signals.is_main_thread() or not is_main_interpreter():
            self._handled = True
        self._is_deadly = not self._handled and _signals.kills_at_once(self.settings.signals)
        if self._handled and ending is None:
            self.registry._attend = None

    def _set_missing(self) -> None:
        """Set the handlers if that is possible now, and touch nothing if not: a thread may fork."""
        if _signals.is_main_thread():
            self._set_handlers()

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
        self._settings = None
        if self._hook is not None:
            self._hook.uninstall()

    def _begin_anew(self) -> None:
        """Forget everything about an exit: a new process, or a new test."""
        self.handlers.uninstall()
        self._installed = self._handled = self._is_deadly = False
        if (ending := vars(self).pop("exit", None)) is not None:
            ending.ender.abandon()
        if self._executors is not None:
            self._executors.forget()
        self._dropped = []
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

            holding = self._holding = Hold()
        # Whoever has Python's own handler from before may set it again, as ipykernel does.
        if (not holding.is_ready or _signals.has_pythons_ctrl_c()) and _signals.is_main_thread():
            if not holding.is_ready:
                self.install()
            self.handlers.put_for_ctrl_c()
            holding.is_ready = True
        return holding

    def shutdown(self) -> "Report":
        """
        Run every item now, whatever its order, without waiting for other threads.

        For a process that exits without a signal or a normal return, such as by `os._exit`, and
        for a server's own shutdown event: `await asyncio.to_thread(graceexit.shutdown)`. It sets
        `exiting`. A second call, from any thread, waits for the first and finds nothing left; a
        call from inside an item returns at once. Afterwards the registry is empty and open: what
        is registered later is run later.

        Returns:
            What was run, and how it went.
        """
        self.exiting.set()
        log = self.registry._runs().log
        log.why = "in shutdown()"
        report = self.registry.run()
        report.signum = self.exiting.signum
        if self.exit is None and self.settings.report is not None:
            from graceexit._account import publish

            publish(log, self.settings.report, report, {})
            log.flush(1.0)
        return report

    def ending(self) -> "Exit | None":
        """Return the end of this process, begun by whoever asks first; None if not installed."""
        if self._installed and os.getpid() != self._pid:
            self._after_fork()  # a signal has come before the hook of the fork
        if self._installed and self.exit is None:
            from graceexit._ender import Ender
            from graceexit._exit import Exit

            given = self.registry._runs(), self.exiting, self.handlers, self._executors
            ender = Ender(*given, self.settings, self.at_exit)  # type: ignore[arg-type]
            holding = lambda: self._holding  # noqa: E731
            ending = Exit(ender, self.registry, self.exiting, self.handlers, holding)
            ending.limits.is_forking = lambda: bool(self._forking)
            vars(self).setdefault("exit", ending)  # a handler may come between: one of two is kept
        return self.exit

    def _on_signal(self, signum: int, frame: "FrameType | None", layer: _signals.Layer) -> object:
        """Note a signal, and do what was done before; what killed ends the process instead."""
        in_front = _signals.is_in_front(layer)
        if (ending := self.ending()) is not None:
            ending.notice(signum)
        if callable(layer.previous):
            return layer.previous(signum, frame)
        if not in_front:  # another handler has called ours, and decides what comes of it
            return None
        if ending is None:  # uninstalled, or a forked child that has registered nothing
            _signals.die(signum)
        else:
            ending.end_by(signum, frame)
        return None

    def _on_ctrl_c(self, signum: int, frame: "FrameType | None", layer: _signals.Layer) -> object:
        """Note Ctrl-C, and raise KeyboardInterrupt unless the main thread has something in hand."""
        if (ending := self.ending()) is not None and ending.press(signum):
            return None
        return layer.previous(signum, frame)

    def _before_death(self, signum: int) -> None:
        """Run the items before the process sends itself a signal that kills it."""
        if (ending := self.ending()) is not None:
            ending.run_before_death(signum)

    def _on_end(self) -> "Callable[[], None] | None":
        """Begin the exit: the main thread has ended; return what goes on when Python has joined."""
        dropped, self._dropped = self._dropped, []
        unhandled = self._installed and self._is_deadly and bool(self.registry)
        unhandled = unhandled and _signals.kills_at_once(self.settings.signals)
        if dropped or unhandled:
            from graceexit._story import say_what_was_not_run

            log = self.registry._runs().log
            say_what_was_not_run(log, self.exiting.signum, dropped, unhandled=unhandled)
        if (ending := self.ending()) is None:
            return None
        ending.hook()
        return ending.joined

    def at_exit(self) -> None:
        """Complete the exit, on the main thread and after Python has joined the other ones."""
        if (ending := self.ending()) is not None:
            ending.at_exit()

    def _before_fork(self) -> None:
        """Note that this thread is forking, and what is registered."""
        self._forking[_thread.get_ident()] = list(self.registry._items)
        if self.exit is not None:
            self.exit.limits.disarm()

    def _after_fork_in_parent(self) -> None:
        """Note that it has done so."""
        self._forking.pop(_thread.get_ident(), None)
        if self.exit is not None:
            self.exit.limits.arm()

    def _after_fork(self) -> None:
        """Begin anew in a forked child, with the callbacks that each process is to run."""
        if os.getpid() == self._pid:  # a handler has done it
            return
        # Without a GIL a dict has a lock, which a thread that is not here any more may have; a look
        # whether something is in it takes none. Code in C may fork without having said so before.
        items, forking, self._forking = self.registry._items, self._forking, {}
        known = forking.get(_thread.get_ident())
        known = list(items) if known is None else [item for item in known if item in items]
        was_installed = self._installed
        dropped = [*self._dropped, *known]
        self.registry._begin_anew(known)
        self._begin_anew()
        self._dropped = [item for item in dropped if item not in self.registry._items]
        if was_installed and self.registry:
            self.install()
            self.registry._attend = self.install  # for code in C may set its handlers behind this
        self._pid = os.getpid()


def call_at_forks(
    before: "Callable[[], None]",
    after_in_parent: "Callable[[], None]",
    after_in_child: "Callable[[], None]",
) -> None:
    """Have these called at every fork."""
    from graceexit._cpython import complete_main_thread

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=complete_main_thread)
        os.register_at_fork(
            before=before, after_in_parent=after_in_parent, after_in_child=after_in_child
        )


def import_what_is_needed(settings: "Settings") -> None:
    """Import what the exit needs now, so that nothing has to be found and read then."""
    import graceexit._exit
    import graceexit._limits

    try:
        import faulthandler  # noqa: F401
    except ImportError:  # pragma: no cover - a subinterpreter, which cannot be measured
        pass
    if settings.grace is not None:
        graceexit._limits.import_for_a_socket()
    if settings.report is not None:
        import graceexit._account


# What Python says of a wrong call speaks of what people have written.
for _verb in (Process.install, Process.uninstall, Process.hold, Process.shutdown):
    _verb.__qualname__ = _verb.__name__

own = Process()
