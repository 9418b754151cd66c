"""One rehearsal: start, wait until it is ready, keep it busy, send the signal, watch, ask, kill."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graceexit._rehearsal import clients, reports, stacks
from graceexit._rehearsal.facts import Facts, Strike, seconds, signal_name, status
from graceexit._rehearsal.processes import Process, Processes, send

if TYPE_CHECKING:
    from graceexit._rehearsal.screen import Screen

TICK = 0.02  # seconds between two looks at who has come; an end is seen at once
QUIET = 1.0  # seconds without output: it is ready, where nothing else says so
AFTER = 1.0  # seconds in which there are requests before the signal
SETTLED = 0.5  # seconds without a new process
SETTLING = 5.0  # seconds that this may take
ASKING = 1.0  # seconds for the first answer of the URL, while it is waited for
FRAMES = 6  # of a main thread, where the service is not ready
NOT_OURS = "It belongs to another user, and is still there."
REST = 1.0  # seconds for the last lines and answers, when all processes are gone


class CannotBeginError(Exception):
    """The service was not there to be signalled; *more* lines say where it is."""

    def __init__(self, what: str, more: list[str] | None = None) -> None:
        super().__init__(what)
        self.more = more or []


@dataclass
class Options:
    """What the command line says."""

    command: list[str]
    url: str | None = None
    until: str | None = None
    clients: int = 4
    after: float | None = None
    signum: int = signal.SIGTERM
    to: str = "main"
    again: float | None = None
    within: float = 30.0
    ready_within: float = 60.0


class Rehearsal:
    """One run of one command; whatever happens, `close` ends all that it has started."""

    def __init__(self, options: Options, screen: Screen) -> None:
        self.options = options
        self._screen = screen
        self._processes = Processes()
        self._clients: clients.Clients | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="graceexit-rehearsal-")).resolve()
        self._strikes: list[Strike] = []
        self._defaulting: set[int] = set()  # who had no handler for it

    def run(self) -> Facts:
        """
        Do it.

        Raises:
            CannotBeginError: There was nothing to be signalled.
        """
        options, processes = self.options, self._processes
        self._start()
        self._wait_until_ready()
        self._make_busy()
        targets = self._targets()
        processes.name_anew()
        self._defaulting = {one.pid for one in targets if has_default(one.pid, options.signum)}
        self._strike(targets)
        stuck, ended = self._watch(), time.time()
        # Whoever is left has lost, also if it ends as it is asked. All are asked before one is
        # killed, for the end of one changes what the others do.
        for one in stuck:
            one.killed = True
        told = stacks.ask([one.pid for one in stuck], self._folder)
        attitudes = {one.pid: attitude_of(one.pid, options.signum) for one in stuck}
        since = self._strikes[0].time
        processes.kill()
        attitudes |= {one.pid: NOT_OURS for one in stuck if one.denied}
        if self._clients is not None:
            self._clients.stop(REST)
        self._screen.finish(REST)
        processes.close()
        return Facts(
            command=options.command,
            to=options.to,
            within=options.within,
            strikes=self._strikes,
            ended=ended,
            processes=[one for one in processes.known.values() if one.was_there(since)],
            reports=reports.read(self._folder),
            requests=None if self._clients is None else list(self._clients.requests),
            stacks=told,
            attitudes=attitudes,
            defaulting=self._defaulting,
        )

    def close(self) -> None:
        """End everything that was started, and leave no file behind."""
        try:
            if self._processes.known:
                self._processes.kill()
                self._processes.close()
            self._screen.finish(REST)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        """Start the command."""
        options = self.options
        if options.url and not clients.ask(options.url, ASKING, whole=False).refused:
            raise CannotBeginError(f"somebody listens at {options.url} already")
        env = environment(self._folder)
        try:
            popen = self._processes.start(options.command, env)
        except OSError as error:
            raise CannotBeginError(f"{options.command[0]} cannot be started: {error}") from None
        assert popen.stdout is not None  # noqa: S101 - for the type checkers
        self._screen.drain(popen.stdout, options.until)

    def _wait_until_ready(self) -> None:
        """Wait until the URL answers, the text is printed, or it has been quiet for a second."""
        options, screen = self.options, self._screen
        until = time.monotonic() + options.ready_within
        heard, since = 0, time.monotonic()
        asking = ASKING
        why = f"does not answer at {options.url}" if options.url else "was never quiet"
        while True:
            self._look(f"waiting until {options.command[0]} is ready")
            if screen.heard != heard:
                heard, since = screen.heard, time.monotonic()
            if options.until and not screen.seen_until.is_set():
                why = f"has not printed {options.until!r}"
            elif options.url:
                limit = min(asking, max(until - time.monotonic(), TICK))
                answer = clients.ask(options.url, limit, whole=False)
                if 0 < answer.status < 500:  # noqa: PLR2004 - statuses of HTTP
                    return
                is_slow = not answer.status and not answer.refused
                if not is_slow or limit == asking:  # that our time is over is no reason
                    how = f"status {answer.status}" if answer.status else answer.error
                    why = f"does not answer at {options.url} ({how})"
                if is_slow:
                    asking *= 2  # it may need so long
            elif options.until or time.monotonic() > since + QUIET:
                return
            if time.monotonic() > until:
                what = f"it {why} within {seconds(options.ready_within)}"
                named = options.until or options.url
                more = [] if named else ["write --until TEXT, which it prints when it is ready"]
                raise CannotBeginError(what, [*more, *self._where()])

    def _where(self) -> list[str]:
        """Say where the main threads are of a service that is not ready."""
        alive = {one.pid: one for one in self._processes.alive}
        lines = []
        for pid, told in stacks.ask(alive, self._folder).items():
            if told.threads and told.threads[-1].frames:
                lines.append(f"process {pid} {alive[pid].short} is at")
                lines += [f"    {frame}" for frame in told.threads[-1].frames[:FRAMES]]
        return lines

    def _make_busy(self) -> None:
        """Wait until all workers are there, and keep requests in flight."""
        options, known = self.options, self._processes.known
        count, since = len(known), time.monotonic()
        until = since + SETTLING
        while time.monotonic() < min(since + SETTLED, until):
            self._look("waiting for its workers")
            if len(known) != count:
                count, since = len(known), time.monotonic()
        if options.url:
            self._clients = clients.Clients(options.url, options.clients, options.within + REST)
            self._clients.start()
        after = options.after
        if after is None:
            after = AFTER if options.url else 0.0
        until = time.monotonic() + after
        while time.monotonic() < until:
            count = len(self._clients.requests) if self._clients else 0
            self._look(f"{count} requests answered" if options.url else "waiting, as --after says")

    def _look(self, doing: str) -> None:
        """Look at the processes before the signal, of which the first has to be there."""
        self._processes.look(TICK)
        self._screen.progress(doing)
        main = self._processes.main
        if main.ended is None:
            return
        until = time.monotonic() + REST
        while self._processes.alive and time.monotonic() < until:
            self._processes.look(TICK)
        left = [one for one in self._processes.alive if not one.is_helper]
        self._processes.kill()
        self._screen.finish(REST)
        self._processes.close()
        how = "" if main.status is None else f" ({status(main.status)})"
        if left:
            raise CannotBeginError(
                f"its main process ended{how} and left others behind; start it in the foreground"
            )
        raise CannotBeginError(f"it ended{how} before it was ready")

    def _targets(self) -> list[Process]:
        """Return who gets the signal; all of the group stand for the group."""
        if self.options.to == "group":
            return [one for one in self._processes.alive if _group_of(one) == self._main.pid]
        if self.options.to == "main":
            return [self._main]
        workers = self._processes.workers()
        if not workers:
            raise CannotBeginError("it has no worker processes; leave --to worker away")
        return workers[:1]

    @property
    def _main(self) -> Process:
        return self._processes.main

    def _strike(self, targets: list[Process], signum: int | None = None) -> None:
        """
        Send the signal, and note when.

        Raises:
            CannotBeginError: Nobody was there to be sent the first one.
        """
        number = self.options.signum if signum is None else signum
        pids = [one.pid for one in targets]
        now = time.time()
        to = [-self._main.pid] if self.options.to == "group" else pids
        sent = [send(pid, number) for pid in to]
        self._processes.look(0)
        if any(sent):
            self._strikes.append(Strike(now, signal_name(number), pids))
        elif not self._strikes:
            is_there = any(one.ended is None for one in targets)
            why = "belongs to another user" if is_there else "had ended by itself"
            who = ", ".join(f"{one.pid} {one.short}" for one in targets)
            raise CannotBeginError(f"process {who} was not sent the signal: it {why}")

    def _watch(self) -> list[Process]:
        """Watch until all are gone or the time is over; return who is left."""
        options, processes = self.options, self._processes
        begun = time.monotonic()
        first = [processes.known[pid] for pid in self._strikes[0].pids]
        replaced = options.to != "worker"  # a worker alone; then comes the rest
        settled = float("inf")
        repeated = options.again is None
        while processes.alive and time.monotonic() < begun + options.within:
            processes.look(TICK)
            passed = time.monotonic() - begun
            count = len(processes.alive)
            whom = "1 process" if count == 1 else f"{count} processes"
            self._screen.progress(f"{whom} left, {passed:.1f} s of {seconds(options.within)}")
            if not repeated and options.again is not None and passed >= options.again:
                repeated = True
                self._strike([one for one in first if one.ended is None])
            if not replaced and all(one.ended is not None for one in first):
                settled = min(settled, passed + SETTLED)  # until another one has taken its place
                if passed >= settled:
                    replaced = True
                    self._strike([self._main], signal.SIGTERM)
        return processes.alive


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of the command, so that its Pythons tell what they know."""
    if os.geteuid() == 0:
        # A server that root starts may run its workers as somebody else, who writes here too.
        folder.chmod(0o1733)
    paths = [str(stacks.SITE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(paths),
        "GRACEEXIT_REPORT": str(folder / "{pid}.jsonl"),
        "GRACEEXIT_REHEARSAL": str(folder / "{pid}.jsonl"),  # whatever `install` is given
        "GRACEEXIT_STACKS": f"{stacks.SIGNUM}:{folder}",
    }


def attitude_of(pid: int, signum: int) -> str:
    """Say whether a process ignores or blocks the signal; "" if neither, or it is not known."""
    masks = masks_of(pid, signum)
    if masks.get("SigIgn"):
        return f"It ignores {signal_name(signum)}."
    if masks.get("SigBlk"):
        return f"Its main thread blocks {signal_name(signum)}."
    return ""


def has_default(pid: int, signum: int) -> bool:
    """Return whether a process might have a handler for the signal, and has none."""
    masks = masks_of(pid, signum)
    return signum != signal.SIGKILL and bool(masks) and not any(masks.values())


def masks_of(pid: int, signum: int) -> dict[str, bool]:
    """Return whether a process ignores, blocks or catches the signal; nothing if nobody knows."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    found = dict(line.split(":\t") for line in text.splitlines() if line.startswith("Sig"))
    bit = 1 << (signum - 1)
    return {
        name: bool(int(found[name], 16) & bit)
        for name in ("SigBlk", "SigIgn", "SigCgt")
        if name in found
    }


def _group_of(process: Process) -> int:
    try:
        return os.getpgid(process.pid)
    except OSError:  # it has just ended
        return 0
