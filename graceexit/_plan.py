"""
What a run does next: the *plan*, a generator.

It says what is to be done, one step after the other, and whoever performs the steps comes back for
the next. What is registered during the run must not keep it from ending: see `Plan`.
"""

import threading
from functools import partial
from heapq import heappop, heappush
from itertools import count, takewhile

from graceexit._items import NEVER, Item, Outcome, key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    # A callback to call. For a thread: itself; "stop" or "join"; what does it; when it began, None
    # for now; timeout.
    Step: TypeAlias = Item | tuple[Item, str, Callable[[], object], float | None, float | None]
    # rank; a number, smaller for what was registered later; item; its generation
    Entry: TypeAlias = tuple[int, int, Item, int]

DAWDLE = 0.1  # seconds: a stop() that takes longer goes on by itself while the next is called
TICK = 0.02  # seconds between two looks at threads that are to end
GENERATIONS = 1000  # items registered by items that items have registered, and so on
EARLY = 1.0  # seconds in which items that other threads register run in their places
LATE = 5.0  # seconds, after what was planned, for those that came later


def rank(item: "Item") -> int:
    """Return the place of *item* in the run: by order, and threads before callbacks."""
    return 2 * item.order + (item.stop is None)


class Plan:
    """
    What a run does next, and which items are in it.

    Items come by rank, and among equals the one registered last first; so do those that are
    registered meanwhile, within two limits. An item may register another, and that one the next: at
    the end of a very long line they are not run. A thread that is being stopped counts as an item.
    What other threads register runs by rank for a moment (EARLY), and not under a grace. From then
    on it comes behind all the rest, for some seconds (LATE).

    Attributes:
        clock: That of all limits.
        before: The order at which the run pauses.
        told: The threads that have been told to stop, and not ended: when, and what stop() raised.
        generation: Of the item in progress: 0 if it was there when the run began, -1 if another
            thread has registered it since.
        rest: How many items were not run, for they kept coming.
        hurried: Since when it is known when the process will be gone, and when that is.
    """

    def __init__(
        self,
        items: "dict[Item, bool]",
        late: "dict[Item, int]",
        clock: "Callable[[], float]",
        settle: "Callable[[Outcome], None]",
        join: "Callable[[Item, float], bool]",
    ) -> None:
        self.before = NEVER
        self.told: dict[Item, tuple[float, BaseException | None]] = {}
        self.generation = 0
        self.rest = 0
        self.hurried: list[tuple[float, float]] = []
        self._settle = settle  # keeps the outcome of an item
        self._join = join  # waits for a thread, and returns whether it is over
        self._items = items
        self._late = late
        self.clock = clock
        self._fresh: list[Entry] = []  # a heap of those that items have registered meanwhile
        self._others: list[Entry] = []  # and of those that other threads have
        self._early = NEVER  # until then these run in their places
        self._numbers = count()
        self._planned: list[Item] = []  # the next one last
        self._calm = NEVER  # when the last of what was planned had been taken
        self._ending: set[int] = set()  # ids of the threads that are told to stop together
        self._keys: set[object] = set()  # of the subjects that have been run
        self._counted = 0  # outcomes whose keys are in there

    def is_due(self) -> bool:
        """Return whether anything of an order below `before` waits to be run."""
        return bool(self.told) or any(item.order < self.before for item in list(self._items))

    def is_last(self) -> bool:
        """Return whether nothing comes behind what is in progress."""
        return not (self._planned or self._fresh or self._others or self._late)

    def waits_for(self, ident: int) -> bool:
        """Return whether the thread *ident* is one of those that are being stopped."""
        return id(threading._active.get(ident)) in self._ending  # type: ignore[attr-defined]

    def steps(self, outcomes: "list[Outcome]") -> "Iterator[Step]":
        """Say what is to be done, one step after the other."""
        items, late, hurried = self._items, self._late, self.hurried
        fresh, others = self._fresh, self._others
        if self.told:  # which an interruption has left
            yield from self._end_threads()
        planned, before = self._plan(), self.before
        pauses = before < NEVER  # asked of each item, and quicker than the order of each
        while True:
            if late:
                self._take_in()
            if planned and not (fresh or others):
                item = planned.pop()
                if pauses and item.order >= before:
                    planned.append(item)
                    return
                self.generation = 0
            elif (chosen := self._choose(planned)) is not None:
                item, self.generation = chosen
            else:
                return
            if not items.pop(item, False):  # it has been forgotten, or is run by another run
                continue
            # The quick way first: it was there when the run began, and there is time.
            if (self.generation or hurried) and self._is_not_run(item, outcomes):
                continue
            if item.stop is None:
                yield item
            else:
                yield from self._stage(item, planned)

    def _plan(self) -> "list[Item]":
        """Return what is there, in its order; from other threads it has come in time."""
        late = self._late
        self._planned = planned = [item for item in list(self._items) if late.get(item, -1) < 0]
        if late:
            for item in planned:
                late.pop(item, None)
        self._others.clear()
        self._early = self._calm = NEVER
        # A stable sort: of equal ranks the one registered last is the next one.
        planned.sort(key=rank, reverse=True)
        return planned

    def _stage(self, item: "Item", planned: "list[Item]") -> "Iterator[Step]":
        """Have *item* and all other threads of its order told to stop, and then wait for them."""
        stage = [item, *takewhile(lambda other: rank(other) == rank(item), reversed(planned))]
        self._ending = {id(one.subject) for one in stage}
        for one in stage:
            one.watch()  # all of them first, for one stop may end more than its own thread
        yield item, "stop", item.tell, None, DAWDLE
        while planned and rank(planned[-1]) == rank(item):
            another = planned.pop()
            if self._items.pop(another, False):
                yield another, "stop", another.tell, None, DAWDLE
        yield from self._end_threads()

    def _end_threads(self) -> "Iterator[Step]":
        """
        Wait for the threads that were told to stop, until each has ended or is left behind.

        The last one is joined. Of several the first is, for a moment, and then all are looked at,
        so that each has a time of its own; no more than half of the time is spent looking.
        """
        told, clock = self.told, self.clock
        pause = TICK
        while told:
            looked = clock()
            wait = NEVER if len(told) == 1 else pause
            for item, (begun, _) in list(told.items()):
                if item in told:
                    yield item, "join", partial(self._join, item, wait), begun, item.timeout
                wait = 0.0
            pause = max(TICK, clock() - looked - pause)
        self._ending = set()

    def _take_in(self) -> None:
        """Note what has been registered since the last look."""
        now = self.clock()
        if self._planned or self._fresh:
            self._calm = NEVER
        elif self._calm == NEVER:
            self._calm = now
        tired = now > self._calm + LATE
        for item in list(self._late):
            generation = self._late.pop(item, 0)
            if generation > GENERATIONS or (tired and generation < 0):
                self.rest += bool(self._items.pop(item, False))
            elif generation:
                heap = self._fresh if generation > 0 else self._others
                heappush(heap, (rank(item), -next(self._numbers), item, generation))
        if self._others:
            self._early = min(self._early, now + EARLY)

    def _choose(self, planned: "list[Item]") -> "tuple[Item, int] | None":
        """Take the next one of the planned items and of those that came later."""
        heap, others = self._fresh, self._others
        if others and (not (heap or planned) or (self.clock() < self._early and not self.hurried)):
            heap = min(heap, others) if heap else others  # by what is first in them
        if heap and not (planned and heap[0][0] > rank(planned[-1])):
            if heap[0][2].order < self.before:
                *_, item, generation = heappop(heap)
                return item, generation
        elif planned and planned[-1].order < self.before:
            return planned.pop(), 0
        return None

    def _is_not_run(self, item: "Item", outcomes: "list[Outcome]") -> bool:
        """Return whether *item* is not to be run, and say so."""
        now = self.clock()
        limit = "grace" if any(now >= deadline for _, deadline in self.hurried) else None
        if limit or (self.generation and self._has_run(item, outcomes)):
            self._settle((item, "not run", now, 0.0, None, None, limit))
            return True
        return False

    def _has_run(self, item: "Item", outcomes: "list[Outcome]") -> bool:
        """Return whether the subject of *item* has been run already."""
        for done, *_ in outcomes[self._counted :]:
            self._keys.add(key_of(getattr(done, "subject", done)))
        self._counted = len(outcomes)
        return key_of(item.subject) in self._keys
