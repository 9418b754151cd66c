"""What graceexit has reported about the exit of each process: a line of JSON, GRACEEXIT_REPORT."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VERSION = 1


@dataclass
class Result:
    """How one item ended; times are Unix time."""

    name: str
    kind: str
    outcome: str
    begun: float | None
    seconds: float
    limit: str
    where: str
    error: str
    stack: list[str]


@dataclass
class CutOff:
    """A thread, or another part of the program, that the exit did not wait for any longer."""

    name: str
    kind: str
    where: str
    seconds: float
    limit: str


@dataclass
class Report:
    """The exit of one process; times are Unix time, None where there is nothing to tell."""

    pid: int
    signal: str
    noticed: float | None
    begun: float | None
    main_ended: float | None
    ended: float | None
    results: list[Result] = field(default_factory=list)
    cut_off: list[CutOff] = field(default_factory=list)
    death: str = ""


@dataclass
class Reports:
    """All reports of a rehearsal, and how many lines were of no use."""

    of: dict[int, Report] = field(default_factory=dict)
    broken: int = 0
    versions: set[int] = field(default_factory=set)  # those that are not known here


def read(folder: Path) -> Reports:
    """Read every file of reports in the folder; of a process the later line counts."""
    found = Reports()
    for path in sorted(folder.glob("*.jsonl")):
        add(found, path.read_text(encoding="utf-8", errors="replace").splitlines())
    return found


def add(found: Reports, lines: Iterable[str]) -> None:
    """Add the reports in these lines."""
    for line in lines:
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            if told["version"] != VERSION:
                found.versions.add(told["version"])
                continue
            report = _report(told)
        except (ValueError, TypeError, LookupError, AttributeError):
            found.broken += 1
        else:
            found.of[report.pid] = report


def _report(told: dict[str, object]) -> Report:
    """Return the report that a line is, however much of it is missing."""
    pid = told["pid"]
    if not isinstance(pid, int):
        raise TypeError(pid)
    return Report(
        pid=pid,
        signal=_text(told.get("signal")),
        noticed=_time(told.get("noticed")),
        begun=_time(told.get("begun")),
        main_ended=_time(told.get("main_ended")),
        ended=_time(told.get("ended")),
        results=[_result(one) for one in _dicts(told.get("results"))],
        cut_off=[_cut_off(one) for one in _dicts(told.get("cut_off"))],
        death=_text(told.get("death")),
    )


def _result(told: dict[str, object]) -> Result:
    stack = told.get("stack")
    return Result(
        name=_text(told.get("name")) or "?",
        kind=_text(told.get("kind")) or "callback",
        outcome=_text(told.get("outcome")) or "?",
        begun=_time(told.get("begun")),
        seconds=_time(told.get("seconds")) or 0.0,
        limit=_text(told.get("limit")),
        where=_text(told.get("where")),
        error=_text(told.get("error")),
        stack=[str(line) for line in stack] if isinstance(stack, list) else [],
    )


def _cut_off(told: dict[str, object]) -> CutOff:
    return CutOff(
        name=_text(told.get("name")) or "?",
        kind=_text(told.get("kind")) or "thread",
        where=_text(told.get("where")),
        seconds=_time(told.get("seconds")) or 0.0,
        limit=_text(told.get("limit")),
    )


def _dicts(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
