"""
Handlers: stand in front of what is there, give everything back, and die of a signal.

Decisions:

* SIGINT with `default_int_handler` is left alone, for KeyboardInterrupt leads to the exit by itself
  and asyncio and Twisted look for exactly this handler. A callable for SIGINT is left alone too.
* SIG_IGN and handlers that are not Python's are left alone: somebody wants them so.
* `siginterrupt` has no getter. A handler that we go in front of gets `siginterrupt(signum, False)`,
  as gunicorn sets it; `signal.signal` has just reset it to True.
* The signal that makes the main thread leave a join is SIGURG, not a termination signal: by default
  it does nothing, so a late one is harmless, and SIGTERM keeps one meaning. Go's runtime chose it
  for the same reasons.
* `signal.raise_signal` is the one function replaced, for a server that restores SIG_DFL and sends
  itself the signal (uvicorn) dies without coming to any hook. Blocking the signal with
  `pthread_sigmask` instead would be inherited by children, which then survive `terminate()`.
* Another thread than the main one cannot set SIG_DFL through Python; the C function can.
* Windows has no SIGURG, `siginterrupt` or `pthread_kill`: what needs them is left out there.
"""

from __future__ import annotations

import os
import signal
import time
from _thread import get_ident
from signal import SIG_DFL, SIGINT, default_int_handler, getsignal
from signal import raise_signal as real_raise_signal
from threading import main_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any

LEAVE = getattr(signal, "SIGURG", None)
DEFAULT = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)


class Leave(BaseException):
    """Raised in the main thread to make it leave a join that would last for ever."""


class Handler:
    """What Python calls for a signal: it tells the owner, then does what was done before."""

    __slots__ = ("owner", "previous")

    def __init__(self, owner: Handlers, previous: Any) -> None:
        self.owner = owner
        self.previous = previous

    def __call__(self, signum: int, frame: FrameType | None) -> object:
        if self.owner.live():
            self.owner.notice(signum)
            if not callable(self.previous):
                return self.owner.ours(signum, frame)
        if callable(self.previous):
            return self.previous(signum, frame)
        # Uninstalled, or a forked child that has registered nothing: as if we were not here.
        signal.signal(signum, SIG_DFL)
        return real_raise_signal(signum)


class Handlers:
    """
    The signal handlers of one process, and the way back.

    Given are the callables that know what a signal means: `live` says whether graceexit has
    anything to do in this process, `notice` is told of every signal, `ours` ends the process in
    place of the default action, `interrupt` is Ctrl-C during the exit, `may_leave` says whether the
    main thread is to leave its join, `last` runs before the process kills itself.
    """

    def __init__(
        self,
        *,
        live: Callable[[], bool],
        notice: Callable[[int], None],
        ours: Callable[[int, FrameType | None], None],
        interrupt: Callable[[int, FrameType | None], None],
        may_leave: Callable[[], bool],
        last: Callable[[int], None],
    ) -> None:
        self.live = live
        self.notice = notice
        self.ours = ours
        self.interrupt = interrupt
        self.may_leave = may_leave
        self.last = last
        self.signals: tuple[int, ...] = ()
        self._layers: list[tuple[int, Handler]] = []  # in the order in which they were installed
        self._taken: list[tuple[int, Any]] = []  # what stood there before the exit began
        self._real: Callable[[int], None] = real_raise_signal
        self._wrapper: Callable[[int], None] | None = None

    def install(self, signals: Iterable[int]) -> None:
        """Go in front of the handler of each signal; one no longer wanted is given back."""
        self.signals = tuple(signals)
        self._give_back_layers(keep=self.signals)
        for signum in self.signals:
            self._go_in_front(signum)
        if self._wrapper is None:
            self._real = signal.raise_signal
            self._wrapper = signal.raise_signal = self._raise_signal

    def uninstall(self) -> None:
        """Put back every handler that is still ours, and `raise_signal`."""
        self.give_back()
        self._give_back_layers(keep=())
        self.signals = ()
        if self._wrapper is not None and signal.raise_signal == self._wrapper:
            signal.raise_signal = self._real
            self._wrapper = None

    def take_over(self) -> None:
        """Take what could cut the exit short: Ctrl-C, signals with their default action."""
        for signum in self.signals:
            if signum != SIGINT and getsignal(signum) is SIG_DFL:
                self._take(signum, Handler(self, SIG_DFL))
        if getsignal(SIGINT) is SIG_DFL or callable(getsignal(SIGINT)):
            self._take(SIGINT, self.interrupt)
        if LEAVE is not None:
            self._take(LEAVE, self._leave)

    def give_back(self) -> None:
        """Put back what `take_over` took."""
        while self._taken:
            signum, previous = self._taken.pop()
            if previous is not None:
                set_handler(signum, previous)

    def _take(self, signum: int, handler: Any) -> None:
        previous = getsignal(signum)
        if set_handler(signum, handler):
            self._taken.append((signum, previous))

    def _go_in_front(self, signum: int) -> None:
        """Install a handler for *signum* in front of the one that is there, by the table above."""
        current = getsignal(signum)
        if isinstance(current, Handler) and current.owner is self:
            return
        if current is not SIG_DFL and (not callable(current) or signum == SIGINT):
            return
        handler = Handler(self, current)
        if set_handler(signum, handler):
            self._layers.append((signum, handler))
            if current is not SIG_DFL and hasattr(signal, "siginterrupt"):
                signal.siginterrupt(signum, False)

    def _give_back_layers(self, keep: tuple[int, ...]) -> None:
        """Put back what stood behind our handlers, except for the signals to *keep*."""
        for signum, handler in reversed(self._layers):
            if signum not in keep and getsignal(signum) is handler:
                set_handler(signum, handler.previous)
        self._layers = [layer for layer in self._layers if layer[0] in keep]

    def _leave(self, signum: int, frame: FrameType | None) -> None:
        """Make the main thread leave the join, if that is asked for."""
        if self.may_leave():
            raise Leave

    def _raise_signal(self, signalnum: int, /) -> None:
        """Send the signal *signalnum* to this process; what must run before its death runs first."""
        if (
            self.live()
            and signalnum in self.signals
            and is_main_thread()
            and getsignal(signalnum) is SIG_DFL
        ):
            # A second signal must not kill half way.
            self.take_over()
            try:
                self.last(signalnum)
            finally:
                self.give_back()
        self._real(signalnum)


def set_handler(signum: int, handler: Any) -> bool:
    """Set the handler; return whether that is possible (on the main thread of the interpreter)."""
    try:
        signal.signal(signum, handler)
    except (ValueError, OSError):
        return False
    return True


def is_main_thread() -> bool:
    """Return whether the calling thread is the main one, without a trace in `threading`."""
    return get_ident() == main_thread().ident


def die(
    signum: int,
    *,
    kill: Callable[[int, int], None] = os.kill,
    end: Callable[[int], Any] = os._exit,
) -> None:
    """
    End the process by *signum*, so that its parent sees that signal as the cause of death.

    As process 1 of a container, to which the kernel does not apply default actions, it ends with
    the status by which a shell reports that signal.
    """
    try:
        if is_main_thread():
            signal.signal(signum, SIG_DFL)
            real_raise_signal(signum)
        else:
            import ctypes

            c_signal = ctypes.CDLL(None).signal
            c_signal.argtypes, c_signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
            c_signal(signum, None)
            kill(os.getpid(), signum)
            time.sleep(0.5)  # another thread may be the one that the kernel chooses
    finally:
        end(128 + signum)
