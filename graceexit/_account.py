"""
The report that outlives the process: one line of JSON, as docs/report.md describes it.

It is written when the items have run, and again at the death of the process if that brings news; of
the lines of one process the last one counts. Each is one write, so that many workers can share a
file. Nothing may hold it up: names are anybody's code, and the path may be a pipe that nobody
reads, so it is made and written on a thread of its own, within a second.

This module, and `json` with it, is imported by `install` where a path is given, and not otherwise.
"""

import json
import os
import sys
from time import monotonic, sleep, time

from graceexit._latch import within
from graceexit._log import WARNING
from graceexit._report import Report, call_of, facts_of, signal_name, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from graceexit._items import Outcome
    from graceexit._log import Log

VERSION = 1  # of the schema
TERMINATION_LOG = "/dev/termination-log"  # of which Kubernetes shows the last 4,096 bytes
WRITING = 1.0  # seconds that it may take
ROOM = 4000  # bytes that a line takes there
MANY = 50  # results, which have no room there


def publish(log: "Log | None", path: str, report: Report, more: "dict[str, Any]") -> bool:
    """Write the line, within a limit; return whether it was, and say to *log* if it was not."""
    failed: list[str] = []

    def try_it() -> None:
        try:
            write(path, report, more)
        except BaseException as error:
            failed.append(text_of(error))

    why_not = "".join(failed) if within(WRITING, try_it) else "it takes too long"
    if why_not and log is not None:
        log.post(WARNING, f"the report cannot be written to {path}: {why_not}")
    return not why_not


def write(path: str, report: Report, more: "dict[str, Any]") -> None:
    """
    Write the line.

    Args:
        path: Where to, with `{pid}` for the process.
        report: How the items have ended.
        more: Fields that only an exit has: when what happened, who was cut off, the death.

    Raises:
        OSError: The path cannot be written.
    """
    from graceexit import __version__

    now = time()
    facts = {
        "version": VERSION,
        "graceexit": __version__,
        "python": sys.version.split()[0],
        "pid": os.getpid(),
        "parent": os.getppid(),
        "signum": report.signum,
        "signal": None if report.signum is None else signal_name(report.signum),
        "noticed": None,
        "begun": now - report.seconds,
        "main_ended": None,
        "ended": now,
        "results": [result_in(outcome) for outcome in report._outcomes],
        "cut_off": [],
        "death": None,
        **more,
    }
    facts["ok"] = report.ok and not facts["cut_off"]
    facts["seconds"] = now - facts["begun"]
    line = text_in(facts)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # Windows has neither
    path = path.replace("{pid}", str(os.getpid()))
    if path == TERMINATION_LOG:  # it shows the last bytes, of one process
        if facts["ok"] and has_failed(path):
            return
        flags |= os.O_TRUNC
        line = shortened(facts)
    descriptor = os.open(path, flags, 0o666)
    try:
        data = line.encode()
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # a pipe whose reader is slow
                sleep(0.01)
    finally:
        os.close(descriptor)


def result_in(outcome: "Outcome") -> "dict[str, Any]":
    """Return an outcome as the line has it; of its stack the innermost call comes first."""
    facts = facts_of(outcome, time() - monotonic())
    error, stack = facts["error"], facts["stack"]
    said = None if error is None else text_of(error)
    return {**facts, "error": said, "stack": stack and [call_of(one) for one in stack[::-1]]}


def text_in(facts: "dict[str, Any]") -> str:
    """Return the line."""
    return json.dumps(facts, separators=(",", ":")) + "\n"


def shortened(facts: "dict[str, Any]") -> str:
    """Return the line with what went wrong first, and no more than there is room for."""
    results = sorted(facts["results"], key=lambda result: result["outcome"] == "done")
    results = [{**one, "stack": one["stack"] and one["stack"][:3]} for one in results[:MANY]]
    cut_off = list(facts["cut_off"][:MANY])
    shorter = {**facts, "results": results, "cut_off": cut_off}
    while len(line := text_in(shorter)) > ROOM and (results or cut_off):
        (results or cut_off).pop()
    return line


def has_failed(path: str) -> bool:
    """Return whether a process has reported there that something went wrong."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (pathlib is not imported for this)
            return not json.loads(file.read(2 * ROOM))["ok"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
