"""
The hook in which the exit begins, and goes on when Python has joined the threads.

`threading._shutdown` is replaced. The interpreter and multiprocessing call it by that name as the
main thread's code has ended, on every version, and before the hooks of
`threading._register_atexit`. (Not done: to be one of these hooks. The newest runs first, so that a
pool that was imported later would be closed before the exit begins; and what makes the main thread
leave the join has to be caught outside of it, for from 3.15 on it is the end of a child of
multiprocessing.) Where it is missing the exit function does it all.
"""

import sys
import threading

from graceexit._cpython import is_called_by_multiprocessing
from graceexit._ender import Leave
from graceexit._latch import StandIn, insist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Hook:
    """What stands in front of Python's join of all threads."""

    def __init__(self, begin: "Callable[[], Callable[[], None] | None]") -> None:
        self._begin = begin  # the exit; returns what goes on with it after the join
        self._join = StandIn(threading, "_shutdown", self._shutdown)
        self._file: Any = None  # of the program, which its items may need, and what they spawn
        self._of = 0  # the id of its module, which is not to be kept: Python ends that first
        self._has_left = False  # the main thread has left a join that would last for ever

    def install(self) -> None:
        """Put it in place; nobody who stands in front of us by now loses it."""
        if self._file is None:
            program = sys.modules.get("__main__")
            self._file, self._of = getattr(program, "__file__", None), id(program)
        self._join.put()

    def uninstall(self) -> None:
        """Give the join back."""
        self._join.take_away()

    def _begin_exit(self) -> "Callable[[], None] | None":
        """Begin the exit; a handler that raises may have it begin again."""
        program: Any = sys.modules.get("__main__")
        if self._file is not None and id(program) == self._of and not hasattr(program, "__file__"):
            program.__file__ = self._file  # Python has taken it away
        return self._begin()

    def _shutdown(self) -> None:
        """Begin the exit, and then join."""
        go_on = insist(self._begin_exit)
        try:
            if self._has_left:  # from 3.15 on a second call would join again
                raise Leave  # noqa: TRY301
            if self._join.real is not None:
                self._join.real()
        except Leave:
            self._has_left = True
            # The interpreter has to hear of it, or 3.15 calls this for ever: a thread is left.
            if not is_called_by_multiprocessing(sys._getframe()):
                raise
        finally:
            if go_on is not None:
                go_on()
