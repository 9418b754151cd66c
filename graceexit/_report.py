"""
What people see of an exit: results, the report, and lines in the log.

Logging may be the very thing that is stuck, for an item that was left behind can hold one of its
locks. So a line is handed to a thread of its own, nobody waits for that thread before an item, and
what it could not say in time goes to file descriptor 2. `logging` is not imported for it: in a
process that has not done so nobody has asked for INFO, and warnings go where its last resort would
send them.

The module is imported by `install` and not at the exit. By then its file may have been replaced by
another version, or be out of reach after a change of user or root. Nothing is imported for it at
the exit, the traceback module least of all: a handler that raises in the middle of an import can
leave the lock of the imports taken for ever, and a module that calls `eval`, as one with a
namedtuple does, makes Python forget that it has to die of an unhandled KeyboardInterrupt.
"""

import _thread
import os
import signal
import sys
from types import SimpleNamespace

from graceexit._latch import Latch, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from graceexit._runner import Outcome

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # the levels of logging
OURS = ("graceexit._runner", "graceexit._items")  # frames that no traceback needs to show


class Result(SimpleNamespace):
    """
    How one item ended.

    Attributes:
        name: The item's name.
        kind: "thread" or "callback".
        outcome: "done", "failed" (it raised), "overran" (it was out of time and was left behind)
            or "not run" (the grace was over, or its subject had been run before in the same exit).
        seconds: How long it took; for a thread, from being told to stop.
        error: What it raised, None if it did not.
        stack: Where it was when it was left behind, None if that is not known.
        where: Where it is defined, as file:line; "" if that is not known.
    """

    __module__ = "graceexit"

    name: str
    kind: str
    outcome: str
    seconds: float
    error: BaseException | None
    stack: str | None
    where: str

    def __str__(self) -> str:
        """Say what happened, with the stack or the traceback where there is one."""
        subject = f"{self.kind} {self.name}" + (f" ({self.where})" if self.where else "")
        if self.error is not None:
            return f"{subject} failed:\n{traceback_of(self.error)}"
        if self.outcome == "overran":
            at = f"; it is at\n{self.stack.rstrip()}" if self.stack else ""
            return f"{subject} overran: left behind after {self.seconds:.3g} s{at}"
        return f"{subject} {self.outcome}"


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
        self.pid: int = os.getpid()
        self.signum = signum
        self.seconds = seconds

    @property
    def results(self) -> list[Result]:
        """The results, in the order in which the items ended."""
        return [result_of(outcome) for outcome in self._outcomes]

    @property
    def ok(self) -> bool:
        """Whether every item is done."""
        return all(how == "done" for _, how, *_ in self._outcomes)

    @property
    def summary(self) -> str:
        """The outcomes, counted in one line."""
        counts: dict[str, int] = {}
        for _, how, *_ in self._outcomes:
            counts[how] = counts.get(how, 0) + 1
        what = ", ".join(f"{count} {how}" for how, count in counts.items())
        return f"{what or 'nothing to run'} in {self.seconds:.2f} s"

    def __repr__(self) -> str:
        return f"<graceexit.Report pid={self.pid} {self.summary}>"

    def __str__(self) -> str:
        """Give one row an item, under a line that counts them."""
        rows = [("outcome", "seconds", "kind", "name", "where")]
        rows += [(r.outcome, f"{r.seconds:.3f}", r.kind, r.name, r.where) for r in self.results]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        reason = f", {signal_name(self.signum)}" if self.signum else ""
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([f"process {self.pid}{reason}: {self.summary}", *lines])


