"""
One cell of the table: a server, a request in flight, a signal, and how everything ends.

`measure` does it once. `compare` says what is wrong with the run with graceexit, given the one
without it, in which the thread is a daemon.
"""

from __future__ import annotations

import http.client
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.row import Reload

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness import Program
    from servers.row import Row

APPS = Path(__file__).parent / "apps"
OURS = re.compile(r'File ".*/graceexit/\w+\.py"')  # in a stack
REAPED = Path(__file__).parents[1] / "programs" / "reaped.c"
# Seconds. Whoever is not gone so long after the signal is not gone in good time; no server has lost
# its patience by then, and killed it.
GOOD_TIME = 25.0
LIMIT = 90.0  # for the whole run, and what a reload takes on top
LOOK = 0.02  # seconds between two looks


@dataclass
class Run:
    """
    How one run has ended.

    Attributes:
        answer: What the client got: "200 ok", "none", or what has come of the task.
        finished: Whether the code of the request came to its end.
        knew: Whether `exiting` was set when it did.
        lines: Everything that was printed.
        single: Whether the main process is the one that has the request.
        gone: Whether every process was gone in good time.
        ours: Where in graceexit those are that were not, which no server is to blame for.
        main: The return code of the main process.
        busy: That of the process with the request, as its parent was told; None if nobody said.
        old: Those of the other workers that were there at the signal, sorted.
        new: Those of the workers that came later, sorted.
        steps: What each process that has the application printed, by its pid.
        forked: The processes that were forked from one that had loaded the application.
        busy_pid: The process with the request.
    """

    answer: str = ""
    finished: bool = False
    knew: bool = False
    lines: list[str] = field(default_factory=list)
    single: bool = False
    gone: bool = True
    ours: list[str] = field(default_factory=list)
    main: int | None = None
    busy: int | None = None
    old: list[int | None] = field(default_factory=list)
    new: list[int | None] = field(default_factory=list)
    steps: dict[int, list[str]] = field(default_factory=dict)
    forked: set[int] = field(default_factory=set)
    busy_pid: int = 0

    def ends(self) -> dict[str, object]:
        """Return how the processes have ended, by their part."""
        return {"main": self.main, "busy": self.busy, "others": self.old, "new": self.new}

    def summary(self) -> dict[str, object]:
        """Return what the table tells of the run."""
        return {
            "answer": self.answer,
            "finished": self.finished,
            "knew": self.knew,
            "gone": self.gone,
            "single": self.single,
            **self.ends(),
        }


