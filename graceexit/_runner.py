"""
Run items, each with its timeout.

The *plan* (`_plan`) says what is to be done next. A *helper* thread takes one action after
the other from it, performs it and notes when it began. Whoever called `Run.go` watches, and sleeps
until the action in progress is out of time: an action that ends in time costs a dictionary entry,
not a thread or a wake-up. One that is out of time is left behind together with the helper it sits
on, and a new helper goes on with the same plan. What is anybody's code (a callback, `stop`, `join`,
`is_alive`, what a callback returned) runs as an action and nowhere else.

Two things decide who did what, each one atomic operation on a dict: taking the item out of the
registry is the right to run it, taking the action out of `_running` is the right to say how it
ended. So nothing is run or reported twice, and a helper that comes back late stops.

Where no thread can be started (a process limit; early Python 3.12 once the main thread has ended; a
subinterpreter), the caller performs the actions itself, and only joins have a limit.
"""

import _thread
import sys
import threading
from time import sleep

from graceexit._items import ENDED, NEVER, Item, Outcome
from graceexit._latch import CLOCK, LOOK, TO_BEGIN, Bell, start_thread
from graceexit._plan import TICK, Plan
from graceexit._report import Rest, stack_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    # item; verb; when it began; timeout
    Action: TypeAlias = tuple[Item, str, float, float | None]

SLACK = 0.05  # seconds that a join gets to come back by itself


