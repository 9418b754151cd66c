"""
What a signal handler may touch: a flag to set and a bell to ring.

`threading.Event` and `threading.Condition` are not for handlers: `set()` takes a lock, and a
handler that runs while the same thread holds that lock waits for itself for ever. Releasing a lock
that was acquired beforehand never waits, so both classes here are one such lock.
"""

from __future__ import annotations

from threading import TIMEOUT_MAX, Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType


def closed_lock() -> LockType:
    """Return a lock that somebody has to release before it can be acquired."""
    lock = Lock()
    lock.acquire()
    return lock


def open_lock(lock: LockType) -> None:
    """Release *lock*, which may be open already: two threads may do so at once."""
    try:
        lock.release()
    except RuntimeError:
        pass


class Bell:
    """Wakes the one thread that waits for it; a ring that nobody waits for is kept for the next."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = closed_lock()

    def ring(self) -> None:
        """Wake the waiting thread. Safe in a signal handler."""
        open_lock(self._lock)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a ring, *timeout* seconds at most; return whether one came."""
        limit = -1 if timeout is None else min(max(timeout, 0), TIMEOUT_MAX)
        return self._lock.acquire(timeout=limit)


class Latch:
    """
    A flag that is set once and can be waited for.

    Every method is safe from any thread and from a signal handler.

    Attributes:
        signum: The signal that set the latch, None where none did.
    """

    __slots__ = ("_flag", "_lock", "signum")

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
        open_lock(self._lock)

    def clear(self) -> None:
        """Begin anew, in a forked child or between tests; who waits now is not woken any more."""
        self._lock = closed_lock()
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
        limit = -1 if timeout is None else min(max(timeout, 0), TIMEOUT_MAX)
        lock = self._lock
        try:
            if not self._flag:
                lock.acquire(timeout=limit)
        finally:
            # Once the flag is up the lock stays open: each waiter lets the next one through.
            if self._flag:
                open_lock(lock)
        return self._flag
