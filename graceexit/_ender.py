"""
The ender: the one thread that ends the process, from the first sign of the end to the death.

It is a raw thread, on which nobody's signal handler runs, so that nothing here has to be done
twice; but `run_all` and `close` may be, for the main thread does them where no thread can be
started. `_exit` has the table that shows what it does beside the main thread, phase by phase.
"""

import atexit
import os
import threading
from functools import partial
from time import sleep
from types import FrameType

from graceexit import _cpython, _signals
from graceexit._executors import Executors, Jobs, is_idle, workers
from graceexit._items import NEVER, Outcome
from graceexit._latch import LOOK, TO_BEGIN, Bell, Latch, start_thread, within
from graceexit._limits import Limits
from graceexit._report import signal_name
from graceexit._runs import Runs
from graceexit._settings import Settings
from graceexit._story import Story
from graceexit._unwinding import Unwinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SERVING, WAITING, RUNNING, LEAVING = "serving", "waiting", "running", "leaving"

# What the main thread has come to: the end of its code, the end of the join, the exit functions.
ENDED, JOINED, EXITING = range(1, 4)

PATIENCE = 5.0  # seconds after which a program that ends by itself is told what it waits for
TO_LEAVE = 1.0  # seconds for the main thread to leave the join
EXIT_FUNCTIONS = 5.0  # seconds for the exit functions of a process that would be dead without us


def registered() -> dict[int, set[int]]:
    """Return the ids of what is registered, by ender: two copies of the package have one each."""
    known: dict[int, set[int]] = threading.__dict__.setdefault("_graceexit", {})
    return known


class Leave(BaseException):
    """Raised in the main thread to make it leave a join that would last for ever."""


