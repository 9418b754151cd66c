"""What was lost, in words, and what to write so that it is not lost the next time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graceexit._rehearsal.facts import seconds, signal_name
from graceexit._rehearsal.stacks import Stacks, Thread, keepers, short

if TYPE_CHECKING:
    from graceexit._rehearsal.clients import Counts
    from graceexit._rehearsal.facts import Facts
    from graceexit._rehearsal.processes import Process
    from graceexit._rehearsal.reports import CutOff, Report, Result

FRAMES = 6  # of a stack, as it is shown; the JSON has all
LIMITS = ("linger", "grace")  # that `install` takes


@dataclass
class Loss:
    """Something that was lost: a sentence, and lines that say more."""

    what: str
    more: list[str] = field(default_factory=list)


def of_reports(reports: list[Report]) -> list[Loss]:
    """Return the items that are not done, and who was cut off; once, if alike in several."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for report in reports:
        told = [_lost_item(one) for one in report.results if one.outcome != "done"]
        for what, *more in told + [_cut_off(one) for one in report.cut_off]:
            alike.setdefault((what, *more), []).append(report.pid)
    return [
        Loss(f"process {_listed(pids)}: {what}", list(more))
        for (what, *more), pids in alike.items()
    ]


def of_requests(counts: Counts) -> list[Loss]:
    """Return the requests that were lost: in flight at the signal, or meant for other workers."""
    lost = []
    if counts.lost:
        was = "request was" if counts.lost == 1 else "requests were"
        why = "; ".join(counts.errors[:3])
        lost.append(Loss(f"{counts.lost} {was} sent before the signal and not answered: {why}"))
    if number := counts.lost_between:
        was = "request that was" if number == 1 else "requests that were"
        lost.append(
            Loss(
                f"{number} {was} sent after one worker was told to end had no answer, though the"
                " service goes on"
            )
        )
    return lost


def of_crash(process: Process) -> Loss:
    """Return a process that neither ended by itself nor was killed by the rehearsal."""
    who = f"process {process.pid} {process.short}"
    how = signal_name(-(process.status or 0))
    if how == "SIGKILL":
        return Loss(f"{who} was killed by SIGKILL, not by the rehearsal: a limit of its server?")
    return Loss(f"{who} died of {how}")


def of_killed(processes: list[Process], facts: Facts) -> list[Loss]:
    """
    Return the processes that did not end, with what has kept each and what to write.

    Those come first that kept the others: a parent waits for its children. What several workers
    say alike is said once.
    """
    killed = {one.pid: one for one in processes if one.killed}
    untold = _untold(processes, facts)
    lost = [_not_passed_on(group, facts) for group in untold]
    for group in untold:
        for one in group:
            del killed[one.pid]
    wanted = [one for one in killed.values() if not (one.is_helper and one.parent in killed)]
    parents = {one.parent for one in wanted}
    alike: dict[tuple[str, ...], list[Process]] = {}
    for one in wanted:
        if one.pid not in parents:
            alike.setdefault(tuple(_kept(one, facts)), []).append(one)
    for more, group in alike.items():
        who = _listed([one.pid for one in group], group[0].short)
        what = f"process {who} had to be killed after {seconds(facts.within)}"
        lost.append(Loss(what, list(more)))
    for one in wanted:
        if one.pid in parents:
            children = [str(each.pid) for each in wanted if each.parent == one.pid]
            who = f"process {one.pid} {one.short}"
            what = f"{who} had to be killed too. It had started {', '.join(children)}"
            lost.append(Loss(what, _kept(one, facts, waits=True)))
    return lost


def died_of_it(process: Process, facts: Facts) -> bool:
    """Return whether a process has died of the very signal that was sent first."""
    return signal_name(-(process.status or 0)) == facts.strikes[0].signal


def died_by_default(process: Process, facts: Facts) -> bool:
    """Return whether the signal itself has ended a process, which had no handler for it."""
    return process.pid in facts.defaulting and died_of_it(process, facts)


def _untold(processes: list[Process], facts: Facts) -> list[list[Process]]:
    """Return who was killed and had not heard of the signal: each child of one that died of it."""
    known = {one.pid: one for one in facts.processes}
    struck = {pid for strike in facts.strikes for pid in strike.pids}
    first: dict[int, int] = {}  # of each of them the one whose parent has died
    for one in processes:  # parents come first
        parent = known.get(one.parent)
        if not one.killed or one.pid in struck or facts.attitudes.get(one.pid):
            continue
        if one.parent in first:
            first[one.pid] = first[one.parent]
        elif parent is not None and _told_nobody(parent, facts):
            first[one.pid] = one.pid
    groups: dict[int, list[Process]] = {}
    for pid, of in first.items():
        groups.setdefault(of, []).append(known[pid])
    return list(groups.values())


def _told_nobody(process: Process, facts: Facts) -> bool:
    """Return whether a process died of the signal and cannot have passed it on."""
    by_default = is_shell(process) or process.pid in facts.defaulting
    return by_default and died_of_it(process, facts)


