"""
How long an exit may take: `linger`, `grace`, and the last resort.

`linger` is what the rest of the program has before items stop waiting for it; `grace` is when the
process has to be gone. The last resort sees to that where nothing of ours can run: it needs no
lock of the interpreter. It prints every stack, and a reader that does not read must not hold it up:
what can be opened anew (a pipe, a terminal) is, without blocking; a socket cannot, and is given a
limit for each write, which other processes that share it are given with it.
"""

import os
import stat
import sys

from graceexit._items import NEVER
from graceexit._latch import CLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CLOSE = 0.05  # seconds that what is closed after the items has in any case
RESERVE = 0.5  # seconds of the grace that are left for saying what happened, and for the death


class Limits:
    """
    How long the exit of one process may take.

    Attributes:
        grace: Seconds from the first sign of the exit to the death of the process.
        linger: Seconds for the rest of the program once the process is being ended.
        since: When the process began to be ended, not to end; None if nobody has asked for it.
        limit: When items and exit functions have to be over, None without a grace.
    """

    def __init__(
        self,
        grace: float | None = None,
        linger: float | None = None,
        *,
        clock: "Callable[[], float]" = CLOCK[0],
    ) -> None:
        self.grace = grace
        self.linger = NEVER if linger is None else linger
        self.clock = clock
        self.since: float | None = None
        self.limit: float | None = None
        self.is_forking: Callable[[], bool] = lambda: False  # nothing is armed meanwhile
        self._deadline = NEVER
        self._stderr = 2  # where the last resort prints
        self._timer = sys.modules.get("faulthandler")  # imported by `install`

    def begin(self, since: float | None = None) -> None:
        """Have the grace begin, now or *since* the first sign of the exit."""
        if self.grace is not None and self._deadline == NEVER:
            self._stderr = stderr_that_takes_no_time()
            deadline = (self.clock() if since is None else since) + self.grace
            self.limit = deadline - min(self.grace / 10, RESERVE)
            self._deadline = deadline
            self.arm()

    def ask(self) -> None:
        """Note that the process is to end, unless that is known."""
        if self.since is None:
            self.since = self.clock()

    def patience(self) -> float:
        """Return the seconds that the rest of the program still has."""
        return self._end()[0] - self.clock()

    @property
    def name(self) -> str:
        """What `patience` comes from."""
        return self._end()[1]

    def _end(self) -> tuple[float, str]:
        """Return when the rest of the program has had its time, and by which limit."""
        by_linger = NEVER if self.since is None else self.since + self.linger
        ends = [(by_linger, f"linger={self.linger:g} s")]
        if self.grace is not None:
            ends.append((self._deadline - self.grace / 2, f"half of grace={self.grace:g} s"))
        return min(ends, key=lambda end: end[0])

    def closing(self, *, dying: bool, ending: bool) -> float:
        """
        Return the seconds that there are for what is closed after the items.

        As Python has it there is no limit; a process that is being ended has one, and a child that
        is dying of a signal closes then what others wait for.
        """
        if dying:
            return min(self.linger, max(self.left() / 2, 0.0))
        if ending or self.grace is not None:
            return max(self.patience(), CLOSE)
        return NEVER

    def left(self) -> float:
        """Return the seconds after which the process has to be gone."""
        return self._deadline - self.clock()

    def arm(self) -> None:
        """Have the process ended when the grace is over, if that is running."""
        if self._deadline != NEVER and self._timer and not self.is_forking():
            left = max(self.left(), 0.001)
            self._timer.dump_traceback_later(left, exit=True, file=self._stderr)

    def disarm(self) -> None:
        """Cancel it before a fork, for an armed one makes the child hang as it ends."""
        if self._deadline != NEVER and self._timer:
            self._timer.cancel_dump_traceback_later()

    def close(self) -> None:
        """Give back the descriptor that the last resort has."""
        stderr, self._stderr = self._stderr, 2
        if stderr != 2:  # noqa: PLR2004
            try:
                os.close(stderr)
            except OSError:  # the program has closed whatever was open
                pass


def import_for_a_socket() -> None:
    """Import what the last resort needs where stderr is a socket, for it begins in a handler."""
    try:
        if stat.S_ISSOCK(os.fstat(2).st_mode):
            import _socket  # noqa: F401
            import _struct  # noqa: F401
    except (ImportError, OSError):
        pass


def stderr_that_takes_no_time() -> int:
    """
    Return a descriptor for the last resort to print to, which nobody who does not read can block.

    Linux opens a pipe or a terminal anew by its name there, so that what others write to it blocks
    as before.
    """
    if sys.__stderr__ is None:  # descriptor 2 is anybody's file
        return os.open(os.devnull, os.O_WRONLY)
    try:
        mode = os.fstat(2).st_mode
        if stat.S_ISSOCK(mode):
            from _socket import SO_SNDTIMEO, SOL_SOCKET, socket
            from _struct import pack

            reader = socket(fileno=2)
            try:
                reader.setsockopt(SOL_SOCKET, SO_SNDTIMEO, pack("ll", 0, 10_000))  # 10 ms
            finally:
                reader.detach()
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            return os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (AttributeError, ImportError, OSError):  # Windows; closed; another user has opened it
        pass
    return 2