class Ender:
    """
    The end of one process, from the first sign of it.

    Attributes:
        phase: How far it is.
        signum: The signal to die of.
        reached: How far the main thread is.
        hooks_over: The hooks of others have run, which come before the join.
        over: The items have been run.
        finished: The exit functions have run.
        gone: Its thread has ended.
        started: The thread has been started.
        answer_at: When a Ctrl-C is to be answered, for whoever waits so long.
        limits: How long it may take.
        runs: Those of the items.
        story: What is told of it.
        unwinding: The main thread's way out.
        executors: What is held open.
    """

    def __init__(  # noqa: PLR0917  (it is made at one place)
        self,
        runs: Runs,
        exiting: Latch,
        handlers: _signals.Handlers,
        executors: Executors,
        settings: Settings,
        at_exit: "Callable[[], None]",
    ) -> None:
        self.phase = SERVING
        self.signum: int | None = None
        self.reached = 0
        self.hooks_over = Latch()
        self.over = Latch()
        self.finished = Latch()
        self.gone = Latch()
        self.started = False
        self.answer_at = NEVER
        self.limits = Limits(None if settings.grace is ... else settings.grace, settings.linger)
        self.runs = runs
        self.story = Story(runs.log, exiting, self.limits, settings.report)
        self._bell = bell = Bell()  # wakes it
        leaves = lambda: self.started and handlers.put_for_leaving(self.leave)  # noqa: E731
        self.unwinding = Unwinding(bell.ring, leaves, self.story.failed, self.limits.patience)
        self.executors = executors
        self._jobs = Jobs(bell.ring)
        self._at_exit = at_exit
        self._to_end = threading.Lock()  # taken by the thread, or in place of it
        self._taken_out: set[int] = set()  # ids of threads that Python does not join at its end
        self._abandoned = False  # somebody has uninstalled us: nothing is to be ended

    # What the main thread calls.

    def start(self) -> bool:
        """Wake the ender, or start it if nobody has; return whether there is one."""
        if not (self.started or self._to_end.locked()) and start_thread(self._end):
            self.started = True
        self._bell.ring()
        return self.started

    def has_begun(self) -> bool:
        """Return whether its thread is at work; one that has no memory to begin never will be."""
        give_up = self.limits.clock() + TO_BEGIN
        while self.started and not self._to_end.locked():
            sleep(_cpython.LOOKS)
            if self.limits.clock() >= give_up and self._to_end.acquire(blocking=False):
                self.started = False
        return self.started

    def has_work(self) -> bool:
        """Return whether there is something to be run, to be left or to die of."""
        return bool(self.runs.items or self.runs.left or self.signum is not None)

    def main_ends(self, hooks_over: "Callable[[], None]") -> None:
        """Note that its code is over, and have it call *hooks_over*. May be called again."""
        if has_work := self.has_work():
            threads = [item.subject for item in list(self.runs.items) if item.stop is not None]
            self._taken_out |= _cpython.take_out_of_the_join(threads)
            registered()[id(self)] = set(map(id, threads))
            atexit.register(self._at_exit)  # the one registered last runs first
        if has_work and self.start() and not self.over.is_set():
            self.executors.hold(hooks_over)
        else:
            self.hooks_over.set()
        self.story.note("main_ended")
        self.reach(ENDED)

    def reach(self, step: int) -> None:
        """Note how far the main thread is."""
        self.reached = max(self.reached, step)
        self._bell.ring()

    def leave(self, _signum: int, frame: FrameType | None, _layer: object) -> None:
        """Leave the join, or what else is to be left: a signal handler of the main thread."""
        if self.phase == LEAVING and _cpython.is_joining(frame):
            raise Leave
        # As in `Exit.end_by`: a hook that raises would skip the others.
        if not (self.reached or _cpython.is_shutting_down(frame)):
            self.unwinding.again(frame)

    def abandon(self) -> None:
        """End nothing: uninstalled, or a forked child."""
        self._abandoned = True
        registered().pop(id(self), None)
        self.limits.disarm()
        self.limits.close()
        self.unwinding.end()
        self._jobs.end()
        self.hooks_over.set()
        self.reach(ENDED)

    # WAITING, RUNNING.

    def _end(self) -> None:
        """End the process: the body of the thread."""
        # A handler may start one while the hook does, or raise before it is noted.
        if not self._to_end.acquire(blocking=False):
            return
        self.started = True
        try:
            self.run_all()
        except BaseException as error:  # whatever it is, the process must end
            self.story.failed(error, "the exit itself")
        finally:
            try:
                self.close()
            finally:
                if not self._abandoned:
                    self._finish()
                self.gone.set()

    def run_all(self) -> None:
        """Wait for the rest of the program, and run the items; see `Exit._run_here` too."""
        self.story.begin(len(self.runs.items))
        self._wait(lambda: [] if self.reached else [threading.main_thread()])
        if self._abandoned:
            return
        if any(item.order < 0 for item in list(self.runs.items)):
            self.run(before=0)
        self._wait_for_others()
        self.story.end(self.run())
        self._wait_for_others()  # an item may have started a thread, which Python would join
        if self.runs.have_more():  # registered while that was said
            self.run()

    def _wait_for_others(self) -> None:
        """Wait for what else the program does; on the main thread not after a signal."""
        if (self.started or self.signum is None) and self.others():
            start_thread(self._accompany)
            self._wait(self.others)

    def _wait(self, rest: "Callable[[], list[threading.Thread]]") -> None:
        """Wait until *rest()* is empty, for as long as the rest of the program may take."""
        self.phase = WAITING
        clock, begun = self.limits.clock, self.limits.clock()
        warn_at = begun + PATIENCE
        while (threads := rest()) and (left := self._patience()) > 0:
            if (now := clock()) >= self.answer_at:
                self.answer_at = NEVER
                what = f"waiting {left:.1f} s more for"
                self.story.waiting(threads, what, "press Ctrl-C again to end now")
            elif left == NEVER and now >= warn_at:
                warn_at = NEVER
                self.story.waiting(threads, "waiting for")
            due = self.unwinding.due()
            if due <= 0:
                _signals.interrupt_main()
                due = _cpython.LOOKS
            woken = self._bell.wait(min(left, LOOK, due, self.answer_at - now))
            if not woken and self.reached:
                # A signal that another thread has taken does not wake a thread that joins.
                _signals.interrupt_main()
        if not self.unwinding.parked:
            self.story.cut_off(threads, self.limits.since or begun)

    def _patience(self) -> float:
        """Return the seconds that the rest of the program still has."""
        return 0.0 if self.unwinding.parked else self.limits.patience()

    def _accompany(self) -> None:
        """Join the others for the ender, which has to hear of more than their end."""
        while (others := self.others()) and not self.over.is_set():
            if others[0] is threading.main_thread():
                self.hooks_over.wait(LOOK)
            else:
                _cpython.wait_for(others[0])
        self._bell.ring()

    def others(self) -> list[threading.Thread]:
        """Return what items of order 0 wait for: hooks, other threads, and jobs of pools."""
        if threads := threads_of_nobody(id(self), self.runs):
            return threads
        if not self.hooks_over.is_set():
            return [threading.main_thread()]
        return self._jobs.left()

    def run(self, before: float = NEVER) -> list[Outcome]:
        """Run the items of an order below *before*; return how all have ended so far."""
        self.phase = RUNNING
        return self.runs.advance(before, self.limits.limit, self.limits.grace)

    # LEAVING: it sees to it that the main thread ends the process, or does it itself.

    def close(self) -> None:
        """End what was kept for the items, once they have been run."""
        try:
            self._jobs.end()
            if self._abandoned:
                return
            try:
                release(self.executors, self.limits, self.story, ending=self.signum is not None)
                self.story.flush()
                self.runs.let_go()
            finally:  # whatever it is, such as no memory, the process must end
                if self.signum is not None and (_cpython.in_child() or not self.reached):
                    die(self.story, self.signum)
            atexit.register(self._at_exit)  # not unregistered before: that compares it with all
        finally:
            self.over.set()

    def _finish(self) -> None:
        """See to it that the main thread ends the process."""
        while self.reached < JOINED and not self._is_to_leave():
            self._bell.wait(LOOK)
        if self.signum is not None and _cpython.in_child():  # it has come since
            die(self.story, self.signum)
        _cpython.hide(Leave)
        self.phase = LEAVING
        clock = self.limits.clock
        give_up = clock() + TO_LEAVE
        while self.reached < JOINED:
            if clock() >= give_up or not _signals.interrupt_main():
                self._end_now("the main thread does not leave what it waits for", TO_LEAVE)
            self._bell.wait(_cpython.LOOKS)
        # Exit functions may wait for ever for what a thread holds that was left behind.
        must_end = self.signum is not None or self.runs.left
        left = min(EXIT_FUNCTIONS, self.limits.left() / 2)
        if must_end and not self.finished.wait(left):
            self._end_now("exit functions have not returned", left)

    def _end_now(self, why: str, seconds: float) -> None:
        """End the process without its main thread, and say what of that is cut off."""
        self.story.main_thread_is_cut_off(why, seconds)
        if self.signum is not None:
            die(self.story, self.signum)
        self.story.last_words()
        os._exit(1)

    def _is_to_leave(self) -> bool:
        """Return whether the main thread is to wait for nothing more, if it still does."""
        if not self.reached:
            return False
        waited_for = {id(thread) for thread in _cpython.joined_at_exit()} - self._taken_out
        if self.signum is not None:
            # Where there is no thread to wait for, the hook of somebody else may be at work.
            return bool(waited_for) or self._patience() <= 0
        stuck = {id(item.subject) for item in self.runs.left}
        return bool(waited_for & stuck) and not threads_of_nobody(id(self), self.runs)