def is_shell(process: Process) -> bool:
    """Return whether a process runs a shell."""
    return process.short.lstrip("-") in {"sh", "dash", "bash", "ash", "ksh", "zsh", "busybox"}


def _not_passed_on(group: list[Process], facts: Facts) -> Loss:
    """Return the processes that went on without their parent, which has told nobody."""
    first, name = group[0], facts.strikes[0].signal
    parent = next(one for one in facts.processes if one.pid == first.parent)
    who = _listed([one.pid for one in group], first.short)
    more = [
        f"Process {parent.pid} {parent.short} got {name} and died of it, without passing it on."
    ]
    siblings = [one for one in facts.processes if one.parent == parent.pid and one.killed]
    if not is_shell(parent):
        more += [f"It has no handler of {name}. Let it have one that ends what it has started."]
    elif len(siblings) > 1:
        more += [f"Let the script have a trap for {name} that passes it on, and waits."]
    else:
        more += [
            "Write the command so that the service takes the place of the shell:",
            f"    exec {first.name}",
        ]
    return Loss(f"process {who} had to be killed after {seconds(facts.within)}", more)


def _kept(process: Process, facts: Facts, *, waits: bool = False) -> list[str]:
    """Return what has kept a process alive; of one that waits for others only what is its own."""
    stacks = facts.stacks.get(process.pid, Stacks(untold="it was not asked"))
    threads = keepers(stacks)
    if waits:
        threads = [one for one in threads if not one.main and not one.is_library]
    lines = []
    if attitude := facts.attitudes.get(process.pid):
        lines.append(attitude)
    if not stacks.threads and not waits:
        lines.append(f"Where it hangs is not known: {stacks.untold}.")
    for thread in threads:
        lines.append(_kept_by(thread))
        lines += [f"    {frame}" for frame in _shown(thread)]
        lines += [] if thread.main else remedy(thread)
    unnamed = len(stacks.threads) > 1 and not any(one.name for one in stacks.threads)
    if unnamed and not waits:
        lines.append("The names of its threads are not known: its main thread runs no Python code.")
    return lines


def remedy(thread: Thread) -> list[str]:
    """Return the line to write for a thread that keeps its process alive."""
    if any("concurrent/futures/" in frame.file for frame in thread.frames):
        return [
            "It is a worker of an executor. Tell its job to end, before threads are waited for:",
            "    graceexit.on_exit(tell, order=-1)   # tell: the function that ends the job",
        ]
    if thread.target == "Timer.run":
        return [
            "Write where the timer is made:",
            "    graceexit.register(timer, stop=timer.cancel, timeout=5)",
        ]
    if not thread.is_library:
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


def _listed(pids: list[int], name: str = "") -> str:
    """Return the first process, and in brackets those of which the same is to be said."""
    first = f"{pids[0]} {name}".rstrip()
    return f"{first} (and {', '.join(map(str, pids[1:]))})" if pids[1:] else first


def _lost_item(result: Result) -> list[str]:
    """Return the sentence about an item, and the lines that say more."""
    place = f" ({short(result.where)})" if result.where else ""
    subject = f"{result.kind} {result.name!r}{place}"
    over = {"grace": "the grace was over", "timeout": "its timeout was over"}.get(result.limit, "")
    stack = [f"    {line}" for line in result.stack[:FRAMES]]
    if result.outcome == "failed":
        return [f"{subject} failed: {result.error or 'nobody said how'}", *stack]
    if result.outcome == "overran":
        why = f" when {over}" if over else ""
        return [f"{subject} was left behind{why}", *(["It hangs at", *stack] if stack else [])]
    return [f"{subject} was {result.outcome}{f': {over}' if over else ''}"]


def _cut_off(cut: CutOff) -> list[str]:
    """Return the same about somebody who was not waited for any longer."""
    at = f" at {cut.where}" if cut.where else ""
    limit = f" when {cut.limit} was over" if cut.limit else ""
    if cut.kind == "main thread":
        more = [f"Give it longer: graceexit.install({cut.limit}=...)"] * (cut.limit in LIMITS)
        return [f"the main thread was cut off{at}{limit}", *more]
    return [f"{cut.kind} {cut.name!r} was cut off{at}{limit}"]


def _kept_by(thread: Thread) -> str:
    if thread.main:
        return "Its main thread has not ended. It is at"
    name = f"thread {thread.name!r}" if thread.name else "a thread"
    kind = ", which is not a daemon" if thread.daemon is False else ""
    runs = ""
    if thread.target:
        place = f" ({thread.where.place})" if thread.where else ""
        runs = f" It runs {thread.target}{place}."
    return f"It is kept alive by {name}{kind}.{runs} It is at"


def _shown(thread: Thread) -> list[str]:
    """Return the calls to show: not those of threading itself, and not all."""
    frames = [one for one in thread.frames if not one.file.endswith("/threading.py")]
    shown = [str(one) for one in (frames or thread.frames)]
    return shown if len(shown) <= FRAMES else [*shown[: FRAMES - 1], "..."]
