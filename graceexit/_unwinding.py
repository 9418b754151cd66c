"""
How the main thread is made to leave what it does, when a signal of ours has come.

SystemExit is raised in it, in the handler. It is done otherwise where that would cut something:

* In asyncio the main task is cancelled, as asyncio's own handler of Ctrl-C does it, and SystemExit
  leaves the loop when that task has ended. Till then the other tasks live, which it may need. It is
  found by its frame, for the handler of SIGINT knows it only where SIGINT was Python's own.
* trio has a handler of its own for Ctrl-C, which is called.
* In a greenlet of gevent it is raised in the main one: what a pool runs there would keep it.
* The worker loop of an executor would hand SystemExit to its parent as the result of a job: the
  main thread stays where it begins to do so, and uses nothing that the items close. (Not done: to
  stay in the handler. The job may hold a lock that the items need, as those of h5py and lmdb do.)
* Whoever takes a lock, gives it back or wakes who waits for it does so first: nobody would give it
  back. So does a generator that is entered or left as a context manager, and whoever asks a manager
  of multiprocessing: the next call would have its answer. Whoever starts a thread, a process or a
  job does that first: nobody would end a worker of which its pool has not been told. It is a matter
  of an instant, and put off by a millisecond; what takes more than a second is not waited for. (A
  lock in C has no frame: the line that calls it is looked at, for half a second, for whoever is
  there may be waiting for the lock.)
* Whoever is unwinding already (KeyboardInterrupt, SystemExit) is not cut.
* In `hold` all this is done when the block has ended. It is asked whenever something is raised that
  was put off; and asyncio's main task is cancelled where the block ends, for its next `await` may
  stand in the next block.

What was raised in a `__del__` or a callback of C code is ignored by Python, which tells
`sys.unraisablehook`; and a loop that does not turn ends no task. Then it is raised again, in the
handler of a signal that another thread sends. Where it is swallowed otherwise, `linger` remains.
"""

import sys
from signal import SIGINT
from time import sleep

from graceexit import _cpython
from graceexit._items import NEVER
from graceexit._latch import CLOCK, StandIn, insist
from graceexit._report import forget_frames
from graceexit._signals import getsignal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

TURN = 1.0  # seconds for a loop to turn
LOOK_AGAIN = 0.01  # seconds between two looks whether a loop has closed
FOR_EVER = 1e6  # seconds, of which the process has a few
AGAIN = 0.001  # seconds after which what was ignored, or put off for an instant, is raised again
INSTANT = 1.0  # seconds at most for what takes an instant, such as to take a lock
BLOCKED = 0.5  # seconds at most for a line that takes one: it may be waiting for it
SHARE = 5  # the part of what the rest of the program still has that may be spent so, at most

# The worker loops of executors and pools, and what they call first with the exception of a job.
WORKERS = {"_process_worker": "_ExceptionWithTraceback", "worker": "ExceptionWithTraceback"}


