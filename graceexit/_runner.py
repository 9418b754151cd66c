"""
Run items, each with its timeout.

A helper thread performs one action after the other and notes when each began. Whoever called
`Run.go` watches it, and sleeps until the action in progress is out of time: an action that ends in
time costs a dictionary entry, not a thread or a wake-up. One that is out of time is left behind
together with the helper it sits on, and a new helper goes on with the next.

Two things decide who did what, each one atomic operation on a dict: taking the item out of the
registry is the right to run it, taking the action out of `running` is the right to say how it
ended. So nothing is run twice and nothing is reported twice, and a helper that comes back late
finds its action taken and ends.

Where no thread can be started (a process limit; early Python 3.12 once the main thread has ended;
subinterpreters, which abort the process if they end while a thread lives), the caller performs the
actions itself, and then only joins have a limit.
"""

from __future__ import annotations

import _thread
import sys
import threading
from os import getpid
from time import monotonic
from types import CoroutineType

from graceexit._latch import Bell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from graceexit._items import Item

    Outcome: TypeAlias = tuple[Item, str, float, BaseException | None, str | None]
    Action: TypeAlias = tuple[Item, str, float, float | None]

DAWDLE = 0.1  # seconds: a stop() that takes longer goes on by itself while the next is called


def is_main_interpreter() -> bool:
    """Return whether this is no subinterpreter, in which threads must not outlive the items."""
    ask = getattr(_thread, "_is_main_interpreter", None)  # 3.13 and later
    ask = ask or getattr(threading, "_is_main_interpreter", None)
    return ask is None or bool(ask())


def rank(item: Item) -> int:
    """Return the place of *item* in the run: by order, and threads before callbacks."""
    return 2 * item.order + (item.stop is None)


