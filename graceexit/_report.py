"""
What people see of an exit: results, the table, sentences for the log, and the line of JSON.

A name, an error's text and a thread's name are anybody's code. So they are looked at only where
somebody asks for them: by whoever prints a report, by the log's own thread, and with *careful* not
at all.

Nothing is imported at the exit to show an error, the traceback module least of all: a handler that
raises in the middle of an import can leave the lock of the imports taken for ever, and a module
that calls `eval`, as one with a namedtuple does, makes Python up to 3.12 forget that it has to die
of an unhandled KeyboardInterrupt.
"""

import os
import signal
import sys
from time import monotonic, time
from types import FunctionType, MethodType, SimpleNamespace

from graceexit._items import Call, Item, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType, TracebackType
    from typing import Any, Literal

FEW = 5  # items that are named in one line
# Frames that nobody needs to see: ours, and threading's below the one that waits.
HIDDEN = ("graceexit._runner", "graceexit._items", "graceexit._latch", "threading")


class Result(SimpleNamespace):
    """
    How one item ended.

    Attributes:
        name: The item's name.
        kind: "thread" or "callback".
        outcome: "done", "failed" (it raised, or the thread died of an exception), "overran" (it was
            out of time and was left behind) or "not run" (the grace was over, its subject had been
            run before in the same exit, or items were registered without an end).
        begun: When it began, as `time.time()` has it; for a thread, when it was told to stop.
        seconds: How long it took.
        limit: What cut it short: "timeout" or "grace", None if nothing did.
        error: What it raised, None if it did not.
        stack: Where it was when it was left behind, None if that is not known.
        where: Where it is defined, as file:line; "" if that is not known.
    """

    __module__ = "graceexit"

    name: str
    kind: "Literal['thread', 'callback']"
    outcome: "Literal['done', 'failed', 'overran', 'not run']"
    begun: float
    seconds: float
    limit: "Literal['timeout', 'grace'] | None"
    error: BaseException | None
    stack: str | None
    where: str

    def __str__(self) -> str:
        """Say what happened, with the stack or the traceback where there is one."""
        what = f"{subject_of(self.kind, self.name, self.where)} {self.outcome}"
        took = "" if self.outcome == "not run" else f" after {self.seconds:.3g} s"
        more = (self.stack or "") if self.error is None else traceback_of(self.error)
        return f"{what}{took}\n{more}".rstrip()


