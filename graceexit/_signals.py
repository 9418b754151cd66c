"""
Handlers: stand in front of what is there, give everything back, and die of a signal.

What a handler does is given to this module. Decisions:

* SIGINT with `default_int_handler` is left alone, for KeyboardInterrupt leads to the exit by itself
  and asyncio, trio and Twisted look for exactly this handler. Who has to know of Ctrl-C at once
  (`grace`, `hold`) gets a handler in front of it, and `signal.default_int_handler` is that handler
  too, so that they find what they look for. Handlers of asyncio and trio are always left alone.
* SIG_IGN and handlers that are not Python's are left alone: somebody wants them so.
* A handler of ours is set again by each `install`: code in C may have replaced it, which
  `getsignal` does not show.
* `siginterrupt` has no getter. It stays as `signal.signal` sets it, True: with False a main thread
  that waits for a lock without a limit would never come to the program's own handler. gunicorn and
  asyncio set False for theirs, for the sake of C code that does not go on after EINTR.
* The signal that makes the main thread leave a join is SIGURG, not a termination signal: by default
  it does nothing, so a late one is harmless, and SIGTERM keeps one meaning. Go's runtime interrupts
  its threads with it for the same reasons.
* `signal.raise_signal` is replaced, for a server that restores SIG_DFL and sends itself the signal
  (uvicorn) dies without coming to any hook; and on another thread it would wake nobody. Blocking
  the signal with `pthread_sigmask` instead would be inherited by children, which then survive
  `terminate()`.
* Another thread than the main one cannot set SIG_DFL through Python. `faulthandler.unregister` can,
  where `faulthandler.register` has found SIG_DFL: so that is called under our handler. Elsewhere
  the C function does it.
* Windows has no SIGURG or `pthread_kill`: what needs them is left out there.
"""

import _thread
import os
import signal
import sys
import time
from signal import SIGINT
from signal import default_int_handler as real_int_handler
from signal import raise_signal as real_raise_signal
from threading import main_thread

from graceexit._latch import StandIn, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any, TypeAlias

    # What a handler of ours does; it is given itself.
    Act: TypeAlias = Callable[[int, FrameType | None, "Layer"], object]


SAME_PRESS = 0.5  # seconds within which Ctrl-C pressed again is the same press
SIGURG = getattr(signal, "SIGURG", None)
# Those of `signal` make enums of what they return, and take up to a hundred times as long.
getsignal: "Any" = sys.modules["_signal"].getsignal
quick_signal: "Any" = sys.modules["_signal"].signal
SIG_DFL: int = sys.modules["_signal"].SIG_DFL
OF_LOOPS = ("asyncio.", "trio.")  # modules of handlers of SIGINT that have to be where they are


class Layer:
    """What Python calls for a signal: ours, in front of what was there before."""

    graceexit = True  # which another copy of the package looks for

    def __init__(self, signum: int, act: "Act", previous: "Any") -> None:
        self.signum = signum
        self.act = act
        self.previous = previous

    def __call__(self, signum: int, frame: "FrameType | None") -> object:
        """Handle *signum*."""
        return self.act(signum, frame, self)


class Handlers:
    """The signal handlers of one process, and the way back."""

    def __init__(
        self, act: "Act", on_ctrl_c: "Act", before_death: "Callable[[int], object]"
    ) -> None:
        self.signals: tuple[int, ...] = ()
        self._act = act
        self._before_death = before_death  # what runs before the process sends itself a signal
        self._layers: list[Layer] = []  # in the order in which they were installed
        self._raising = StandIn(signal, "raise_signal", self._raise_signal)
        noticing = Layer(SIGINT, on_ctrl_c, real_int_handler)
        self._ctrl_c = StandIn(signal, "default_int_handler", noticing)

    def install(self, signals: "Iterable[int]") -> bool:
        """
        Go in front of the handler of each signal; one no longer wanted is given back.

        Returns:
            Whether handlers can be set here.
        """
        self.signals = tuple(signals)
        ours = [one for one in self._layers if one.act == self._act]
        self.give_back([one for one in ours if one.signum not in self.signals])
        self._raising.put()
        wanted = [one for one in self.signals if one != SIGINT or is_to_be_noticed(getsignal(one))]
        are_set = [self.put(signum, self._act) for signum in wanted]
        return all(are_set)

    def uninstall(self) -> None:
        """Put back every handler that is still ours, and the functions of `signal`."""
        self.give_back([self._ctrl_c.ours, *self._layers])
        self.signals = ()
        self._ctrl_c.take_away()
        self._raising.take_away()

    def put(self, signum: int, act: "Act") -> bool:
        """
        Have *act* called for *signum*, in front of what is there, unless that is to be left.

        Returns:
            Whether that is possible here.
        """
        current = getsignal(signum)
        if current is not SIG_DFL and not callable(current):
            return True
        if not set_handler(signum, current):  # if it is ours, code in C may have replaced it
            return False
        if not isinstance(current, Layer) or current.act != act:
            layer = Layer(signum, act, current)
            self._layers.append(layer)  # first, for a handler may raise behind the next
            if current is SIG_DFL and signum in self.signals:
                remember_default(signum)
            set_handler(signum, layer)
        return True

    def put_for_ctrl_c(self) -> None:
        """Go in front of Python's own handler of Ctrl-C, if that is there."""
        if has_pythons_ctrl_c() and set_handler(SIGINT, self._ctrl_c.ours):
            self._ctrl_c.put()

    def take_over(self, interrupt: "Act", leave: "Act") -> list[Layer]:
        """
        Take what could cut the exit short, and what makes the main thread leave its join.

        Returns:
            What `give_back` takes.
        """
        before = len(self._layers)
        for signum in self.signals:
            if signum != SIGINT and getsignal(signum) is SIG_DFL:
                self.put(signum, self._act)
        self.put(SIGINT, interrupt)
        self.put_for_leaving(leave)
        return self._layers[before:]

    def put_for_leaving(self, leave: "Act") -> bool:
        """
        Have *leave* called when another thread wants the main thread to leave something.

        Returns:
            Whether that is possible.
        """
        if SIGURG is None:
            return False
        possible = self.put(SIGURG, leave)
        unblock(SIGURG)  # for a program that takes its signals by `sigwait`
        return possible

    def give_back(self, layers: list[Layer]) -> None:
        """Put back what stood behind these handlers of ours."""
        for layer in reversed(layers):
            if getsignal(layer.signum) is layer:
                forget_default(layer.signum)
                set_handler(layer.signum, layer.previous)
        self._layers = [one for one in self._layers if one not in layers]

    def _raise_signal(self, signalnum: int, /) -> None:
        """Send the signal *signalnum* to this process, after what must run before its death."""
        handler = getsignal(signalnum) if signalnum in self.signals else None
        if handler is SIG_DFL and is_main_thread():
            self._before_death(signalnum)
        # The thread that calls this would get it, and a main thread that waits would not notice.
        if isinstance(handler, Layer) and not is_main_thread():
            is_sent = interrupt_main(signalnum)
            if is_sent and callable(handler.previous):  # which is to be called once
                return
        (self._raising.real or real_raise_signal)(signalnum)


