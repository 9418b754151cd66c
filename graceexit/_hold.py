"""
What the main thread has in hand is finished before a signal unwinds it.

A block costs a few attribute writes: the handler looks whether there is one. It is imported by the
first call of `hold`.
"""

import sys
from signal import SIGINT

from graceexit._latch import CLOCK
from graceexit._signals import SAME_PRESS, is_main_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import TypeAlias

    # Unwinds by a signal; it is given the frame of the block, and what that has raised.
    Unwind: TypeAlias = Callable[[int, FrameType, BaseException | None], None]


class Hold:
    """
    What `hold` returns: the main thread has something in hand.

    Attributes:
        is_ready: Its handler for Ctrl-C is set.
    """

    __module__ = "graceexit"
    __slots__ = ("_depth", "_pressed", "_then", "is_ready")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: in a forked child, which may never come to the block's end, or in a test."""
        self._depth = 0  # how many blocks the main thread is in
        self._then: tuple[int, Unwind] | None = None  # the signal that is to unwind it, and how
        self._pressed = 0.0  # when Ctrl-C was noted
        self.is_ready: bool = False

    def takes(self, signum: int, unwind: "Unwind") -> bool:
        """Return whether the main thread is to unwind when its block has ended, by *unwind*."""
        if not self._depth:
            return False
        if signum == SIGINT:
            now = CLOCK[0]()
            self._pressed = self._pressed or now
            # Ctrl-C may come more than once from one press; pressed again, it is not put off.
            if now - self._pressed >= SAME_PRESS:
                return False
        self._then = self._then or (signum, unwind)
        return True

    def __repr__(self) -> str:
        return "<graceexit.hold()>"

    def __enter__(self) -> None:
        if is_main_thread():
            self._depth += 1

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if is_main_thread() and self._depth:
            self._depth -= 1
            if not self._depth and self._then is not None:
                (signum, unwind), self._then, self._pressed = self._then, None, 0.0
                unwind(signum, sys._getframe(1), error)