class Unwinding:
    """
    The main thread's way out.

    Attributes:
        parked: It stays where it is until the process is gone.
    """

    def __init__(
        self,
        ring: "Callable[[], object]",
        prepare: "Callable[[], bool]",
        say: "Callable[[BaseException], object]",
        patience: "Callable[[], float]",
    ) -> None:
        self.parked = False
        self._ring = ring  # wakes the thread that looks whether it is to be raised again
        self._prepare = prepare  # sets the handler in which it is, if somebody can send the signal
        self._say = say  # tells of an error of the main task
        self._patience = patience  # the seconds that the rest of the program still has
        # Whether the main thread has something in hand, and unwinds by this signal when it has not.
        self.takes: Callable[[int], bool] = lambda _: False
        self._signum = 0
        self._task: Any = None  # the main task of asyncio that is waited for
        self._error: BaseException = SystemExit()  # what is raised
        self._at = NEVER  # when it is to be raised again
        self._begun = 0.0  # since then it may have been put off for an instant
        self._instant = INSTANT  # which takes no longer than that
        self._of_trio: Any = None  # its handler of SIGINT, where that is what unwinds
        self._ignoring = StandIn(sys, "unraisablehook", self._unraisable)

    def begin(self, signum: int, frame: "FrameType | None", *, here: bool = False) -> None:
        """
        Unwind, in the handler of *signum*.

        With *here* the main thread goes no step further: it is at the end of a block under `hold`.
        """
        self._signum = signum
        self._error = SystemExit(128 + signum)
        for one in _cpython.whole_stack(frame):
            sends = WORKERS.get(one.f_code.co_name)
            if sends in one.f_globals:
                one.f_globals[sends] = self.park  # this process is about to be gone
        if _cpython.is_under_way():
            return
        self._begun = CLOCK[0]()
        self._instant = min(INSTANT, max(self._patience() / SHARE, AGAIN))
        interrupt = getsignal(SIGINT)
        if (task := _cpython.main_task(frame)) is not None:
            self._wait_for(task, interrupt, is_cancelled=_cpython.is_closing(frame), here=here)
            return
        if str(getattr(interrupt, "__module__", "")).startswith("trio."):
            self._of_trio = interrupt
        self._unwind_from(frame, here=here)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt, which has been put off, unless the thread is on its way out."""
        self._error = KeyboardInterrupt()
        if not _cpython.is_under_way():
            self.unwind()

    def unwind(self) -> None:
        """Raise SystemExit, or KeyboardInterrupt."""
        self._ignoring.put()
        raise self._error.with_traceback(None)

    def park(self, *_: object) -> None:
        """Stay here until the process is gone."""
        self.parked = True
        self._ring()
        insist(lambda: sleep(FOR_EVER))

    def due(self) -> float:
        """Return the seconds after which it is to be raised again."""
        return self._at - CLOCK[0]()

    def again(self, frame: "FrameType | None") -> None:
        """Raise it again, if that is due: in a handler, on the main thread."""
        if self.due() <= 0:
            self._at = NEVER
            # Meanwhile it may have begun to unwind, or have taken something in hand.
            if not (_cpython.is_under_way() or self.takes(self._signum)):
                self._unwind_from(frame)

    def _unwind_from(self, frame: "FrameType | None", *, here: bool = False) -> None:
        """Unwind, unless *frame* closes a loop, or is about to do what must not be cut."""
        if _cpython.is_closing(frame):
            self._put_off(LOOK_AGAIN)
        elif (hub := _cpython.hub_of_gevent()) is not None:
            hub.handle_system_error(type(self._error), self._error)
        elif not here and self._is_to_wait(frame) and self._put_off(AGAIN):
            pass  # at the end of a block nothing is cut: who has written it has said so
        elif self._of_trio is not None:
            self._of_trio(SIGINT, frame)
        else:
            self.unwind()

    def _is_to_wait(self, frame: "FrameType | None") -> bool:
        """Return whether *frame* does what takes an instant, and leaves a mess where it is cut."""
        waited = CLOCK[0]() - self._begun
        if waited < min(BLOCKED, self._instant) and (
            _cpython.is_at_lock(frame) or _cpython.is_entering(frame)
        ):
            return True
        is_brief = _cpython.is_locking(frame) or _cpython.is_starting(frame)
        return waited < self._instant and is_brief

    def _put_off(self, seconds: float) -> bool:
        """
        Have it raised so much later, in the handler of a signal that another thread sends.

        Returns:
            Whether that is possible.
        """
        if possible := self._prepare():
            self._at = CLOCK[0]() + seconds
            self._ring()
        return possible

    def end(self) -> None:
        """Put back what was replaced."""
        self._at, self._task = NEVER, None
        self._ignoring.take_away()

    def let_go(self) -> None:
        """Keep nothing alive of what the main thread has left."""
        forget_frames(self._error)
        self._error = SystemExit()

    def _wait_for(self, task: "Any", interrupt: "Any", *, is_cancelled: bool, here: bool) -> None:
        """Have the main task of asyncio end, and then leave its loop."""
        asyncio: Any = sys.modules["asyncio"]

        def ended(task: "Any") -> None:
            self._at = NEVER
            error = None if task.cancelled() else task.exception()
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                return  # it has been raised already
            if error is not None and not isinstance(error, asyncio.CancelledError):
                # Nobody else will say so. That of a `gather` which was cancelled is no failure.
                self._say(error)
            self.unwind()

        # A second cancellation would cut what Ctrl-C, or the end of the loop, has begun.
        runner = getattr(getattr(interrupt, "func", None), "__self__", None)
        is_cancelled = is_cancelled or bool(getattr(runner, "_interrupt_count", 0))
        if task is not self._task:
            self._task = task
            task.add_done_callback(ended)
        if here and not is_cancelled and asyncio.current_task(task.get_loop()) is task:
            raise asyncio.CancelledError  # its next `await` may stand in the next block
        self._put_off(TURN)
        task.get_loop().call_soon_threadsafe(self._turned, None if is_cancelled else task)

    def _turned(self, task: "Any") -> None:
        """Note that the loop turns, and cancel *task* where that is heard: nobody else has."""
        self._at = NEVER
        if task is None or self.takes(self._signum):
            return
        future = _cpython.waited_for(task)
        if future is not None and future.done():
            task.get_loop().call_soon(self._turned, task)
        else:
            if future is not None:
                future.cancel()  # before it can be done
            task.cancel()

    def _unraisable(self, unraisable: "sys.UnraisableHookArgs", /) -> None:
        """Note that what we have raised was ignored; give the rest to whom it is for."""
        if unraisable.exc_value is self._error:
            self._put_off(AGAIN)
        else:
            self._ignoring.real(unraisable)