class Client(threading.Thread):
    """Asks for a page, and keeps what came of it."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.answer = ""

    def run(self) -> None:
        """Ask."""
        until = time.monotonic() + LIMIT
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            while connection.sock is None:
                try:
                    connection.connect()
                except ConnectionRefusedError:  # ready to serve, but not listening yet
                    if time.monotonic() > until:
                        raise
                    time.sleep(LOOK)
            connection.request("GET", "/")
            response = connection.getresponse()
            answer = f"{response.status} {response.read().decode()}"
            # Whether an error page is still sent depends on the instant; neither is an answer.
            self.answer = answer if answer == "200 ok" else "none"
        except (OSError, http.client.HTTPException):
            self.answer = "none"
        finally:
            connection.close()


class Tasks:
    """Puts a task in flight, unless there is one anyway, and asks what has come of it."""

    def __init__(self, python: str, name: str, env: dict[str, str]) -> None:
        self.command = [python, name]
        self.env = {**os.environ, **env}
        self.answer = ""

    def start(self) -> None:
        """Put it in flight."""
        self.call("put")

    def join(self) -> None:
        """Ask, at the end of everything."""
        self.answer = self.call("get")

    def call(self, word: str) -> str:
        """Return what the program says."""
        if not self.command[1]:
            return ""
        return subprocess.run(
            [*self.command, word],
            cwd=APPS,
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=LIMIT,
        ).stdout.strip()


class Server:
    """A server of a row, from its start to its end."""

    def __init__(
        self, row: Row, column: str, program: Callable[..., Program], folder: Path, *, plain: bool
    ) -> None:
        self.row = row
        self.column = column
        self.stays_alone = row.lone or (row.retires and column == "worker" and not plain)
        self.folder = folder
        self.struck = folder / "struck"  # the request goes on for 1.5 s from then on
        self.reload = row.reload if column == "reload" and row.reload else Reload("")
        self.ready = re.compile(row.ready)
        folder.mkdir()
        # A reloader sees that a file changes, not that it is new, and some count in seconds.
        (folder / "touched.py").touch()
        os.utime(folder / "touched.py", (1, 1))
        places = {"PORT": str(free_port()), "BESIDE": str(free_port()), "DIR": str(folder)}
        places["PYTHON"] = python_of(row)
        env = {name: fill(value, places) for name, value in row.env.items()}

        def start(words: str, **options: object) -> Program:
            command = shlex.split(fill(words, places))
            if words.startswith("-") or command[0].endswith(".py"):
                command.insert(0, python_of(row))
            elif shutil.which(command[0]) is None:
                pytest.skip(f"{command[0]} is not installed")
            return program(*command, cwd=APPS, **options)

        if row.beside:
            wait_until_listening(start(row.beside, limit=2 * LIMIT), int(places["BESIDE"]))
        self.running = start(
            f"{row.command} {self.reload.words}",
            env={
                "SAY_REAPED": "1",
                "STRUCK": str(self.struck),
                "PLAIN": "1" if plain else None,
                "LD_PRELOAD": watcher(folder) if row.waits_in_c else None,
                **env,
            },
            limit=LIMIT + self.reload.seconds,
        )
        if row.client is None:
            self.client = Client(int(places["PORT"]))
        else:
            self.client = Tasks(python_of(row), row.client, env)
        if not self.running.read_until(lambda: self.are_ready(row.workers)):
            self.running.wait_for(self.ready)  # fails, with its output
        # A request, and all main threads asleep: a signal that comes just as one begins to wait is
        # lost by servers, whatever the application does.
        self.client.start()
        self.busy = int(self.running.wait_for(re.compile("^requested ")).split()[1])
        self.workers = workers_of(self.running.lines)
        self.settle()

    def are_ready(self, count: int) -> bool:
        """Return whether so many workers have been ready by now."""
        told = sum(bool(self.ready.search(line)) for line in self.running.lines)
        return min(told, len(workers_of(self.running.lines))) >= count

    def strike(self) -> None:
        """Do what the column is about, and bring about the end of the server."""
        if self.column == "term":
            self.running.send(signal.SIGTERM)
        elif self.column == "group":
            self.running.send_group(signal.SIGINT)
        elif self.column == "worker":
            os.kill(self.busy, signal.SIGTERM)
        else:
            self.do_reload()
        self.struck.touch()
        if self.column in {"term", "group"} or self.reload.ends:
            return
        # The old are gone and the new are there, or all is over.
        replaced = [self.busy]
        if self.column == "reload" and not self.reload.one:
            replaced = [pid for pid in self.workers if pid != self.running.pid]
        count = len(self.workers) + (0 if self.stays_alone else len(replaced))
        self.running.read_until(lambda: all(map(is_over, replaced)) and self.are_ready(count))
        if not is_over(self.running.pid):
            self.settle()
            self.running.send(signal.SIGTERM)

    def settle(self) -> None:
        """Wait until the main thread of every process sleeps, unless they never do for long."""
        if not self.row.restless:
            self.running.settle()

    def do_reload(self) -> None:
        """Have the server replace its workers."""
        if isinstance(self.reload.how, signal.Signals):
            self.running.send(self.reload.how)
        elif self.reload.how == "touch":
            (self.folder / "touched.py").touch()

    def see_the_end(self) -> Run:
        """Wait for the end, and return how it was."""
        running, workers = self.running, self.workers
        run = Run(busy_pid=self.busy, lines=running.lines, single=self.busy == running.pid)
        until = time.monotonic() + GOOD_TIME
        if known_of(self.row, self.column) & {"hangs", "plain hangs"}:
            run.gone = not running.read_until(lambda: time.monotonic() > until)
        running.deadline = min(running.deadline, until)
        if run.gone:
            _, run.main = running.finish()
        else:
            running.dump()
            run.ours = ours_in(running.lines)
            running.close()
        self.client.join()
        run.answer = self.client.answer
        for line in running.lines:
            if match := re.match(r"(stopped|closed|answered) (\d+)(?: (True|False|None))?$", line):
                run.steps.setdefault(int(match[2]), []).append(match[1])
                run.knew |= match[3] == "True"
        run.finished = "answered" in run.steps.get(self.busy, [])
        for pid in pids(running.lines, "imported|forked"):
            run.steps.setdefault(pid, [])
        run.forked = set(pids(running.lines, "forked"))
        reaped = statuses(running.lines)
        run.busy = run.main if run.single else reaped.get(self.busy)
        old = [pid for pid in workers if pid not in (self.busy, running.pid)]
        new = [pid for pid in workers_of(running.lines) if pid not in workers]
        run.old, run.new = (sorted(map(reaped.get, some), key=repr) for some in (old, new))
        return run


def ours_in(lines: list[str]) -> list[str]:
    """Return the calls of graceexit that are in the stacks that processes have printed."""
    return [line.strip() for line in lines if OURS.search(line)]


def known_of(row: Row, column: str) -> frozenset[str]:
    """Return what is known not to be right in a cell."""
    return row.faults[column].findings if column in row.faults else frozenset()


def measure(
    row: Row, column: str, program: Callable[..., Program], folder: Path, *, plain: bool
) -> Run:
    """Start the server of *row*, do to it what *column* says during a request, and see it end."""
    server = Server(row, column, program, folder, plain=plain)
    server.strike()
    return server.see_the_end()


def compare(run: Run, plain: Run) -> dict[str, str]:
    """
    Return what is wrong with *run*, each of row.FINDINGS with the evidence.

    And "ours", which no row can excuse: a process that does not end is in graceexit.
    """
    late = f"not gone {GOOD_TIME} s after the signal"
    found = {} if plain.gone else {"plain hangs": late}
    if not run.gone:
        found["hangs"] = late
        if run.ours:
            found["ours"] = f"what does not end is in {run.ours}"
        return found
    ends = [run.main, run.busy, *run.old, *run.new]
    if -signal.SIGKILL in ends:
        found["killed"] = f"ended by {ends}"
    ran = {pid: [one for one in steps if one != "answered"] for pid, steps in run.steps.items()}
    wrong = {
        pid: steps
        for pid, steps in ran.items()
        if steps != (["closed"] if pid in run.forked else ["stopped", "closed"])
    }
    if wrong.get(run.busy_pid) == []:
        found["lost"] = f"process {run.busy_pid} has run nothing"
        del wrong[run.busy_pid]
    if wrong:
        found["items"] = f"printed by process: {wrong}"
    if run.finished and run.steps[run.busy_pid][0] != "answered":
        found["order"] = f"printed by process {run.busy_pid}: {run.steps[run.busy_pid]}"
    if not plain.gone:
        return found
    if (run.answer, run.finished) != (plain.answer, plain.finished):
        found["answer"] = f"{run.summary()}; without graceexit {plain.summary()}"
    if run.ends() != plain.ends():
        found["status"] = f"{run.ends()}; without graceexit {plain.ends()}"
    return found


def python_of(row: Row) -> str:
    """Return the Python that has the server; skip the test where there is none."""
    if not row.venv:
        return sys.executable
    python = Path(f"{sys.prefix}-{row.venv}/bin/python")
    if not python.exists():
        pytest.skip(
            f"there is no {python}; make test-servers makes it, and one named heavy with HEAVY=1"
        )
    return str(python)


def watcher(folder: Path) -> str:
    """Return what says how children end that C waits for; skip the test where no compiler is."""
    if shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    library = folder / "reaped.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, REAPED], check=True)
    return str(library)


def fill(text: str, places: dict[str, str]) -> str:
    """Return *text* with the ports and folders of a run in it."""
    for name, value in places.items():
        text = text.replace(name, value)
    return text


def wait_until_listening(running: Program, port: int) -> None:
    """Wait until a program of ours takes connections."""
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        running.check()


def is_over(pid: int) -> bool:
    """Return whether there is no such process any more, or its parent has not been told yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2][1] == "Z"
    except (OSError, IndexError):
        return True


def pids(lines: list[str], what: str) -> list[int]:
    """Return which processes have said *what*, in that order."""
    found = [re.match(f"(?:{what}) (\\d+)$", line) for line in lines]
    return [int(match[1]) for match in found if match]


def workers_of(lines: list[str]) -> list[int]:
    """Return the workers: the forked ones where the application is loaded before the fork."""
    return pids(lines, "forked") or pids(lines, "imported")


def statuses(lines: list[str]) -> dict[int, int]:
    """Return how each process has ended, as the one that waited for it was told."""
    found = [re.match(r"reaped (\d+) (-?\d+)$", line) for line in lines]
    return {int(match[1]): int(match[2]) for match in found if match}


def free_port() -> int:
    """Return a port of the loopback that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
