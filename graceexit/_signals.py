"""
Handlers: stand in front of what is there, give everything back, and die of a signal.

Decisions:

* SIGINT with `default_int_handler` is left alone, for KeyboardInterrupt leads to the exit by itself
  and asyncio and Twisted look for exactly this handler. A callable for SIGINT is left alone too.
* SIG_IGN and handlers that are not Python's are left alone: somebody wants them so.
* `siginterrupt` has no getter. It stays as `signal.signal` sets it, True: with False a main thread
  that waits for a lock without a limit would never come to the program's own handler. gunicorn and
  asyncio set False for theirs, for the sake of C code that does not go on after EINTR.
* The signal that makes the main thread leave a join is SIGURG, not a termination signal: by default
  it does nothing, so a late one is harmless, and SIGTERM keeps one meaning. Go's runtime interrupts
  its threads with it for the same reasons.
* `signal.raise_signal` is the one function replaced, for a server that restores SIG_DFL and sends
  itself the signal (uvicorn) dies without coming to any hook. Blocking the signal with
  `pthread_sigmask` instead would be inherited by children, which then survive `terminate()`.
* Another thread than the main one cannot set SIG_DFL through Python; the C function can.
* Windows has no SIGURG or `pthread_kill`: what needs them is left out there.
"""

import _thread
import os
import signal
import sys
import time
from signal import SIG_DFL, SIGINT, getsignal
from signal import raise_signal as real_raise_signal
from threading import main_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any

    from graceexit._exit import Exit
    from graceexit._process import Process