class Run:
    """
    One pass over the items of a registry.

    It is used by one watching thread at a time and survives it: when an exception (a Ctrl-C, say)
    takes the watcher away from `go`, the next call of `go` takes over the helper as it is.

    Attributes:
        outcomes: How each item ended, in that order.
        deadline: When the process will be gone, on the clock; None if that is not known.
    """

    def __init__(
        self,
        items: dict[Item, bool],
        report: Callable[[Outcome], None],
        *,
        clock: Callable[[], float] = monotonic,
        start_thread: Callable[..., int] = _thread.start_new_thread,
    ) -> None:
        self.items = items
        self.fresh: list[Item] = []  # registered since the run began
        self.outcomes: list[Outcome] = []
        self.deadline: float | None = None
        self.inline = not is_main_interpreter()
        self.told = False  # somebody has been told that there is no thread
        self._hurried = 0.0  # when the deadline became known
        self._report = report
        self._clock = clock
        self._start_thread = start_thread
        self._before: int | None = None
        self._plan: list[Item] = []  # what is still to be run, the next one last
        self._telling: list[Item] = []  # threads to be told to stop, the next one last
        self._joining: list[tuple[Item, float]] = []  # threads told to stop, and when
        self._errors: dict[Item, BaseException] = {}  # what their stop() raised
        self._running: dict[int, Action] = {}
        self._action = 0  # the key in `running` of the action in progress
        self._wake = 0.0  # when the watcher will look again
        self._seen: set[object] = set()  # the subjects of the first `_counted` outcomes
        self._counted = 0
        self._bell = Bell()  # wakes the watcher earlier
        self._helper: int | None = None  # the thread at work, None when there is nothing to do
        self._idents: set[int] = set()  # every helper that has not ended, those left behind too
        self._main = threading.main_thread()
        self._pid = getpid()

    # What the watcher does.

    def go(self, before: int | None = None) -> None:
        """Run the items, those of an order below *before* only, and return when they have ended."""
        self._before = before
        if self._helper is None:
            self._hire()
        while self._helper is not None:
            self._watch()

    def hurry(self, deadline: float) -> None:
        """Let no action take more than half of what is left until *deadline*."""
        self._hurried = self._clock()
        self.deadline = deadline
        self._bell.ring()

    def is_inside(self, ident: int) -> bool:
        """Return whether the thread *ident* is performing one of the actions."""
        return ident in self._idents

    def in_progress(self) -> list[Item]:
        """Return the items that are being run at this moment."""
        joining = [item for item, _ in list(self._joining)]
        return [item for item, *_ in list(self._running.values())] + joining

    def plan(self, items: list[Item]) -> None:
        """Add *items*, given in the order of their registration, to what is to be run."""
        self._plan += items
        # Stable, so of equal ranks the one registered last comes first, for the next is the last.
        self._plan.sort(key=rank, reverse=True)

    def _hire(self) -> None:
        """Start a helper, or do its work here where no thread can be started."""
        self._helper = 0  # until the thread says which one it is
        if not self.inline:
            try:
                self._start_thread(self._help, ())
            except RuntimeError:
                self.inline = True
        if self.inline:
            try:
                self._help()
            finally:
                self._helper = None

    def _watch(self) -> None:
        """Sleep until the action in progress is out of time or something else is to be seen."""
        key = self._action
        action = self._running.get(key)
        end = float("inf") if action is None else self._end(action)
        # The helper rings when it begins an action that ends before `_wake`. One that it began
        # before this line is noticed by looking a second time.
        self._wake = end
        if self._helper is None or self._running.get(self._action) is not action:
            return
        left = end - self._clock()
        if left > 0:
            self._bell.wait(None if left == float("inf") else left)
        elif action is not None and self._running.pop(key, None) is not None:
            helper, self._helper = self._helper, None
            self._leave_behind(action, helper)

    def _end(self, action: Action) -> float:
        """Return the time at which *action* is left behind."""
        _, _, start, timeout = action
        end = float("inf") if timeout is None else start + timeout
        if self.deadline is not None:
            end = min(end, (max(start, self._hurried) + self.deadline) / 2)
        return end

    def _leave_behind(self, action: Action, helper: int | None) -> None:
        """Report *action*, which is out of time, and let a new helper do what comes after it."""
        item, verb, begun, _ = action
        if verb != "stop":  # a stop() that takes long is not an overrun: its thread may yet end
            ident = helper if verb == "call" else getattr(item.subject, "ident", None)
            self._settle(item, "overran", self._clock() - begun, None, stack(ident))
        self._hire()

    # What the helper does.

    def _help(self) -> None:
        """Be a helper: work until nothing is left to do or this helper is left behind."""
        self._helper = ident = _thread.get_ident()
        self._idents.add(ident)
        try:
            if self._work():
                self._helper = None
                self._bell.ring()
        finally:
            self._idents.discard(ident)

    def _work(self) -> bool:
        """Perform one action after the other; return whether all were, and by this helper."""
        clock, running = self._clock, self._running
        main, main_thread = self._main, threading.main_thread
        now = clock()
        while True:
            # What is next?
            begun = now
            if self._telling:
                item = self._telling.pop()
                self._joining.append((item, now))
                verb, timeout = "stop", DAWDLE
            elif self._joining:
                item, begun = self._joining.pop()
                verb, timeout = "join", item.timeout
            else:
                item = self._take()
                if item is None:
                    return True
                if item.stop is not None:
                    self._telling = self._stage(item)
                    continue
                verb, timeout = "call", item.timeout
            if self.deadline is not None and now >= self.deadline and verb == "call":
                self._settle(item, "not run", 0.0, None, None)
                continue

            # Begin, and have the watcher look in time.
            self._action = key = self._action + 1
            running[key] = action = (item, verb, begun, timeout)
            if self.deadline is not None or (timeout is not None and begun + timeout < self._wake):
                self._bell.ring()

            # Perform it.
            error = result = None
            try:
                if verb == "call":
                    result = item.subject()
                    if type(result) is CoroutineType:
                        run_coroutine(result)
                elif verb == "stop":
                    item.tell()
                else:
                    end = self._end(action)
                    result = item.join(None if end == float("inf") else end - now)
            except BaseException as raised:
                error = raised

            # Say how it ended, unless the watcher has. A fork may have made this another process.
            if main_thread() is not main or (self.inline and getpid() != self._pid):
                return False
            now = clock()
            if verb == "stop" and error is not None:
                self._errors[item] = error
            if running.pop(key, None) is None:
                return False
            if verb == "stop":
                continue
            error = error or self._errors.pop(item, None)
            if error is not None:
                self._settle(item, "failed", now - begun, error, None)
            elif verb == "join" and not result:
                ident = getattr(item.subject, "ident", None)
                self._settle(item, "overran", now - begun, None, stack(ident))
            else:
                self.outcomes.append((item, "done", now - begun, None, None))

    def _take(self) -> Item | None:
        """Claim the item that is next; return None if there is none."""
        while self.fresh:
            item = self.fresh.pop(0)
            if self._has_run(item):
                if self.items.pop(item, False):
                    self._settle(item, "not run", 0.0, None, None)
            elif self._plan and rank(item) > rank(self._plan[-1]):
                self.plan([item])
            else:
                self._plan.append(item)
        while self._plan:
            if self._before is not None and self._plan[-1].order >= self._before:
                return None
            item = self._plan.pop()
            if self.items.pop(item, False) and not item.ended:
                return item
        return None

    def _has_run(self, item: Item) -> bool:
        """Return whether the subject of *item* has already been run in this pass."""
        try:
            while self._counted < len(self.outcomes):
                self._seen.add(key_of(self.outcomes[self._counted][0].subject))
                self._counted += 1
            return key_of(item.subject) in self._seen
        except Exception:  # the subject's own __eq__
            return False

    def _stage(self, first: Item) -> list[Item]:
        """Claim the threads that are told to stop together with *first*; the next one last."""
        stage = [first]
        while self._plan and rank(self._plan[-1]) == rank(first):
            item = self._plan.pop()
            if self.items.pop(item, False) and not item.ended:
                stage.append(item)
        stage.reverse()
        return stage

    def _settle(
        self,
        item: Item,
        outcome: str,
        seconds: float,
        error: BaseException | None,
        stack: str | None,
    ) -> None:
        """Keep and report an outcome that somebody should hear of."""
        self.outcomes.append((item, outcome, seconds, error, stack))
        self._report(self.outcomes[-1])


def key_of(subject: object) -> object:
    """Return what stands for *subject* in a set: itself, or its identity if it has no hash."""
    try:
        hash(subject)
    except Exception:
        return id(subject)
    return subject


def run_coroutine(coroutine: Any) -> None:
    """Run what an async callback returned, in a loop of its own."""
    import asyncio

    asyncio.run(coroutine)


def stack(ident: int | None) -> str | None:
    """Return where the thread *ident* is, None if it is not known or has ended."""
    try:
        import traceback

        frames = traceback.extract_stack(sys._current_frames()[ident or 0])
        return "".join(traceback.format_list([f for f in frames if f.filename != __file__]))
    except Exception:  # the thread has ended, or the standard library is out of reach by now
        return None
