"""
What a signal handler may touch: a flag to set, a bell to ring, a raw thread to start.

`threading.Event` and `threading.Condition` are not for handlers: `set()` takes a lock, and a
handler that runs while the same thread holds that lock waits for itself for ever. Releasing a lock
that was acquired beforehand never waits, so both classes here are one such lock. For the same
reason a thread is started by `_thread` and not by `threading`.
"""

import _thread
import threading
from threading import TIMEOUT_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


# Seconds after which a thread that waits looks for what nobody has told it, such as a signal that
# came as it began to wait. Whole seconds are no multiple of it: faulthandler may crash where a
# thread runs as it prints the stacks.
LOOK = 0.77


class Bell:
    """Wakes the one thread that waits for it; a ring that nobody waits for is kept for the next."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the waiting thread. Safe in a signal handler."""
        try:
            self._lock.release()
        except RuntimeError:  # it has been rung already, perhaps by another thread at this moment
            pass

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a ring, *timeout* seconds at most; return whether one came."""
        return self._lock.acquire(timeout=-1 if timeout is None else limited(timeout))


class Latch:
    """
    A flag that is set once and can be waited for.

    Every method is safe from any thread and from a signal handler.

    Attributes:
        signum: The signal that set the latch, None where none did.
    """

    __module__ = "graceexit"
    __slots__ = ("_bell", "_flag", "signum")

    signum: int | None

    def __init__(self) -> None:
        self.clear()

    def __repr__(self) -> str:
        return f"<graceexit.Latch {'set' if self._flag else 'unset'} signum={self.signum}>"

    def is_set(self) -> bool:
        """Return whether the latch has been set."""
        return self._flag

    def set(self) -> None:
        """Set the latch and wake everyone who waits for it. A second call changes nothing."""
        self._flag = True
        self._bell.ring()

    def clear(self) -> None:
        """Begin anew, in a forked child or between tests; who waits now is not woken any more."""
        self._bell = Bell()
        self.signum = None
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """
        Wait until the latch is set.

        Args:
            timeout: Seconds to wait at most; None waits for as long as it takes.

        Returns:
            Whether the latch is set.
        """
        bell = self._bell
        try:
            if not self._flag:
                bell.wait(timeout)
        finally:
            # Once the flag is up each waiter wakes the next one.
            if self._flag:
                bell.ring()
        return self._flag


def limited(timeout: float) -> float:
    """Return *timeout* within what a lock takes."""
    return min(max(timeout, 0.0), TIMEOUT_MAX)


def start_thread(function: "Callable[[], object]") -> bool:
    """
    Start a thread, of which `threading` knows nothing; return whether that is possible.

    It is not in a subinterpreter, which aborts the process if it ends while a thread of it lives.
    """
    ask = getattr(_thread, "_is_main_interpreter", None)  # 3.13 and later
    ask = ask or getattr(threading, "_is_main_interpreter", None)
    if ask is not None and not ask():
        return False  # pragma: no cover - a subinterpreter cannot be measured
    try:
        _thread.start_new_thread(function, ())
    except RuntimeError:  # a process limit, or early Python 3.12 once the main thread has ended
        return False
    return True
