"""
Run items, each with its timeout.

A helper thread performs one action after the other and notes when each began. Whoever called
`Run.go` watches it, and sleeps until the action in progress is out of time: an action that ends in
time costs a dictionary entry, not a thread or a wake-up. One that is out of time is left behind
together with the helper it sits on, and a new helper goes on with the next.

Two things decide who did what, each one atomic operation on a dict: taking the item out of the
registry is the right to run it, taking the action out of `_running` is the right to say how it
ended. So nothing is run or reported twice, and a helper that comes back late stops.

Where no thread can be started (a process limit; early Python 3.12 once the main thread has ended; a
subinterpreter), the caller performs the actions itself, and only joins have a limit.
"""

import _thread
import sys
import threading
from functools import partial
from time import monotonic
from types import CoroutineType

from graceexit._items import NEVER
from graceexit._latch import LOOK, Bell, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from graceexit._items import Item

    # item, how it ended, seconds, what it raised, where it was
    Outcome: TypeAlias = tuple[Item, str, float, BaseException | None, str | None]
    # item, "stop", "join" or "call", when that began, timeout
    Action: TypeAlias = tuple[Item, str, float, float | None]

DAWDLE = 0.1  # seconds: a stop() that takes longer goes on by itself while the next is called


def rank(item: "Item") -> int:
    """Return the place of *item* in the run: by order, and threads before callbacks."""
    return 2 * item.order + (item.stop is None)


