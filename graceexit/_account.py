"""
The report that outlives the process: one line of JSON, as docs/report.md describes it.

It is written when the items have run, and again at the death of the process if that brings news; of
the lines of one process the last one counts. Each is one write, so that many workers can share a
file. Nothing may hold it up: names are anybody's code, and the path may be a pipe that nobody
reads, so it is made and written on a thread of its own, within a second.

`json` is imported by `install` where a path is given, and not otherwise.
"""

import os
import sys
from time import monotonic, sleep, time

from graceexit._report import Report, call_of, result_of, signal_name, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from graceexit._items import Outcome

VERSION = 1  # of the schema
TERMINATION_LOG = "/dev/termination-log"  # of which Kubernetes shows the last 4,096 bytes
ROOM = 4000  # bytes that a line takes there
MANY = 50  # results, which have no room there


class Account:
    """
    What one exit has to report.

    Attributes:
        path: Where to, with `{pid}` for the process.
        outcomes: How the items have ended.
        cut_off: Who went on though its time was over.
        times: When what happened, by `time.time()`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.outcomes: list[Outcome] = []
        self.cut_off: list[dict[str, object]] = []
        self.times: dict[str, float] = {}

    def note(self, what: str) -> None:
        """Note when *what* happened, if it has not happened before."""
        self.times.setdefault(what, time())

    def write(self, signum: int | None, death: str | None) -> None:
        """
        Write the line.

        Raises:
            OSError: The path cannot be written.
        """
        path = self.path.replace("{pid}", str(os.getpid()))
        facts = self._facts(signum, death)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        for flag in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY"):
            flags |= getattr(os, flag, 0)
        line = text_in(facts)
        if path == TERMINATION_LOG:  # it shows the last bytes, of one process
            if facts["ok"] and has_failed(path):
                return
            flags |= os.O_TRUNC
            line = shortened(facts)
        descriptor = os.open(path, flags, 0o666)
        try:
            data = line.encode()
            while data := data[write_some(descriptor, data) :]:
                pass
        finally:
            os.close(descriptor)

    def write_report(self, report: Report) -> None:
        """Write the line of what nothing but a call of `shutdown` has run."""
        self.times["begun"] = time() - report.seconds
        self.outcomes = report._outcomes
        self.write(report.signum, None)

    def _facts(self, signum: int | None, death: str | None) -> "dict[str, Any]":
        from graceexit import __version__

        report = Report(self.outcomes, signum, 0.0)
        now = time()
        begun = self.times.get("begun", now)
        return {
            "version": VERSION,
            "graceexit": __version__,
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "parent": os.getppid(),
            "signum": signum,
            "signal": None if signum is None else signal_name(signum),
            "noticed": self.times.get("noticed"),
            "begun": begun,
            "main_ended": self.times.get("main_ended"),
            "ended": now,
            "ok": report.ok and not self.cut_off,
            "seconds": now - begun,
            "results": [result_in(outcome) for outcome in self.outcomes],
            "cut_off": self.cut_off,
            "death": death,
        }


def write_some(descriptor: int, data: bytes) -> int:
    """Write what there is room for; return how many bytes that were."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:  # a pipe whose reader is slow
        sleep(0.01)
        return 0


def result_in(outcome: "Outcome") -> "dict[str, Any]":
    """Return an outcome as the line has it; of its stack the innermost call comes first."""
    *head, error, stack, limit = outcome
    said = None if error is None else text_of(error)
    plain = result_of((*head, None, None, limit), time() - monotonic())  # type: ignore[arg-type]
    return {**vars(plain), "error": said, "stack": stack and [call_of(one) for one in stack[::-1]]}


def text_in(facts: "dict[str, Any]") -> str:
    """Return the line."""
    import json

    return json.dumps(facts, separators=(",", ":")) + "\n"


def shortened(facts: "dict[str, Any]") -> str:
    """Return the line with what went wrong first, and no more than there is room for."""
    results = sorted(facts["results"], key=lambda result: result["outcome"] == "done")
    results = [{**one, "stack": one["stack"] and one["stack"][:3]} for one in results[:MANY]]
    cut_off = list(facts["cut_off"][:MANY])
    while True:
        line = text_in({**facts, "results": results, "cut_off": cut_off})
        if len(line) <= ROOM or not (results or cut_off):
            return line
        del (results or cut_off)[-1]


def has_failed(path: str) -> bool:
    """Return whether another process has reported there that something went wrong."""
    import json

    try:
        with open(path, "rb") as file:  # noqa: PTH123  (pathlib is not imported for this)
            said = json.loads(file.read(2 * ROOM))
        return said["pid"] != os.getpid() and not said["ok"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