class Log:
    """
    Says lines through the logger `graceexit`, and never keeps the caller waiting.

    Its thread lives as long as there are lines to say.
    """

    def __init__(self) -> None:
        self._lines: list[tuple[int, str]] = []
        self._speaking = _thread.allocate_lock()  # held by the thread that says the lines

    def post(self, level: int, text: str) -> None:
        """Have *text* said soon."""
        if level >= WARNING or "logging" in sys.modules:
            self._lines.append((level, text))
            if self._speaking.acquire(blocking=False) and not start_thread(self._say_all):
                self._speaking.release()  # flush() says it

    def flush(self, timeout: float) -> None:
        """Wait *timeout* seconds at most for what was posted; then say the rest on stderr."""
        if self._lines and self._speaking.acquire(timeout=max(timeout, 0.0)):
            self._speaking.release()
        rest, self._lines = self._lines, []
        text = "".join(f"{line}\n" for level, line in rest if level >= WARNING)
        if text:
            within(1.0, lambda: write(text))

    def _say_all(self) -> None:
        """Say every line, taking it off the list once it has been said."""
        lines = self._lines
        while True:
            # Unless flush() has lost patience and says the rest.
            while lines and lines is self._lines:
                say(*lines[0])
                del lines[:1]
            self._speaking.release()
            # A line that was posted before the release had nobody to say it: an instant.
            if not self._lines or not self._speaking.acquire(blocking=False):  # pragma: no branch
                return
            lines = self._lines


def say(level: int, text: str) -> None:
    """Log *text*; where logging is not in use or fails, write it to stderr from WARNING upwards."""
    try:
        if "logging" in sys.modules:
            sys.modules["logging"].getLogger("graceexit").log(level, "%s", text)
        else:
            write(f"{text}\n")
    except BaseException:  # handlers and filters are anybody's code
        write(f"{text}\n")


def write(text: str) -> None:
    """Write *text* to file descriptor 2."""
    try:
        os.write(2, text.encode(errors="backslashreplace"))
    except OSError:
        pass  # there is nobody left to tell


def within(timeout: float, action: "Callable[[], object]") -> None:
    """Do what may block for ever, such as a write to a full pipe, and wait no longer than that."""
    done = Latch()

    def act() -> None:
        try:
            action()
        finally:
            done.set()

    if not start_thread(act):
        act()
    done.wait(timeout)


def signal_name(signum: int) -> str:
    """Return the name of *signum*, such as SIGTERM."""
    try:
        return signal.Signals(signum).name
    except ValueError:  # a real-time signal
        return f"signal {signum}"


def result_of(outcome: "Outcome") -> Result:
    """Return the result that an outcome of the runner stands for."""
    item, how, seconds, error, stack = outcome
    return Result(
        name=item.name,
        kind=item.kind,
        outcome=how,
        seconds=seconds,
        error=error,
        stack=stack,
        where=item.where,
    )


def traceback_of(error: BaseException) -> str:
    """Return the traceback of *error*, beginning in the user's code."""
    try:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_globals.get("__name__") in OURS:
            frames = frames.tb_next
        if "traceback" in sys.modules:
            format_exception = sys.modules["traceback"].format_exception
            return "".join(format_exception(type(error), error, frames)).rstrip()
        calls = []
        while frames is not None:
            calls.append((frames.tb_frame, frames.tb_lineno))
            frames = frames.tb_next
        said = f"{type(error).__qualname__}: {error}"
        return f"Traceback (most recent call last):\n{lines_of(calls)}{said}"
    except Exception:  # even its message is anybody's code
        return object.__repr__(error)


def stack_of(frame: "FrameType | None") -> str:
    """Return the calls that have led to *frame*, the outermost first."""
    calls = []
    while frame is not None:
        if frame.f_globals.get("__name__") not in OURS:
            calls.append((frame, frame.f_lineno))
        frame = frame.f_back
    return lines_of(calls[::-1])


def lines_of(calls: "list[tuple[FrameType, int]]") -> str:
    """Return one line for each call, and the source too where the traceback module is in use."""
    if "traceback" in sys.modules:
        return "".join(sys.modules["traceback"].StackSummary.extract(calls).format())
    where = [(frame.f_code, line) for frame, line in calls]
    return "".join(f'  File "{c.co_filename}", line {n}, in {c.co_name}\n' for c, n in where)
