"""
What is told of one exit: lines in the log, and the report that outlives the process.

Nothing of it may keep the exit waiting: a line is said by the log's own thread, the report is
written within a second, and what people have named is looked at there and nowhere else.
"""

import sys
import threading

from graceexit._cpython import in_child
from graceexit._executors import workers
from graceexit._items import place, target_of
from graceexit._latch import within
from graceexit._report import (
    Report,
    call_of,
    calls_to,
    escaped,
    signal_name,
    stack_of,
    subject_of,
    text_of,
    traceback_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from graceexit._account import Account
    from graceexit._items import Outcome
    from graceexit._latch import Latch
    from graceexit._limits import Limits
    from graceexit._log import Log
    from graceexit._runner import Run

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # the levels of logging
FLUSHING = 1.0  # seconds for the log
WRITING = 1.0  # seconds for the report that outlives the process

REMEDY = (
    "to have a thread stopped, write register(thread, stop=...); to tell its owner,"
    " on_exit(tell, order=-1)"
)
LONGER = "; to give it longer, install({}=...)"
NO_HANDLER = (
    "no handler could be set, so that a signal would have run nothing: the first registration, or"
    " install(), has to come on the main thread"
)
DROPPED = (
    "registrations of the parent process that were not run in this fork of it: {}; register in the"
    " child, or register callbacks with each_process=True"
)


class Story:
    """What is told of one exit."""

    def __init__(
        self, log: "Log", exiting: "Latch", limits: "Limits", account: "Account | None"
    ) -> None:
        self._log = log
        self._exiting = exiting
        self._limits = limits
        self._account = account
        self._begun = 0.0
        self._cut: list[threading.Thread] = []  # who has been named already
        self._unnamed: list[tuple[list[threading.Thread], str, float, str]] = []
        self._has_complained = False  # that no report can be written

    def note(self, what: str) -> None:
        """Note when *what* happened."""
        if self._account is not None:
            self._account.note(what)

    def begin(self, count: int) -> None:
        """Say that the exit begins, with so many items."""
        if not self._begun:
            self._begun = self._limits.clock()
            self.note("begun")
            self.say(INFO, f"exit begins, {count} to run")

    def end(self, outcomes: "list[Outcome]") -> None:
        """Say how the items have ended, and before that who was cut off and is not named yet."""
        while self._unnamed:
            self._name(*self._unnamed.pop(0))
        report = Report(outcomes, self._exiting.signum, self._limits.clock() - self._begun)
        self.say(INFO, f"exit complete: {report.summary}")
        if self._account is not None:
            self._account.outcomes = outcomes
            self.write()

    def waiting(self, threads: list[threading.Thread], what: str, remedy: str = REMEDY) -> None:
        """Say for whom the exit waits, or has waited."""
        known = [(thread, place_of(thread)) for thread in threads]

        def text(careful: bool) -> str:  # noqa: FBT001
            names = [
                ("thread" if careful else f"thread {escaped(thread.name)}") + at
                for thread, at in known
            ]
            return f"{what} {', '.join(names)}; {remedy}"

        self.say(WARNING, text)

    def cut_off(
        self, threads: list[threading.Thread], since: float, what: str = "items run beside"
    ) -> None:
        """Say who goes on though its time is over; each is named once."""
        threads = [one for one in threads if one not in self._cut]
        if not threads:
            return
        self._cut += threads
        waited = self._limits.clock() - since
        if holds_the_world():
            self._unnamed.append((threads, self._limits.name, waited, what))
        else:
            self._name(threads, self._limits.name, waited, what)

    def _name(self, threads: list[threading.Thread], name: str, waited: float, what: str) -> None:
        """Say who was cut off, and where they are."""
        what = f"{name} is over (waited {waited:.1f} s), and {what}"
        limit = name.partition("=")[0].rpartition(" ")[2]
        self.waiting(threads, what, REMEDY + LONGER.format(limit))
        if self._account is not None:
            self._account.cut_off += [facts_of(thread, waited, limit) for thread in threads]

    def main_thread_is_cut_off(self, why: str, seconds: float) -> None:
        """Say that the process ends without what the main thread still does."""
        main = threading.main_thread()
        if main in self._cut:
            return
        at = place_of(main)
        self.say(WARNING, f"{why} within {seconds:.3g} s; the process ends without the rest{at}")
        if self._account is not None:
            self._account.cut_off.append(facts_of(main, seconds, "exit functions"))

    def failed(self, error: BaseException, what: str = "the main task") -> None:
        """Say that something of the program's has failed."""
        self.say(ERROR, f"{what} failed: {text_of(error)}", error)

    def broken(self, error: BaseException) -> None:
        """Say that something of ours has failed."""
        self.say(ERROR, f"the exit itself failed:\n{traceback_of(error)}")

    def say(self, level: int, text: "Any", error: BaseException | None = None) -> None:
        """Have a line said."""
        self._log.why, self._log.signum = why(self._exiting.signum), self._exiting.signum
        self._log.post(level, text, error)

    def write(self, death: str | None = None) -> None:
        """Write the report that outlives the process."""
        if (account := self._account) is None:
            return
        failed: list[BaseException] = []

        def write() -> None:
            try:
                account.write(self._exiting.signum, death)
            except BaseException as error:
                failed.append(error)

        if (not within(WRITING, write) or failed) and not self._has_complained:
            self._has_complained = True
            why_not = text_of(failed[0]) if failed else "it takes too long"
            self.say(WARNING, f"the report cannot be written to {account.path}: {why_not}")

    def flush(self) -> None:
        """Have all of it said."""
        while self._unnamed:
            self._name(*self._unnamed.pop(0))
        self._log.flush(self._flushing())

    def last_words(self, text: str = "") -> None:
        """Have all of it said, and *text*, and flush the standard streams."""
        self._log.last_words(text, self._flushing())

    def _flushing(self) -> float:
        return min(FLUSHING, self._limits.left() / 4)


def say_what_was_not_run(
    log: "Log",
    signum: int | None,
    dropped: int,
    unhandled: bool,  # noqa: FBT001
) -> None:
    """Say what belongs to the parent of a forked process, and what no signal could have run."""
    log.why = why(signum)
    if dropped:
        log.post(DEBUG if in_child() else WARNING, DROPPED.format(dropped))
        log.flush(1.0)
    if unhandled:
        log.post(WARNING, NO_HANDLER)


def running(run: "Run | None", frame: "FrameType | None") -> list[str]:
    """Return what *run* has in progress, and where it is: in *frame* on the calling thread."""
    found = []
    for item in [] if run is None else run.in_progress():
        ident = run.helper if item.stop is None else item.ident  # type: ignore[union-attr]
        here = ident == threading.get_ident()
        calls = calls_to(frame) if here else stack_of(ident)
        at = f" at {call_of(calls[-1])}" if calls else ""
        found.append(subject_of(item.kind, item.name, item.where) + at)
    return found


def holds_the_world() -> bool:
    """
    Return whether to ask where a thread is stops all others, until that thread lets it.

    Without a GIL it does, and a thread in C code may not let it: then items come first.
    """
    return not getattr(sys, "_is_gil_enabled", lambda: True)()


def why(signum: int | None) -> str:
    """Return why the process exits."""
    if signum is None:
        return "at the end of the program"
    name = signal_name(signum)
    return "on Ctrl-C" if name == "SIGINT" else f"on {name}"


def facts_of(thread: threading.Thread, seconds: float, limit: str) -> dict[str, object]:
    """Return who goes on though its time is over, as the report has it."""
    calls = stack_of(thread.ident)
    kind = "job" if id(thread) in workers() else "thread"
    return {
        "name": str(thread._name),  # type: ignore[attr-defined]  # for `name` may be anybody's code
        "kind": "main thread" if thread is threading.main_thread() else kind,
        "where": call_of(calls[-1]) if calls else "",
        "seconds": round(seconds, 3),
        "limit": limit,
    }


def place_of(thread: threading.Thread) -> str:
    """Return where a thread is defined, or what job a worker of a pool has, and where it is."""
    calls = stack_of(thread.ident) or []
    defined = place(target_of(thread))
    if id(thread) in workers():
        jobs = [name for file, _, name in calls if "concurrent" not in file]
        defined = f"job {jobs[0]}" if jobs else "a job"
    return (f" ({defined})" if defined else "") + (f" at {call_of(calls[-1])}" if calls else "")