class Run:
    """
    One pass over the items of a registry.

    One thread at a time watches it. If an exception takes the watcher away from `go` (a Ctrl-C,
    say), the next call of `go` takes over the helper as it is.

    Attributes:
        fresh: Items registered since the run began.
        outcomes: How each item ended, in that order.
        inline: No thread can be started.
        interrupted: An exception has taken a watcher away.
    """

    def __init__(
        self,
        items: "dict[Item, bool]",
        report: "Callable[[Outcome], None]",
        *,
        clock: "Callable[[], float]" = monotonic,
        start_thread: "Callable[[Callable[[], object]], bool]" = start_thread,
    ) -> None:
        self.fresh: list[Item] = []
        self.outcomes: list[Outcome] = []
        self.inline = False
        self.interrupted = False
        self._items = items
        self._report = report
        self._clock = clock
        self._start_thread = start_thread
        self._deadline: float | None = None  # when the process will be gone
        self._hurried = 0.0  # when that became known
        self._before = NEVER  # the order at which the run pauses
        self._plan: list[Item] = []  # what is still to be run, the next one last
        self._stage: list[tuple[Item, float | None]] = []  # threads to end, and when told to stop
        self._errors: dict[Item, BaseException] = {}  # what their stop() raised
        self._running: dict[object, Action] = {}  # the action in progress, by `key_of` it
        self._wake = 0.0  # when the watcher will look again
        self._bell = Bell()  # wakes the watcher earlier
        self._helper: int | None = None  # the thread at work, None when there is nothing to do
        self._vacant: list[bool] = []  # one entry, which the helper that is hired takes
        self._inside: set[int] = set()  # every helper that has not ended, those left behind too
        self._main = threading.main_thread()

    # The watcher's part.

    def go(self, before: float = NEVER, deadline: float | None = None) -> None:
        """
        Run the items of an order below *before*, and return when they have ended.

        If the process will be gone at *deadline*, no action takes more than half of what is left.
        """
        self._before = before
        if deadline is not None:
            self._hurried = self._clock()
            self._deadline = deadline
        if not self._helper:
            # A stable sort: of equal ranks the one registered last is the next one.
            plan = list(self._items)
            plan.sort(key=rank, reverse=True)
            self._plan[:] = plan
            due = plan and plan[-1].order < before
            if self._helper == 0 or self._stage or self.fresh or due:
                self._hire()
        while self._helper is not None:
            self._watch()

    def is_over(self) -> bool:
        """Return whether it was interrupted, and its helper has done the rest by itself."""
        return self.interrupted and self._helper is None

    def is_inside(self, ident: int) -> bool:
        """Return whether the thread *ident* is performing one of the actions."""
        return ident in self._inside

    def in_progress(self) -> "list[Item]":
        """Return the items that are being run at this moment."""
        running = [item for item, *_ in list(self._running.values())]
        return [*running, *(item for item, _ in list(self._stage))]

    def _hire(self) -> None:
        """Start a helper, or do its work here where no thread can be started."""
        # An exception may come before the thread has been started; then another one is.
        if self._helper is None:
            self._vacant = [True]
            self._helper = 0  # until the thread says which one it is
        self.inline = not self._start_thread(self._help)
        if self.inline:
            self._help()

    def _watch(self) -> None:
        """Sleep until the action in progress is out of time or something else is to be seen."""
        action = self._current()
        # The helper rings when it begins an action that ends before `_wake`. One that it began
        # before this line is noticed by looking a second time.
        self._wake = end = NEVER if action is None else self._end(*action[2:])
        if self._helper is None or self._current() is not action:
            return  # pragma: no cover - an instant
        left = end - self._clock()
        if left > 0:
            self._bell.wait(min(left, LOOK))
        # It may end at this very instant.
        elif action and self._running.pop(key_of(action), None) is action:  # pragma: no branch
            helper, self._helper = self._helper, None
            item, verb, begun, _ = action
            if verb != "stop":  # a stop() that takes long is no overrun: its thread may yet end
                ident = helper if verb == "call" else getattr(item.subject, "ident", None)
                self._settle(item, "overran", self._clock() - begun, stack=stack(ident))
            self._hire()

    def _current(self) -> "Action | None":
        """Return the action in progress."""
        for action in list(self._running.values()):
            return action
        return None

    def _end(self, begun: float, timeout: float | None) -> float:
        """Return the time at which an action is left behind."""
        end = NEVER if timeout is None else begun + timeout
        if self._deadline is not None:
            end = min(end, (max(begun, self._hurried) + self._deadline) / 2)
        return end

    # The helper's part.

    def _help(self) -> None:
        """Be a helper: work until nothing is left to do or this helper is left behind."""
        try:
            self._vacant.pop()
        except IndexError:  # somebody has taken it
            return
        self._helper = ident = _thread.get_ident()
        self._inside.add(ident)
        at_work = True
        try:
            at_work = self._work()
        finally:
            self._inside.discard(ident)
            # Or an error in the work itself, or a forked child: nobody else is going to say so.
            if at_work or self.inline:
                self._helper = None
                self._bell.ring()

    def _work(self) -> bool:  # noqa: C901, PLR0912  (a call for each part takes half as long again)
        """Perform one action after the other; return whether all were, and by this helper."""
        clock, items, running, outcomes = self._clock, self._items, self._running, self.outcomes
        plan, fresh, stage = self._plan, self.fresh, self._stage
        main, main_thread = self._main, threading.main_thread
        now = clock()
        while True:
            # Choose what is next.
            if stage:
                item, verb, begun, timeout, perform = self._next_of_stage(now)
                key: object = item, verb
            elif fresh:
                self._take_in()
                continue
            elif not plan or plan[-1].order >= self._before:
                return True
            else:
                key = item = plan.pop()
                if not items.pop(item, False):  # it has been forgotten, or run by another run
                    continue
                if item.stop is not None:
                    self._begin_stage(item)
                    continue
                if self._deadline is not None and now >= self._deadline:
                    self._settle(item, "not run", 0.0)
                    continue
                verb, begun, timeout, perform = "call", now, item.timeout, item.subject
            # Begin, and have the watcher look in time.
            running[key] = action = item, verb, begun, timeout
            if self._deadline is not None or (timeout and begun + timeout < self._wake):
                self._wake = 0.0  # before it is rung, for then the watcher writes it
                self._bell.ring()
            # Perform it.
            error = result = None
            try:
                result = perform()
                if type(result) is CoroutineType:
                    run_coroutine(result)
            except BaseException as raised:
                error = raised
                if verb == "stop":  # though it may have been left behind meanwhile
                    self._errors[item] = raised
            # Say how it ended, unless the watcher has. In a forked child, where the thread that
            # forked is the main thread, there is nothing to be done.
            if main_thread() is not main:
                return False  # pragma: no cover - nothing can be measured there any more
            now = clock()
            if running.pop(key, None) is None:
                return False
            if error is None and verb == "call":
                outcomes.append((item, "done", now - begun, None, None))
            else:
                self._judge(action, now, error, result)

    def _next_of_stage(
        self, now: float
    ) -> "tuple[Item, str, float, float | None, Callable[[], object]]":
        """Return what is next while threads are being ended, and what does it."""
        item, told = self._stage.pop()
        if told is None:
            self._stage.insert(0, (item, now))
            return item, "stop", now, DAWDLE, item.tell
        return item, "join", told, item.timeout, partial(self._join, item, told)

    def _judge(
        self, action: "Action", now: float, error: BaseException | None, result: object
    ) -> None:
        """Settle how something else ended than a callback that is done."""
        item, verb, begun, _ = action
        if verb == "stop":
            return
        error = error or self._errors.pop(item, None)
        if error is not None:
            self._settle(item, "failed", now - begun, error)
        elif result:
            self.outcomes.append((item, "done", now - begun, None, None))
        else:
            where = stack(getattr(item.subject, "ident", None))
            self._settle(item, "overran", now - begun, stack=where)

    def _join(self, item: "Item", told: float) -> bool:
        """Wait for a thread as long as it may take; return whether it is over."""
        return item.join(self._end(told, item.timeout) - self._clock())

    def _take_in(self) -> None:
        """Plan what has been registered meanwhile, unless its subject has been run already."""
        plan = self._plan
        while self.fresh:
            item = self.fresh.pop(0)
            if any(done.is_for(item.subject) for done, *_ in self.outcomes):
                if self._items.pop(item, False):
                    self._settle(item, "not run", 0.0)
            else:
                plan.append(item)
                if plan[1:] and rank(item) > rank(plan[-2]):
                    plan.sort(key=rank, reverse=True)

    def _begin_stage(self, item: "Item") -> None:
        """Have *item* and all other threads of its order told to stop, and then joined."""
        threads = [item]
        while self._plan and rank(self._plan[-1]) == rank(item):
            more = self._plan.pop()
            if self._items.pop(more, False):
                threads.append(more)
        self._stage += [(thread, None) for thread in reversed(threads) if not thread.ended]

    def _settle(
        self,
        item: "Item",
        how: str,
        seconds: float,
        error: BaseException | None = None,
        stack: str | None = None,
    ) -> None:
        """Keep and report an outcome that somebody should hear of."""
        self.outcomes.append((item, how, seconds, error, stack))
        self._report(self.outcomes[-1])


def key_of(action: "Action") -> object:
    """Return what finds *action* in `_running`: each has its own, for an item is run once."""
    item, verb, *_ = action
    return item if verb == "call" else (item, verb)


def run_coroutine(coroutine: "CoroutineType[object, object, object]") -> None:
    """Run what an async callback has returned, in a loop of its own."""
    import asyncio

    asyncio.run(coroutine)


def stack(ident: int | None) -> str | None:
    """Return where the thread *ident* is, None if that is not known."""
    from graceexit._report import stack_of

    try:
        return stack_of(sys._current_frames()[ident or 0])
    except Exception:  # it has ended
        return None