class Run:
    """
    One pass over the items of a registry.

    One thread at a time watches it. If an exception takes the watcher away from `go` (a Ctrl-C,
    say), the helper goes on by itself, and the next call of `go` watches it again.

    Attributes:
        plan: What it does next.
        outcomes: How each item ended, in that order.
        inline: No thread can be started.
        interrupted: An exception has taken a watcher away.
        helper: The thread at work, None when there is nothing to do.
        pause: What that does before the next item, for the sake of what was said.
    """

    def __init__(
        self,
        items: "dict[Item, bool]",
        late: "dict[Item, int]",
        report: "Callable[[Outcome], None]",
        *,
        trace: "Callable[[Item], None] | None" = None,
        clock: "Callable[[], float]" = CLOCK[0],
        start_thread: "Callable[[Callable[[], object]], bool]" = start_thread,
    ) -> None:
        self.plan = Plan(items, late, clock, self._settle, self._join)
        self.outcomes: list[Outcome] = []
        self.inline = False
        self.interrupted = False
        self._report = report
        self._trace = trace  # told of each item that begins, if somebody wants to know
        self._start_thread = start_thread
        self._steps: Iterator[Any] = iter(())  # of the plan
        self._running: dict[object, Action] = {}  # the action in progress, by `key`
        self._wake = 0.0  # when the watcher will look again
        self._bell = Bell()  # wakes the watcher earlier
        self.helper: int | None = None
        self.pause: Callable[[], None] | None = None
        self._vacant: list[float] = []  # until when the helper that is hired may take its place
        self._inside: set[int] = set()  # every helper that has not ended, those left behind too

    # The watcher's part.

    def go(self, before: float = NEVER, deadline: float | None = None) -> None:
        """
        Run the items of an order below *before*, and return when they have ended.

        If the process will be gone at *deadline*, no action takes more than half of what is left,
        unless it is the last one.
        """
        self.plan.before = before
        if deadline is not None:
            self.hurry(deadline)
        if not self.helper:
            self._steps = self.plan.steps(self.outcomes)
            if self.helper == 0 or self.plan.is_due():
                self._hire()
        while self.helper is not None:
            self._watch()
        if self.plan.rest and before == NEVER:
            rest = Rest(self.plan.rest)
            self._settle((rest, "not run", self.plan.clock(), 0.0, None, None, None))

    def hurry(self, deadline: float) -> None:
        """Note that the process will be gone at *deadline*."""
        hurried = self.plan.hurried
        if not (hurried and hurried[0][1] == deadline):
            hurried[:] = [(self.plan.clock(), deadline)]
            self._bell.ring()

    def is_over(self) -> bool:
        """Return whether it was interrupted, and its helper has done the rest by itself."""
        return self.interrupted and self.helper is None

    def is_inside(self, ident: int) -> bool:
        """Return whether the thread *ident* performs one of the actions, or is being stopped."""
        return ident in self._inside or self.plan.waits_for(ident)

    def in_progress(self) -> "list[Item]":
        """Return the items that are being run at this moment."""
        running = [item for item, *_ in list(self._running.values())]
        return list(dict.fromkeys([*running, *list(self.plan.told)]))

    def _hire(self) -> None:
        """Start a helper, or do its work here where no thread can be started."""
        # An exception may come before the thread has been started; then another one is.
        if self.helper is None:
            self._vacant = [self.plan.clock() + TO_BEGIN]
            self.helper = 0  # until the thread says which one it is
        if not self._start_thread(self._help):
            self._help(inline=True)

    def _watch(self) -> None:
        """Sleep until the action in progress is out of time or something else is to be seen."""
        key, action = self._current()
        # The helper rings when it begins an action that ends before `_wake`. One that it began
        # before this line is noticed by looking a second time.
        now = self.plan.clock()
        end = NEVER if action is None else self._end(action)
        self._wake = min(end, now + LOOK)
        if self.helper is None or self._current()[1] is not action:
            return  # pragma: no cover - an instant
        if any(now >= late for late in list(self._vacant)):
            self._help(inline=True)
        elif end > now:
            self._bell.wait(self._wake - now)
        # It may end at this very instant.
        elif action and self._running.pop(key, None) is action:  # pragma: no branch
            helper, self.helper = self.helper, None
            item, verb, _, _ = action
            if verb != "stop":  # a stop() that takes long is no overrun: its thread may yet end
                self._overrun(action, helper)
            else:
                self.plan.told[item] = action[2], None
            self._hire()

    def _current(self) -> "tuple[object, Action | None]":
        """Return the action in progress, and its key."""
        return next(iter(list(self._running.items())), (None, None))

    def _end(self, action: "Action") -> float:
        """Return the time at which an action is left behind."""
        item, verb, begun, timeout = action
        end = NEVER if timeout is None else begun + timeout
        for since, deadline in self.plan.hurried:
            alone = not self.plan.told or (len(self.plan.told) == 1 and item in self.plan.told)
            share = 1 if alone and verb != "stop" and self.plan.is_last() else 2
            begun = max(begun, since)
            end = min(end, begun + (deadline - begun) / share)
        return end + SLACK if verb == "join" else end

    def _join(self, item: "Item", wait: float) -> bool:
        """Wait for a thread as long as it may take; return whether it is over."""
        clock = self.plan.clock
        begun, _ = self.plan.told[item]
        end = self._end((item, "join", begun, item.timeout)) - SLACK
        until = min(end, clock() + wait)
        while not (over := item.join(min(until - clock(), LOOK))) and (left := until - clock()) > 0:
            sleep(min(left, TICK))  # it has come back early, or the grace may have begun
            until = min(until, self._end((item, "join", begun, item.timeout)) - SLACK)
        return over

    # The helper's part.

    def _help(self, *, inline: bool = False) -> None:
        """Be a helper: work until nothing is left to do or this helper is left behind."""
        ident, at_work = _thread.get_ident(), True
        try:
            self._vacant.pop()
        except IndexError:  # somebody has taken it
            return
        try:
            self.inline = inline
            self.helper = ident
            self._inside.add(ident)
            if not inline:
                trace_as_threads()
            at_work = self._work()
        finally:
            # Or an error in the work itself, such as no memory, or a forked child: nobody else is
            # going to say so.
            if at_work or self.inline:
                self.helper = None
                self._bell.ring()
            self._inside.discard(ident)

    def _work(self) -> bool:  # noqa: C901, PLR0912  (a call for each part takes half as long)
        """Perform one step after the other; return whether all were, and by this helper."""
        clock, running, outcomes = self.plan.clock, self._running, self.outcomes
        trace, hurried = self._trace, self.plan.hurried
        of_threading = vars(threading)
        main = of_threading["_main_thread"]
        now = clock()
        for step in self._steps:
            if self.pause is not None and not self.inline:
                pause, self.pause = self.pause, None
                pause()
                now = clock()
            # Begin, and have the watcher look in time.
            if type(step) is tuple:
                item, verb, perform, begun, timeout = step
                begun = now if begun is None else begun
                key: object = item, verb
            else:  # a callback, the quick way
                key = item = step
                verb, perform, begun, timeout = "call", item.subject, now, item.timeout
            running[key] = action = item, verb, begun, timeout
            if hurried or (timeout and begun + timeout < self._wake):
                self._wake = 0.0  # before it is rung, for then the watcher writes it
                self._bell.ring()
            if trace and verb != "join":
                trace(item)
            # Perform it.
            error = result = None
            try:
                result = perform()
                if result is not None and verb != "join" and result is not ENDED:
                    settle(result)
            except BaseException as raised:
                error = raised
            # Say how it ended, unless the watcher has. In a forked child, where the thread that
            # forked is the main thread, there is nothing to be done.
            if of_threading["_main_thread"] is not main:
                return False  # pragma: no cover - nothing can be measured there any more
            now = clock()
            if running.pop(key, None) is None:
                if verb == "stop":  # it has been left behind meanwhile
                    if item in self.plan.told:
                        self.plan.told[item] = begun, error
                    item.has_told()
                return False
            if verb == "call":
                if error is None and not trace:
                    outcomes.append((item, "done", begun, now - begun, None, None, None))
                else:
                    how = "failed" if error else "done"
                    self._settle((item, how, begun, now - begun, error, None, None))
            else:
                self._judge(action, now, result, error)
        return True

    def _judge(
        self, action: "Action", now: float, result: object, error: BaseException | None
    ) -> None:
        """Say what has become of a thread."""
        item, verb, begun, _ = action
        if verb == "stop":
            if result is not ENDED:
                self.plan.told[item] = begun, error
            item.has_told()
            return
        if error is not None or result:
            _, failure = self.plan.told.pop(item, (begun, None))
            failure = error or failure or item.died
            how = "failed" if failure else "done"
            self._settle((item, how, begun, now - begun, failure, None, None))
        elif now >= self._end(action) - SLACK:
            self._overrun(action, None)

    def _overrun(self, action: "Action", helper: int | None) -> None:
        """Leave an item behind."""
        item, verb, begun, timeout = action
        now = self.plan.clock()
        limit = "grace" if timeout is None or now < begun + timeout else "timeout"
        _, failure = self.plan.told.pop(item, (begun, None)) if verb == "join" else (begun, None)
        ident = helper if verb == "call" else item.ident
        self._settle((item, "overran", begun, now - begun, failure, stack_of(ident), limit))

    def _settle(self, outcome: "Outcome") -> None:
        """Keep an outcome, and report it if somebody should hear of it."""
        self.outcomes.append(outcome)
        if outcome[1] != "done" or self._trace:
            self._report(outcome)


def trace_as_threads() -> None:
    """Have coverage, debuggers and profilers see this thread as those of `threading`."""
    if (trace := threading.gettrace()) is not None:
        sys.settrace(trace)
    if (profile := threading.getprofile()) is not None:
        sys.setprofile(profile)


def settle(result: "Any") -> None:
    """Wait for what a callback has returned, if that is something to wait for."""
    if hasattr(type(result), "__await__"):
        import asyncio

        loop = result.get_loop() if asyncio.isfuture(result) else None
        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(await_it(result), loop).result()
        else:
            asyncio.run(await_it(result))
    else:
        future = getattr(sys.modules.get("concurrent.futures._base"), "Future", None)
        if future is not None and isinstance(result, future):
            result.result()


async def await_it(awaitable: "Any") -> object:
    """Wrap an awaitable, for asyncio takes nothing but coroutines."""
    return await awaitable
