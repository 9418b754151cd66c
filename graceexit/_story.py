"""
What is told of one exit: lines in the log, and the report that outlives the process.

Nothing of it may keep the exit waiting: a line is said by the log's own thread, the report is
written within a second, and what people have named is looked at there and nowhere else.
"""

import sys
import threading
from time import time

from graceexit._cpython import in_child
from graceexit._executors import workers
from graceexit._items import Item, Outcome, place, target_of
from graceexit._log import DEBUG, ERROR, INFO, WARNING
from graceexit._report import (
    Report,
    at_end_of,
    call_of,
    called,
    calls_to,
    listed,
    signal_name,
    stack_of,
    subject_of,
    text_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from graceexit._latch import Latch
    from graceexit._limits import Limits
    from graceexit._log import Log, Text
    from graceexit._runner import Run

FLUSHING = 1.0  # seconds for the log

REMEDY = (
    "to have a thread stopped, write register(thread, stop=...); to tell its owner,"
    " on_exit(tell, order=-1)"
)
LONGER = "to give it longer, install({}=...)"
NO_HANDLER = (
    "no handler could be set, so that a signal would have run nothing: the first registration, or"
    " install(), has to come on the main thread"
)
DROPPED = (
    "registered by the parent process, and not run in this fork of it: {}; threads and connections"
    " do not follow a fork: make them in the child, and register them there; each_process=True is"
    " for a callback that needs nothing of the parent"
)


class Story:
    """What is told of one exit; *path* is that of the report that outlives the process."""

    def __init__(self, log: "Log", exiting: "Latch", limits: "Limits", path: str | None) -> None:
        self._log = log
        self._exiting = exiting
        self._limits = limits
        self._path = path
        self._begun = 0.0
        self._times: dict[str, float] = {}  # when what happened, by `time.time()`
        self._outcomes: list[Outcome] = []
        self._cut: list[threading.Thread] = []  # who has been named already, or is about to be
        self._unnamed: list[tuple[list[threading.Thread], str, float, str]] = []
        self._cut_off: list[dict[str, object]] = []  # who was named, as the report has it
        self._has_complained = False  # that no report can be written

    def note(self, what: str) -> None:
        """Note when *what* happened, if it has not happened before."""
        self._times.setdefault(what, time())

    def begin(self, count: int) -> None:
        """Say that the exit begins, with so many items."""
        if not self._begun:
            self._begun = self._limits.clock()
            self.note("begun")
            self.say(INFO, f"exit begins, {count} to run")

    def end(self, outcomes: "list[Outcome]") -> None:
        """Say how the items have ended, and before that who was cut off and is not named yet."""
        self._name()
        self._outcomes = outcomes
        report = Report(outcomes, self._exiting.signum, self._limits.clock() - self._begun)
        self.say(INFO, f"exit complete: {report.summary}")
        self.write()

    def waiting(self, threads: list[threading.Thread], what: str, remedy: str = REMEDY) -> None:
        """Say for whom the exit waits, or has waited."""
        self.say(WARNING, f"{what} {', '.join(map(named, threads))}; {remedy}")

    def cut_off(
        self, threads: list[threading.Thread], since: float, what: str = "items run beside"
    ) -> None:
        """Say who goes on though its time is over; each is named once."""
        threads = [one for one in threads if one not in self._cut]
        if threads:
            self._cut += threads
            self._unnamed.append((threads, self._limits.name, self._limits.clock() - since, what))
            # Without a GIL to ask where a thread is stops all others until that thread lets it, and
            # one in C code may not let it: then items come first.
            if getattr(sys, "_is_gil_enabled", lambda: True)():
                self._name()

    def _name(self) -> None:
        """Say who was cut off and is not named yet, and where they are."""
        while self._unnamed:
            threads, name, waited, what = self._unnamed.pop(0)
            what = f"{name} is over (waited {waited:.1f} s), and {what}"
            limit = name.partition("=")[0].rpartition(" ")[2]
            remedies = [LONGER.format(limit)]
            if threads != [threading.main_thread()]:  # which nobody registers
                remedies.insert(0, REMEDY)
            self.waiting(threads, what, "; ".join(remedies))
            self._cut_off += [facts_about(thread, waited, limit) for thread in threads]

    def main_thread_is_cut_off(self, why: str, seconds: float) -> None:
        """Say that the process ends without what the main thread still does."""
        main = threading.main_thread()
        if main not in self._cut:
            what = f"{why} within {seconds:.3g} s; the process ends without the rest of"
            self.say(WARNING, f"{what} {named(main)}")
            self._cut_off.append(facts_about(main, seconds, "exit functions"))

    def failed(self, error: BaseException, what: str = "the main task") -> None:
        """Say that something has failed: of the program's, or of ours."""
        self.say(ERROR, lambda careful: f"{what} failed: {text_of(error, careful=careful)}", error)

    def say(self, level: int, text: "str | Text", error: BaseException | None = None) -> None:
        """Have a line said."""
        self._told_why().post(level, text, error)

    def _told_why(self) -> "Log":
        """Return the log, which knows why the process exits."""
        self._log.signum = signum = self._exiting.signum
        self._log.why = why(signum)
        return self._log

    def write(self, death: str | None = None) -> None:
        """Write the report that outlives the process; that it cannot be is said once."""
        if self._path is not None:
            from graceexit._account import publish

            report = Report(self._outcomes, self._exiting.signum, 0.0)
            more = {**self._times, "cut_off": self._cut_off, "death": death}
            log = None if self._has_complained else self._told_why()
            self._has_complained |= not publish(log, self._path, report, more)

    def flush(self) -> None:
        """Have all of it said."""
        self._name()
        self._log.flush(self._flushing())

    def last_words(self, text: str = "") -> None:
        """Have all of it said, and *text*, and flush the standard streams."""
        self._log.last_words(text, self._flushing())

    def _flushing(self) -> float:
        return min(FLUSHING, self._limits.left() / 4)


def say_what_was_not_run(
    log: "Log", signum: int | None, dropped: "list[Item]", *, unhandled: bool
) -> None:
    """Say what belongs to the parent of a forked process, and what no signal could have run."""
    log.why = why(signum)
    if dropped:
        level = DEBUG if in_child() else WARNING
        log.post(level, lambda careful: DROPPED.format(listed(dropped, careful=careful)))
        log.flush(1.0)
    if unhandled:
        log.post(WARNING, NO_HANDLER)


def running(run: "Run | None", frame: "FrameType | None") -> list[str]:
    """Return what *run* has in progress, and where it is: in *frame* on the main thread."""
    found = []
    for item in [] if run is None else run.in_progress():
        ident = run.helper if item.stop is None else item.ident  # type: ignore[union-attr]
        stack = calls_to(frame) if ident == threading.main_thread().ident else stack_of(ident)
        found.append(called(item) + at_end_of(stack))
    return found


def why(signum: int | None) -> str:
    """Return why the process exits."""
    if signum is None:
        return "at the end of the program"
    name = signal_name(signum)
    return "on Ctrl-C" if name == "SIGINT" else f"on {name}"


def name_of(thread: threading.Thread) -> str:
    """Return the name of a thread, but not its `name`, which may be anybody's code."""
    return str(getattr(thread, "_name", ""))


def named(thread: threading.Thread) -> str:
    """Return what a thread is called in a line, with what its code or its job is, and where."""
    stack = stack_of(thread.ident) or []
    if thread is threading.main_thread():
        return f"the main thread{at_end_of(stack)}"
    defined = place(target_of(thread))
    if id(thread) in workers():
        jobs = [name for file, _, name in stack if not ("concurrent" in file or "loky" in file)]
        defined = f"job {jobs[0]}" if jobs else "a job"
    return subject_of("thread", name_of(thread), defined) + at_end_of(stack)


def facts_about(thread: threading.Thread, seconds: float, limit: str) -> dict[str, object]:
    """Return who goes on though its time is over, as the report has it."""
    stack = stack_of(thread.ident)
    kind = "job" if id(thread) in workers() else "thread"
    return {
        "name": name_of(thread),
        "kind": "main thread" if thread is threading.main_thread() else kind,
        "where": call_of(stack[-1]) if stack else "",
        "seconds": round(seconds, 3),
        "limit": limit,
    }