SIGURG = getattr(signal, "SIGURG", None)
DEFAULT = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)
UNCATCHABLE = {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")}


class Leave(BaseException):
    """Raised in the main thread to make it leave a join that would last for ever."""


class Handler:
    """What Python calls for a signal: it tells the owner, then does what was done before."""

    __slots__ = ("owner", "previous")

    def __init__(self, owner: "Process", previous: "Any") -> None:
        self.owner = owner
        self.previous = previous

    def __call__(self, signum: int, frame: "FrameType | None") -> object:
        """Handle *signum*."""
        ending = self.owner.ending()
        if ending is not None:
            ending.notice(signum)
        if callable(self.previous):
            return self.previous(signum, frame)
        if ending is not None:
            ending.end_by(signum, frame)
        else:
            # Uninstalled, or a forked child that has registered nothing: as if we were not here.
            signal.signal(signum, SIG_DFL)
            real_raise_signal(signum)
        return None


class Handlers:
    """The signal handlers of one process, and the way back."""

    def __init__(self, owner: "Process") -> None:
        self.owner = owner
        self.signals: tuple[int, ...] = ()
        self._layers: list[tuple[int, Handler]] = []  # in the order in which they were installed
        self._taken: list[tuple[int, Any]] = []  # what stood there before the exit began
        self._real: Callable[[int], None] | None = None  # what our raise_signal has replaced

    def install(self, signals: "Iterable[int]") -> None:
        """Go in front of the handler of each signal; one no longer wanted is given back."""
        self._give_back_layers(keep=set(signals))
        self.signals = tuple(signals)
        for signum in self.signals:
            self._go_in_front(signum)
        if self._real is None:
            self._real = signal.raise_signal
            signal.raise_signal = self._raise_signal

    def uninstall(self) -> None:
        """Put back every handler that is still ours, and `raise_signal`."""
        self.give_back()
        self._give_back_layers(keep=set())
        self.signals = ()
        if self._real is not None and signal.raise_signal == self._raise_signal:
            signal.raise_signal = self._real
            self._real = None

    def take_over(self, ending: "Exit") -> None:
        """Take what could cut the exit short: Ctrl-C, signals with their default action."""
        for signum in self.signals:
            if signum != SIGINT and getsignal(signum) is SIG_DFL:
                self._take(signum, Handler(self.owner, SIG_DFL))
        if getsignal(SIGINT) is SIG_DFL or callable(getsignal(SIGINT)):
            self._take(SIGINT, ending.interrupt)
        self.allow_leaving(ending)

    def allow_leaving(self, ending: "Exit") -> None:
        """Let the main thread be made to leave its join."""
        if SIGURG is not None:
            self._take(SIGURG, ending.leave)

    def give_back(self) -> None:
        """Put back what `take_over` took."""
        while self._taken:
            set_handler(*self._taken.pop())

    def _take(self, signum: int, handler: "Any") -> None:
        previous = getsignal(signum)
        if previous is not None and previous != handler:
            # Noted first, for a handler may raise behind the next line.
            self._taken.append((signum, previous))
            set_handler(signum, handler)

    def _go_in_front(self, signum: int) -> None:
        """Install a handler for *signum* in front of the one that is there, if that is wanted."""
        current: Any = getsignal(signum)
        if isinstance(current, Handler) and current.owner is self.owner:
            return
        if current is SIG_DFL or (callable(current) and signum != SIGINT):
            handler = Handler(self.owner, current)
            if set_handler(signum, handler):
                self._layers.append((signum, handler))

    def _give_back_layers(self, keep: set[int]) -> None:
        """Put back what stood behind our handlers, except for the signals to *keep*."""
        for signum, handler in reversed(self._layers):
            current: Any = getsignal(signum)
            if signum not in keep and current is handler:
                set_handler(signum, handler.previous)
        self._layers = [layer for layer in self._layers if layer[0] in keep]

    def _raise_signal(self, signalnum: int, /) -> None:
        """Send the signal *signalnum* to this process, after what must run before its death."""
        ending = self.owner.ending()
        if (
            ending is not None
            and signalnum in self.signals
            and is_main_thread()
            and getsignal(signalnum) is SIG_DFL
        ):
            self.take_over(ending)  # a second signal must not kill half way
            try:
                ending.run_before_death(signalnum)
            finally:
                self.give_back()
        (self._real or real_raise_signal)(signalnum)


def set_handler(signum: int, handler: "Any") -> bool:
    """Set the handler; return whether that is possible: on the main thread, for this signal."""
    try:
        signal.signal(signum, handler)
    except (ValueError, OSError):
        return False
    return True


def is_main_thread() -> bool:
    """Return whether the calling thread is the main one, without a trace in `threading`."""
    return _thread.get_ident() == main_thread().ident


def interrupt_main(signum: int | None) -> bool:
    """Send *signum* to the main thread alone; return whether that is possible."""
    ident = main_thread().ident
    if signum is None or ident is None or not hasattr(signal, "pthread_kill"):
        return False
    signal.pthread_kill(ident, signum)
    return True


def checked(signals: "Iterable[int]") -> tuple[int, ...]:
    """Return *signals* as a tuple if each can have a handler."""
    rule = "signals must be signal numbers such as (signal.SIGTERM, signal.SIGINT)"
    if isinstance(signals, str) or not hasattr(signals, "__iter__"):
        raise TypeError(f"{rule}; got {signals!r}")
    signals = tuple(signals)
    for signum in signals:
        if isinstance(signum, bool) or not isinstance(signum, int):
            raise TypeError(f"{rule}; got {signum!r}")
        if signum not in signal.valid_signals() or signum in UNCATCHABLE:
            raise ValueError(f"{rule}; no handler can be set for {signum!r}")
    return signals


def die(
    signum: int,
    *,
    kill: "Callable[[int, int], None]" = os.kill,
    end: "Callable[[int], Any]" = os._exit,
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
            ctypes = sys.modules["ctypes"]
            c_signal = ctypes.CDLL(None).signal
            c_signal.argtypes, c_signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
            c_signal(signum, None)
            kill(os.getpid(), signum)
            # Another thread may be the one that the kernel chooses.
            time.sleep(0.5)  # pragma: no cover - process 1
    finally:
        end(128 + signum)
