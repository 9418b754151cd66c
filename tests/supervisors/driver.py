"""
One run of a row: something that stands above a program, told to stop, and what the program sees.

`witnessed` has a program that ends by no signal: it tells who gets what, from whom, and who is
killed when. `served` has one with graceexit: it tells what it has run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness import MARK, environment, marked
from supervisors.row import WHO

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness import Program
    from supervisors.row import Row

HERE = Path(__file__).parent / "programs"
# Where supervisors are looked for: beside the Python that runs the tests, where npm puts those that
# `make test-supervisors` installs, and where everybody looks.
PATH = os.pathsep.join(
    [
        str(Path(sys.executable).parent),
        str(Path(__file__).parents[2] / "build" / "npm" / "node_modules" / ".bin"),
        os.environ["PATH"],
    ]
)
LOOK = 0.02  # seconds between two looks
LIMIT = 90.0  # seconds for a run
PATIENCE = 40.0  # seconds: whoever has not killed by then does not kill
MORE = 2.0  # seconds for whatever else may come


class Run:
    """A program under what stands above it, from its start on."""

    def __init__(
        self, row: Row, program: Callable[..., Program], folder: Path, words: str, *, limited: bool
    ) -> None:
        self.row = row
        self.folder = folder
        self.mark = uuid.uuid4().hex
        python = f"{sys.executable} {HERE}"
        self.places = {
            "OPTION": row.option if limited else "",
            "PROGRAM": f"{python}/{words}".replace("FOLDER", str(folder)),
            "PYTHON": sys.executable,
            "HERE": str(HERE),
            "DIR": str(folder),
            "NAME": self.mark[:8],
        }
        for name, text in row.files.items():
            (folder / name).write_text(self.fill(text), encoding="utf-8")
        (folder / "watched").mkdir()
        env = {name: self.fill(value) for name, value in row.env.items()}
        self.env = {**env, "PATH": PATH, MARK: self.mark}
        self.running = program(
            *self.words_of(row.command), cwd=folder, env=self.env, limit=3 * LIMIT
        )

    def fill(self, text: str) -> str:
        """Return *text* with what this run has in it."""
        for name, value in self.places.items():
            text = text.replace(name, value)
        return text

    def words_of(self, command: str) -> list[str]:
        """Return the words of a command, the first as it is found where the tests look."""
        first, *rest = shlex.split(self.fill(command))
        return [shutil.which(first, path=PATH) or first, *rest]

    def stop(self) -> None:
        """Tell what stands above the program to stop it."""
        stop = self.row.stop
        if isinstance(stop, signal.Signals):
            self.running.send(stop)
        elif stop == "touch":
            (self.folder / "watched" / "touched.py").touch()
        elif stop:
            subprocess.run(
                self.words_of(stop),
                check=True,
                stdout=subprocess.DEVNULL,
                cwd=self.folder,
                env=environment(self.env),
            )

    def read(self, name: str) -> list[list[str]]:
        """Return the lines that a program has written, each as its words."""
        path = self.folder / name
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        # A reloader starts another one, which writes there too.
        started = [number for number, words in enumerate(lines) if "ready" in words[:2]]
        return lines[: started[1]] if started[1:] else lines

    def wait_until(self, fact: Callable[[], object], limit: float = LIMIT) -> bool:
        """Wait until *fact()*; return False if it has not become true in time."""
        until = time.monotonic() + limit
        while not fact():
            if time.monotonic() > until:
                return False
            self.running._take(LOOK)
        return True

    def must(self, fact: Callable[[], object], what: str) -> None:
        """Wait until *fact()*; fail the test if it does not become true."""
        if not self.wait_until(fact):
            pytest.fail("\n".join([f"{what} within {LIMIT} s", *self.running.lines]))

    def close(self) -> None:
        """Kill whatever is left."""
        while left := [pid for pid in marked(self.mark) if not is_over(pid)]:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def witnessed(row: Row, program: Callable[..., Program], folder: Path) -> dict[str, object]:
    """Return who gets which signal, from whom, and who is killed after how long."""
    run = Run(row, program, folder, "witness.py FOLDER", limited=False)
    try:
        run.must(lambda: all(run.read(who) for who in WHO), "not ready")
        pids = {who: int(run.read(who)[0][2]) for who in WHO}
        run.stop()
        run.wait_until(lambda: gone(pids), PATIENCE)
        ended = time.monotonic()
        if killed := gone(pids):
            run.wait_until(lambda: False, MORE)  # others may be killed after it
            killed = gone(pids)
        came = {who: [words for words in run.read(who)[1:] if words[1] != "SIGCONT"] for who in WHO}
        lines = [words for some in came.values() for words in some]
        begun = min((float(words[0]) for words in lines), default=ended)
        return {
            "gets": [" ".join(dict.fromkeys(words[1] for words in came[who])) for who in WHO],
            "from": sorted({" ".join(words[2:]) for words in lines}),
            "kills": killed,
            "after": round(ended - begun, 1) if killed else None,
        }
    finally:
        run.close()


def served(
    row: Row,
    program: Callable[..., Program],
    folder: Path,
    *,
    seconds: float = 0,
    limited: bool = False,
    signals: tuple[str, ...] = (),
) -> list[str]:
    """Return what a program has written that has graceexit, and an item of so many seconds."""
    words = " ".join(["service.py FOLDER", str(seconds), *signals])
    run = Run(row, program, folder, words, limited=limited)
    try:
        run.must(lambda: run.read("service"), "not ready")
        pid = int(run.read("service")[0][1])
        run.stop()
        run.wait_until(lambda: is_over(pid), LIMIT if row.runs else MORE)
        return [" ".join(line) for line in run.read("service")[1:]]
    finally:
        run.close()


def gone(pids: dict[str, int]) -> list[str]:
    """Return who has ended."""
    return [who for who, pid in pids.items() if is_over(pid)]


def is_over(pid: int) -> bool:
    """Return whether there is no such process any more, or its parent has not been told yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2][1] == "Z"
    except (OSError, IndexError):
        return True


def version_of(row: Row) -> str:
    """Return the version of what the row is made of; skip the test where it is missing."""
    if row.version == "":
        return ""
    first, *rest = (row.version or f"{row.command.split()[0]} --version").split()
    path = shutil.which(first, path=PATH)
    if path is None:
        pytest.skip(f"{first} is not installed; make test-supervisors installs it")
    told = subprocess.run(
        [path, *rest], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    (version,) = re.findall(r"\d+(?:\.\d+)+", told.stdout + told.stderr)[:1]
    return f"{rest[-1] if first == 'pip' else first} {version}"