def threads_of_nobody(ender: int, runs: Runs) -> list[threading.Thread]:
    """Return the threads that Python waits for, that are nobody's to stop and in no pool."""
    known = registered()
    known[ender] = {id(item.subject) for item in runs.known()}
    ids = workers().union(*list(known.values()))
    return [thread for thread in _cpython.joined_at_exit() if id(thread) not in ids]


def release(executors: Executors, limits: Limits, story: Story, *, ending: bool) -> None:
    """Call what was held back; it takes no longer than the process has."""
    begun, dying = limits.clock(), ending and _cpython.in_child()
    left = limits.closing(dying=dying, ending=ending)
    # Where no thread can be started nothing limits it, and a process that is to die does not.
    done = within(left, partial(executors.release, dying=dying), here=not ending)
    if not done and limits.clock() >= begun + left:
        ids = workers()
        # The manager of an idle pool of processes may not have ended yet, and has nothing to lose.
        unclosed = [one for one in _cpython.threads() if id(one) in ids and not is_idle(one)]
        story.cut_off(unclosed, begun, "the process ends without")


def die(story: Story, signum: int) -> None:
    """Die of *signum*, after what was printed has gone out."""
    try:
        story.write(signal_name(signum))
        story.last_words()
    finally:
        _signals.die(signum)
