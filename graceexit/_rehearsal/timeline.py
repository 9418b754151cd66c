"""
What happened in a rehearsal, ready to be drawn: rows, marks and losses.

Times are seconds from the first signal here; everything before is none of the drawing's business.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from graceexit._rehearsal import losses
from graceexit._rehearsal.clients import count
from graceexit._rehearsal.facts import crashed, plain, seconds, signal_name, status

if TYPE_CHECKING:
    from graceexit._rehearsal.clients import Counts
    from graceexit._rehearsal.facts import Facts
    from graceexit._rehearsal.losses import Loss
    from graceexit._rehearsal.processes import Process
    from graceexit._rehearsal.reports import Report, Result


PASSING = 2  # rows for processes of one command line that come and go after the signal


@dataclass
class Row:
    """
    One row of the drawing.

    Attributes:
        kind: "process", "main" (the main thread), "thread", "callback" or "cut off".
        begun: Where its bar begins and *ended* where it ends; None if there is none.
        note: How it ended.
        bad: Whether something was lost there.
    """

    label: str
    depth: int
    kind: str
    begun: float | None
    ended: float | None
    note: str
    bad: bool = False


@dataclass
class Timeline:
    """A rehearsal as it is drawn."""

    title: str
    seconds: float
    marks: list[tuple[float, str]]
    rows: list[Row]
    summary: list[tuple[str, str]]
    losses: list[Loss]
    notes: list[str]

    @property
    def verdict(self) -> str:
        """The last line."""
        lost = "Something was lost."
        return lost if self.losses else "No item, request or process was lost."


def timeline(facts: Facts) -> Timeline:
    """Return what the facts come to."""
    zero = facts.strikes[0].time
    few, passing = _without_passing(facts, zero)
    ordered = _in_order(few)
    reports = [facts.reports.of[one.pid] for one, _ in ordered if one.pid in facts.reports.of]
    rows: list[Row] = []
    lost: list[Loss] = []
    for process, depth in ordered:
        report = facts.reports.of.get(process.pid)
        rows.append(_process_row(process, depth, zero, report, facts))
        if report is not None:
            rows += _report_rows(report, depth + 1, zero)
    lost += losses.of_reports(reports)
    counts = _counts(facts)
    if counts is not None:
        lost += losses.of_requests(counts)
    lost += losses.of_killed([process for process, _ in ordered], facts)
    for process, _ in ordered:
        if not process.killed and crashed(process.status):
            lost.append(losses.of_crash(process))
    for row in rows:
        row.label = plain(row.label)
    for loss in lost:
        loss.what, loss.more = plain(loss.what), [plain(line) for line in loss.more]
    ends = [row.ended for row in rows if row.ended is not None]
    return Timeline(
        title=_title(facts),
        seconds=max([*ends, *(one.time - zero for one in facts.strikes), 0.01]),
        marks=[(one.time - zero, one.signal) for one in facts.strikes],
        rows=rows,
        summary=_summary(facts, counts),
        losses=lost,
        notes=[*_notes(facts), *passing],
    )


def as_json(facts: Facts) -> dict[str, Any]:
    """Return what --json writes: the facts in Unix time, and what was lost in words."""
    drawn = timeline(facts)
    processes = []
    for one in facts.processes:
        told = {k: v for k, v in asdict(one).items() if k not in {"pidfd", "argv"}} | {
            "name": one.name
        }
        stacks = facts.stacks.get(one.pid)
        report = facts.reports.of.get(one.pid)
        told["report"] = None if report is None else asdict(report)
        told["threads"] = None if stacks is None else [asdict(each) for each in stacks.threads]
        processes.append(told)
    return {
        "version": 1,
        "command": facts.command,
        "to": facts.to,
        "within": facts.within,
        "signals": [asdict(one) for one in facts.strikes],
        "ended": facts.ended,
        "ok": not drawn.losses,
        "requests": asdict(counts) if (counts := _counts(facts)) else None,
        "processes": processes,
        "lost": [asdict(one) for one in drawn.losses],
        "notes": drawn.notes,
    }


def _without_passing(facts: Facts, zero: float) -> tuple[list[Process], list[str]]:
    """Return the processes to draw: not each `sleep` of a script that waits; and what is said."""
    alike: dict[str, list[Process]] = {}
    for one in facts.processes:
        is_well = one.status in {0, None} and not one.killed  # None: an old kernel tells nothing
        if one.begun > zero and is_well and one.pid not in facts.reports.of:
            alike.setdefault(one.name, []).append(one)
    hidden = {one.pid for group in alike.values() for one in group[PASSING:]}
    notes = [
        f"{len(group) - PASSING} more processes came after the signal, and ended: {plain(name)}."
        for name, group in alike.items()
        if len(group) > PASSING
    ]
    return [one for one in facts.processes if one.pid not in hidden], notes


def _counts(facts: Facts) -> Counts | None:
    """Return what became of the requests, None where there were none."""
    if facts.requests is None:
        return None
    # One worker alone is ended first, and then the rest.
    first, last = facts.strikes[0].time, facts.strikes[-1].time
    return count(facts.requests, first, last if facts.to == "worker" else first)


def _title(facts: Facts) -> str:
    first = facts.strikes[0]
    whom = {
        "main": "the main process",
        "group": "the process group",
        "worker": f"worker {first.pids[0]}" if first.pids else "a worker",
    }
    return f"{first.signal} to {whom[facts.to]}"


def _in_order(processes: list[Process]) -> list[tuple[Process, int]]:
    """Return the processes as a tree is written down, each with its depth."""
    pids = {one.pid for one in processes}
    ordered: list[tuple[Process, int]] = []

    def walk(parent: int | None, depth: int) -> None:
        for one in processes:
            if one.parent == parent or (parent is None and one.parent not in pids):
                ordered.append((one, depth))
                walk(one.pid, depth + 1)

    walk(None, 0)
    return ordered


def _process_row(
    process: Process, depth: int, zero: float, report: Report | None, facts: Facts
) -> Row:
    ended = (process.ended or facts.ended) - zero
    if process.denied:
        note = f"STILL THERE after {seconds(facts.within)}"
    elif process.killed:
        ended = max(facts.ended, process.begun) - zero  # its stacks were asked for, then
        note = f"KILLED after {seconds(facts.within)}"
    else:
        note = f"gone after {seconds(ended)}"
        how = "" if process.status is None else status(process.status)
        if not how and report is not None and report.death.startswith("SIG"):
            how = report.death
        note += f", {how}" if how else ""
    # The command is known, and a worker has the command line of its parent.
    like = process is facts.processes[0] or any(
        one.pid == process.parent and one.argv == process.argv for one in facts.processes
    )
    return Row(
        f"{process.pid} {process.short if like else process.name}",
        depth,
        "process",
        max(process.begun - zero, 0.0),
        ended,
        note,
        process.killed or crashed(process.status),
    )


def _report_rows(report: Report, depth: int, zero: float) -> list[Row]:
    rows = []
    first = report.noticed if report.noticed is not None else report.begun
    if report.main_ended is not None:
        begun = max((first or zero) - zero, 0.0)
        ended = max(report.main_ended - zero, begun)
        note = f"ended after {seconds(ended)}"
        rows.append(Row("main thread", depth, "main", begun, ended, note))
    for cut in report.cut_off:
        begun = max((report.begun or report.noticed or zero) - zero, 0.0)
        note = f"CUT OFF after {seconds(cut.seconds)}"
        ended = begun + cut.seconds
        rows.append(Row(_label(cut.kind, cut.name), depth, "cut off", begun, ended, note, bad=True))
    for one in sorted(report.results, key=lambda one: one.begun or float("inf")):
        begin = None if one.begun is None else max(one.begun - zero, 0.0)
        end = None if begin is None else begin + one.seconds
        rows.append(
            Row(
                _label(one.kind, one.name),
                depth,
                one.kind if one.kind in {"thread", "callback"} else "callback",
                begin,
                end,
                _outcome(one),
                one.outcome != "done",
            )
        )
    return rows


def _outcome(result: Result) -> str:
    if result.begun is None:
        return result.outcome.upper()
    how = {"done": "done", "failed": "FAILED", "overran": "LEFT BEHIND"}
    return f"{how.get(result.outcome, result.outcome.upper())} after {seconds(result.seconds)}"


def _label(kind: str, name: str) -> str:
    return kind if kind == "main thread" else f"{kind} {name}"


def _summary(facts: Facts, counts: Counts | None) -> list[tuple[str, str]]:
    lines = []
    if counts is not None:
        odd = {k: v for k, v in counts.statuses.items() if not k.startswith(("2", "3"))}
        told = f"{counts.answered} answered"
        told += f" ({', '.join(f'{v} by status {k}' for k, v in odd.items())})" if odd else ""
        told += f"; of {counts.in_flight} in flight at the signal, {counts.lost} not answered"
        lines.append(("requests", told))
        after = []
        if counts.answered_after:
            after.append(f"{counts.answered_after} answered")
        if counts.dropped_after:
            after.append(f"{counts.dropped_after} dropped")
        if counts.refused_after:
            after.append(f"refused from {seconds(counts.refused_since or 0.0)} on")
        if after:
            lines.append(("sent later", ", ".join(after)))
        if counts.failed_before:
            lines.append(("sent before", f"{counts.failed_before} had no answer before the signal"))
    main = facts.processes[0]
    if not main.killed and main.status is not None:
        lines.append(("exit status", _exit_status(main.status)))
    return lines


def _exit_status(value: int) -> str:
    """Return the status of the command as a shell tells it."""
    return f"{128 - value}: died of {signal_name(-value)}" if value < 0 else str(value)


def _notes(facts: Facts) -> list[str]:
    notes = []
    if facts.reports.broken:
        notes.append(f"Lines of reports that could not be read: {facts.reports.broken}.")
    main = facts.processes[0]
    if losses.died_by_default(main, facts):
        name = facts.strikes[0].signal
        notes.append(
            f"Process {main.pid} {main.short} has no handler of {name}, and died of it at once: no"
            " `finally`, no `with` and no `atexit` has run in it. If that is Python, register"
            " something with graceexit on its main thread. As process 1 of a container it would go"
            " on, and be killed: the container needs an init then (docker run --init)."
        )
    counts = _counts(facts)
    statuses = [] if counts is None else sorted(counts.statuses)
    if statuses and all(status.startswith("4") for status in statuses):
        notes.append(f"Every answer had status {' or '.join(statuses)}. Is that the right URL?")
    notes += [
        f"A report has version {version}, which this graceexit does not know."
        for version in sorted(facts.reports.versions, key=str)
    ]
    # A worker beside others like it that have reported, or nobody: it was killed, or os._exit.
    like: dict[tuple[int, str], list[Process]] = {}
    for one in facts.processes:
        like.setdefault((one.parent, one.name), []).append(one)
    for group in like.values():
        silent = [one.pid for one in group if one.pid not in facts.reports.of and not one.killed]
        if silent and any(one.pid in facts.reports.of for one in group):
            pids = ", ".join(map(str, silent))
            notes.append(f"No report came from {pids}, though others like it have reported.")
    if os.name == "posix" and not os.path.exists("/proc/self"):  # noqa: PTH110
        notes.append("Without /proc only the processes that psutil knows are seen.")
    return notes