class Report:
    """
    What one exit, or one call of `shutdown`, has done.

    Attributes:
        pid: The process.
        signum: The signal that was noticed, None if there was none.
        seconds: How long it took.
    """

    __module__ = "graceexit"

    def __init__(self, outcomes: "list[Outcome]", signum: int | None, seconds: float) -> None:
        self._outcomes = outcomes
        self._epoch = time() - monotonic()  # what makes the clock of the outcomes a date
        self.pid: int = os.getpid()
        self.signum = signum
        self.seconds = seconds

    @property
    def results(self) -> list[Result]:
        """The results, in the order in which the items ended."""
        facts = [facts_of(outcome, self._epoch) for outcome in self._outcomes]
        return [
            Result(**{**one, "stack": one["stack"] and lines_of(one["stack"])}) for one in facts
        ]

    @property
    def ok(self) -> bool:
        """Whether every item is done."""
        return all(how == "done" for _, how, *_ in self._outcomes)

    @property
    def summary(self) -> str:
        """The outcomes, counted in one line."""
        counts: dict[str, int] = {}
        for item, how, *_ in self._outcomes:
            counts[how] = counts.get(how, 0) + getattr(item, "count", 1)
        what = ", ".join(f"{count} {how}" for how, count in counts.items())
        return f"{what or 'nothing to run'} in {self.seconds:.2f} s"

    def __repr__(self) -> str:
        return f"<graceexit.Report pid={self.pid} {self.summary}>"

    def __str__(self) -> str:
        """Give one row an item, under a line that counts them."""
        rows = [("outcome", "seconds", "kind", "name", "where")]
        rows += [
            (r.outcome, f"{r.seconds:.3f}", r.kind, escaped(r.name), r.where) for r in self.results
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        reason = f", {signal_name(self.signum)}" if self.signum else ""
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([f"process {self.pid}{reason}: {self.summary}", *lines])


class Rest(Item):
    """Stands for the items that were registered without an end, and were not run."""

    def __init__(self, count: int) -> None:
        self.subject = self.stop = None
        self._name = f"{count:,} item{'s' * (count > 1)} registered during the exit"
        self.count = count


def signal_name(signum: int) -> str:
    """Return the name of *signum*, such as SIGTERM."""
    try:
        return signal.Signals(signum).name
    except ValueError:  # a real-time signal
        return f"signal {signum}"


def facts_of(outcome: "Outcome", epoch: float = 0.0) -> "dict[str, Any]":
    """Return what a `Result` has of an outcome of the runner, the stack still as calls."""
    item, how, begun, seconds, error, stack, limit = outcome
    return {
        "name": item.name,
        "kind": item.kind,
        "outcome": how,
        "begun": epoch + begun,
        "seconds": seconds,
        "limit": limit,
        "error": error,
        "stack": stack,
        "where": item.where,
    }


def sentence_of(outcome: "Outcome", grace: float | None, *, careful: bool) -> str:
    """Say in one line how an item ended, whose limit it was, and what to do."""
    item, how, _, seconds, error, stack, limit = outcome
    subject = called(item, careful=careful)
    raised = "" if error is None else text_of(error, careful=careful)
    left = "the time that is left" if grace is None else f"grace={grace:g} s"
    if how == "done":
        return f"{subject} done after {seconds:.3g} s"
    if how == "failed":
        return f"{subject} failed: {raised}"
    if how == "not run":
        why = f"{left} is over" if limit else "it has been run in this exit before"
        return f"{subject} not run: {'they kept coming' if isinstance(item, Rest) else why}"
    own = limit == "timeout"
    within = f"timeout={item.timeout:g} s" if own else f"{seconds:.3g} s, its share of {left}"
    said = f"{subject} did not {'return' if item.stop is None else 'end'} within {within}"
    if item.stop is not None:
        said += ": its stop has not returned" if item.telling else " after its stop"
    said += f"; left behind{at_end_of(stack)}"
    if raised:
        said += f"; its stop raised {raised}"
    if item.stop is not None and hasattr(type(item.subject), "kill"):
        said += "; to end such a process write on_exit(process.kill)"
    return said


def subject_of(kind: str, name: str, where: str) -> str:
    """Return what an item, or a thread, is called in a line."""
    return f"{kind} {escaped(name)}" + (f" ({where})" if where else "")


def called(item: "Item", *, careful: bool = False) -> str:
    """Return what an item is called in a line; with *careful* no code of its own is run."""
    name, where = (plain_name(item), "") if careful else (item.name, item.where)
    return subject_of(item.kind, name, where)


def listed(items: list[Item], *, careful: bool = False) -> str:
    """Return what items are called, the one registered last first; of many only the first few."""
    names = [called(item, careful=careful) for item in items[: -FEW - 1 : -1]]
    more = len(items) - FEW
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def fields_of(outcome: "Outcome") -> "dict[str, Any]":
    """Return the fields of the log record that says how an item ended."""
    facts = facts_of(outcome)
    fields = {name: facts[name] for name in ("kind", "outcome", "limit", "where")}
    return {"item": facts["name"], "seconds": round(facts["seconds"], 3), **fields}


def plain_name(item: "Item") -> str:
    """Return a name of *item* that takes nobody's code."""
    subject = item.subject.__func__ if type(item.subject) is MethodType else item.subject
    return item._name or (subject if type(subject) is FunctionType else type(subject)).__qualname__


def escaped(name: str) -> str:
    """Return *name* in quotes, without what a terminal would obey."""
    return str.__repr__(str.__str__(name))


def text_of(error: BaseException, *, careful: bool = False) -> str:
    """Return what *error* is and says, on one line; with *careful* no code of its own is run."""
    try:
        text = "(no text)" if careful else escaped(str(error))[1:-1]
    except Exception:  # even its message is anybody's code
        text = "(no text)"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


def call_of(call: "Call") -> str:
    """Return a call as file:line in function."""
    file, line, name = call
    return f"{file}:{line} in {name}"


def at_end_of(stack: "list[Call] | None") -> str:
    """Return where a stack ends, as a line goes on with it; nothing if that is not known."""
    return f" at {call_of(stack[-1])}" if stack else ""


def without_ours(trace: "TracebackType | None") -> "TracebackType | None":
    """Return *trace* from where it comes to the user's code."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__") in HIDDEN:
        trace = trace.tb_next
    return trace


def traceback_of(error: BaseException) -> str:
    """Return the traceback of *error*, beginning in the user's code."""
    try:
        frames = without_ours(error.__traceback__)
        if "traceback" in sys.modules:
            format_exception = sys.modules["traceback"].format_exception
            return "".join(format_exception(type(error), error, frames)).rstrip()
        calls = []
        while frames is not None:
            code = frames.tb_frame.f_code
            calls.append((code.co_filename, frames.tb_lineno, code.co_name))
            frames = frames.tb_next
        said = f"{type(error).__qualname__}: {error}"
        return f"Traceback (most recent call last):\n{lines_of(calls)}{said}"
    except Exception:  # even its message is anybody's code
        return object.__repr__(error)


def forget_frames(error: BaseException | None) -> None:
    """
    Drop the locals of the frames that *error* has ended, as they go where nobody keeps an error.

    Among them may be files, which are written and closed by that. So it is not for a forked child,
    whose parent writes what is in them.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        trace = error.__traceback__
        while trace is not None:
            try:
                trace.tb_frame.clear()
            except RuntimeError:  # it goes on
                pass
            trace = trace.tb_next
        error = error.__context__


def calls_to(frame: "FrameType | None") -> "list[Call]":
    """Return the calls that have led to *frame*, the innermost last."""
    calls: list[Call] = []
    hidden: list[Call] = []
    while frame is not None:
        call = frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        (hidden if frame.f_globals.get("__name__") in HIDDEN else calls).append(call)
        frame = frame.f_back
    return calls[::-1] or hidden[::-1]


def stack_of(ident: int | None) -> "list[Call] | None":
    """Return where the thread *ident* is, None if that is not known."""
    return calls_to(sys._current_frames().get(ident or 0)) or None


def lines_of(calls: "Iterable[Call]") -> str:
    """Return one line for each call, and the source too where the traceback module is in use."""
    if "traceback" in sys.modules:
        frames = [(*call, None) for call in calls]  # without the line, which is looked up
        return "".join(sys.modules["traceback"].StackSummary.from_list(frames).format())
    return "".join(f'  File "{file}", line {n}, in {name}\n' for file, n, name in calls)
