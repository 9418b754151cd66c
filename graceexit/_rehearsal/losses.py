"""What was lost, in words, and what to write so that it is not lost the next time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graceexit._rehearsal.facts import seconds, signal_name
from graceexit._rehearsal.stacks import Stacks, Thread, keepers

if TYPE_CHECKING:
    from graceexit._rehearsal.clients import Counts
    from graceexit._rehearsal.facts import Facts
    from graceexit._rehearsal.processes import Process
    from graceexit._rehearsal.reports import CutOff, Report, Result

FRAMES = 6  # of a stack, as it is shown; the JSON has all


@dataclass
class Loss:
    """Something that was lost: a sentence, and lines that say more."""

    what: str
    more: list[str] = field(default_factory=list)


def of_report(report: Report, process: Process) -> list[Loss]:
    """Return what one process has reported: items that are not done, and what was cut off."""
    lost = [_lost_item(one, process.pid) for one in report.results if one.outcome != "done"]
    return lost + [_cut_off(one, process.pid) for one in report.cut_off]


def of_requests(counts: Counts) -> Loss:
    was = "request was" if counts.lost == 1 else "requests were"
    why = "; ".join(counts.errors[:3])
    return Loss(f"{counts.lost} {was} sent before the signal and not answered: {why}")


def of_crash(process: Process) -> Loss:
    who = f"process {process.pid} {process.name}"
    how = signal_name(-(process.status or 0))
    if how == "SIGKILL":
        return Loss(f"{who} was killed by SIGKILL, not by the rehearsal: a limit of its server?")
    return Loss(f"{who} died of {how}")


def of_killed(process: Process, facts: Facts) -> Loss:
    """Say what has kept a process alive, and what to write."""
    whom = f"process {process.pid} {process.name}"
    loss = Loss(f"{whom} had to be killed after {seconds(facts.within)}")
    stacks = facts.stacks.get(process.pid, Stacks(untold="it was not asked"))
    attitude = facts.attitudes.get(process.pid)
    if attitude:
        loss.more.append(attitude)
    if not stacks.threads:
        loss.more.append(f"Its stacks are not known: {stacks.untold}.")
    kept = keepers(stacks)
    for thread in kept:
        loss.more.append(_kept_by(thread))
        loss.more += [f"    {frame}" for frame in _shown(thread)]
        if not thread.main:
            loss.more += remedy(thread)
    if stacks.threads and not stacks.named:
        loss.more.append("The names of its threads are not known: its main thread runs no Python.")
    return loss


def remedy(thread: Thread) -> list[str]:
    """Return the line to write for a thread that keeps its process alive."""
    own = [one for one in thread.frames if not one.is_library]
    if any("concurrent/futures/" in frame.file for frame in thread.frames):
        return [
            "It is a worker of an executor. Tell its job to end, before threads are waited for:",
            "    graceexit.on_exit(tell, order=-1)   # tell: the function that ends the job",
        ]
    if (thread.where is not None and not thread.where.is_library) or (thread.where is None and own):
        return [
            "Write where the thread is made:",
            "    graceexit.register(thread, stop=flag, timeout=5)   # flag: what tells it to stop",
        ]
    return [
        "A library's code runs in it. Write where you make the object that has started it:",
        "    graceexit.on_exit(client.close, order=-1)",
        "or, where you have made the thread yourself:",
        "    graceexit.register(thread, stop=client.close, timeout=5)",
    ]


def _lost_item(result: Result, pid: int) -> Loss:
    place = f" ({result.where})" if result.where else ""
    subject = f"process {pid}: {result.kind} {result.name!r}{place}"
    if result.outcome == "failed":
        return Loss(
            f"{subject} failed: {result.error or 'nobody said how'}", result.stack[-FRAMES:]
        )
    if result.outcome == "overran":
        limit = {"grace": "the grace was over", "timeout": "its timeout was over"}
        why = limit.get(result.limit, "its time was over")
        at = f"; it hangs at {result.stack[-1]}" if result.stack else ""
        rest = result.stack[-FRAMES:-1][::-1]
        return Loss(
            f"{subject} was left behind after {seconds(result.seconds)}, as {why}{at}",
            [f"called by {line}" for line in rest],
        )
    why = ": the grace was over" if result.limit == "grace" else ""
    return Loss(f"{subject} was {result.outcome}{why}")


def _cut_off(cut: CutOff, pid: int) -> Loss:
    at = f" at {cut.where}" if cut.where else ""
    limit = f", as {cut.limit} was over" if cut.limit else ""
    who = "the main thread" if cut.kind == "main thread" else f"{cut.kind} {cut.name!r}"
    return Loss(f"process {pid}: {who} was cut off{at} after {seconds(cut.seconds)}{limit}")


def _kept_by(thread: Thread) -> str:
    if thread.main:
        return "Its main thread has not ended. It is at"
    name = f"thread {thread.name!r}" if thread.name else "a thread"
    kind = " (not a daemon)" if thread.daemon is False else ""
    runs = ""
    if thread.target:
        place = str(thread.where).partition(" in ")[0] if thread.where else ""
        runs = f", which runs {thread.target}" + (f" ({place})" if place else "")
    return f"It is kept alive by {name}{kind}{runs}. It is at"


def _shown(thread: Thread) -> list[str]:
    """Return the calls to show: not those of threading itself, and not all."""
    frames = [one for one in thread.frames if not one.file.endswith("/threading.py")]
    shown = [str(one) for one in (frames or thread.frames)]
    return shown if len(shown) <= FRAMES else [*shown[: FRAMES - 1], "..."]