def is_in_front(layer: Layer) -> bool:
    """Return whether Python calls *layer*, and not a handler of somebody else which calls it."""
    current: object = getsignal(layer.signum)
    while current is not layer and hasattr(type(current), "graceexit"):
        current = getattr(current, "previous", None)
    return current is layer


def has_pythons_ctrl_c() -> bool:
    """Return whether Ctrl-C raises KeyboardInterrupt."""
    return bool(getsignal(SIGINT) is real_int_handler)


def is_to_be_noticed(handler: "Any") -> bool:
    """Return whether *handler*, of SIGINT, is the program's own, or none."""
    if handler is real_int_handler or isinstance(handler, Layer):
        return False
    module = getattr(getattr(handler, "func", handler), "__module__", None) or ""
    return not module.startswith(OF_LOOPS)


def kills_at_once(signals: "Iterable[int]") -> bool:
    """Return whether one of *signals* has no handler."""
    return any(getsignal(one) is SIG_DFL for one in signals)


def set_handler(signum: int, handler: "Any") -> bool:
    """Set the handler; return whether that is possible: on the main thread, for this signal."""
    try:
        # Whoever has replaced `signal.signal` is to know of our handlers.
        is_pythons = getattr(signal.signal, "__globals__", None) is vars(signal)
        (quick_signal if is_pythons else signal.signal)(signum, handler)
    except (ValueError, OSError):
        return False
    return True


def remember_default(signum: int) -> None:
    """Have `forget_default` bring back SIG_DFL, which is what C code finds there now."""
    register = getattr(sys.modules.get("faulthandler"), "register", None)
    if register is not None:
        register(signum, file=2, all_threads=False, chain=True)


def forget_default(signum: int) -> bool:
    """Set SIG_DFL behind Python's back, on any thread; return whether that was possible."""
    unregister = getattr(sys.modules.get("faulthandler"), "unregister", None)
    return unregister is not None and bool(unregister(signum))


def is_main_thread() -> bool:
    """Return whether the calling thread is the main one, without a trace in `threading`."""
    return _thread.get_ident() == main_thread().ident


def interrupt_main(signum: int | None = SIGURG) -> bool:
    """Send a signal to the main thread alone; return whether that is possible."""
    ident = main_thread().ident
    if SIGURG is None or signum is None or ident is None:
        return False
    try:
        if ident in sys._current_frames():
            signal.pthread_kill(ident, signum)
        else:  # gevent's is a greenlet, and what the number of one does in C is anybody's guess
            os.kill(os.getpid(), signum)
    except ProcessLookupError:  # in a child that a thread has forked at this moment
        return False
    return True


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
            unblock(signum)
            real_raise_signal(signum)
        else:
            # Within a second, for the lock of the imports may be taken for ever.
            if not forget_default(signum) and within(1.0, lambda: __import__("ctypes")):
                sys.modules["ctypes"].CDLL(None).signal(signum, None)
            unblock(signum)
            kill(os.getpid(), signum)
            # Another thread may be the one that the kernel chooses.
            time.sleep(0.5)  # pragma: no cover - process 1
    finally:
        end(128 + signum)


def unblock(signum: int) -> None:
    """Let *signum* come through to the calling thread."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signum])
