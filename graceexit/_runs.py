"""
The runs of a registry, one at a time, and what they leave behind.

Whoever comes first watches the run; another thread waits for its turn, and an item that asks for a
run is told that there is nothing to be done.
"""

import _thread
import threading
from time import monotonic

from graceexit._cpython import of_multiprocessing
from graceexit._items import NEVER, Item, Outcome
from graceexit._log import NO_THREADS, WARNING, Log
from graceexit._report import Report, forget_frames
from graceexit._runner import Run

TO_SAY = 0.1  # seconds for which all items together wait for warnings to be said


class Runs:
    """
    The runs of one registry.

    Attributes:
        items: Those of the registry.
        now: The one in progress.
        left: What was left behind.
        failed: What was raised, until `let_go`.
        log: What says lines of them.
        tired: Items were registered without an end: no more of them are run.
    """

    def __init__(self, items: "dict[Item, bool]", late: "dict[Item, int]") -> None:
        self.now: Run | None = None
        self.left: list[Item] = []
        self.failed: list[BaseException] = []
        self.tired = False
        self.items = items
        self.log = Log()
        self._late = late
        # Guards `now`: held by the thread that watches it, which a signal may make begin again.
        self._turn = threading.RLock()
        self._told = False  # it was said that no thread can be started
        self._to_say = 0.0  # what the run has left of it

    def advance(
        self, before: float = NEVER, deadline: float | None = None, grace: float | None = None
    ) -> "list[Outcome]":
        """Run the items of an order below *before*; return the outcomes so far."""
        if (run := self.now) is not None:
            ident = _thread.get_ident()
            if run.is_inside(ident):
                return []
            if deadline is not None:
                run.hurry(deadline)
        with self._turn:
            # A run whose watcher was taken away by an exception goes on where it is, unless it has
            # done so by itself. Whoever registers from now on tells it, so that nothing falls
            # between.
            if (run := self.now) is None or run.is_over():
                self._late.clear()
                report = lambda outcome: self._note(outcome, grace)  # noqa: E731
                trace = self.log.begins if self.log.wants_debug() else None
                run = self.now = Run(self.items, self._late, report, trace=trace)
                self._to_say = TO_SAY if grace is None else min(TO_SAY, grace / 10)
            run.pause = self._settle
            try:
                run.go(before, deadline)
            except BaseException:
                run.interrupted = True
                raise
            self.tired = run.plan.rest > 0
            if run.inline and run.outcomes and not self._told:
                self._told = True
                self.log.post(WARNING, NO_THREADS)
            if before == NEVER:
                self.now = None
                self._late.clear()
            return run.outcomes

    def complete(self) -> Report:
        """Run all items; return what has been run, when that has been said."""
        begun = monotonic()
        try:
            outcomes = self.advance()
        except (SystemExit, KeyboardInterrupt):
            self.advance()  # whoever is unwound meanwhile leaves no item unwatched
            raise
        self.log.flush(1.0)
        self.let_go()
        return Report(outcomes, None, monotonic() - begun)

    def have_more(self) -> bool:
        """Return whether items wait that do not come without an end."""
        return bool(self.items) and not self.tired

    def known(self) -> "list[Item]":
        """Return the items that are waiting to be run, are being run, or were left behind."""
        run = self.now
        return [*self.items, *(run.in_progress() if run is not None else ()), *self.left]

    def let_go(self) -> None:
        """Keep nothing alive of what has failed: its files are written and closed by that."""
        while self.failed:
            forget_frames(self.failed.pop())

    def _note(self, outcome: "Outcome", grace: float | None) -> None:
        """Log how an item ended, and remember who was left behind."""
        item, how, _, _, error, *_ = outcome
        if error is not None:
            self.failed.append(error)
        if how == "overran":
            self.left.append(item)
            # multiprocessing would wait for a process of its own.
            for processes in of_multiprocessing("process") if item.stop is not None else ():
                processes._children.discard(item.subject)
        self.log.ended(outcome, grace)
        if how != "done" and self.now is not None:
            self.now.pause = self._settle

    def _settle(self) -> None:
        """Wait for warnings to be said: the next item may close the log."""
        self._to_say = self.log.settle(self._to_say)
