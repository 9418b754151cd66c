"""
Where the threads of a process are that does not end.

A process is asked only if it has one of our files open: whoever has not (another program, a Python
that was told to ignore its environment, a daemon that closed every file) would die of the signal.
"""

from __future__ import annotations

import ast
import re
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from graceexit._rehearsal.processes import send

if TYPE_CHECKING:
    from collections.abc import Iterable

SITE = Path(__file__).parent / "site"
SIGNUM = int(getattr(signal, "SIGRTMIN", 0)) + 20  # systemd and others take the first ones
PRINTED = 2.0  # seconds for the stacks of a process
QUIET = 0.05  # seconds without more of them
NAMED = 1.0  # seconds for the names of all processes

HEAD = re.compile(
    r"(?:Current thread|Thread) 0x([0-9a-f]+)(?: \[(.*)\])?.* \(most recent call first"
)
FRAME = re.compile(r'  File "(.*)", line (\d+|\?\?\?) in (.*)')


@dataclass
class Frame:
    """One call: a file, a line and a function."""

    file: str
    line: int
    function: str

    @property
    def is_library(self) -> bool:
        """Whether the code is Python's own, or of an installed package."""
        return is_library(self.file)

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"{short(self.file)}:{self.line}"

    def __str__(self) -> str:
        return f"{self.place} in {self.function}"


@dataclass
class Thread:
    """
    A thread of a process that did not end.

    Attributes:
        ident: Its number, as threading.get_ident() has it.
        name: Its name; "" if that is not known. Then neither are the others below.
        daemon: Whether the interpreter does not wait for it; None if that is not known.
        main: Whether it is the main thread.
        target: The function that it runs, and where that is defined.
        frames: Where it is, the innermost call first.
    """

    ident: int
    name: str = ""
    daemon: bool | None = None
    main: bool = False
    target: str = ""
    where: Frame | None = None
    frames: list[Frame] = field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        """Whether it is graceexit's own, which waits as the interpreter would."""
        return self.where is not None and Path(self.where.file).parent.name == "graceexit"

    @property
    def is_library(self) -> bool:
        """Whether it runs a function of a library; else somebody has made it who can stop it."""
        if self.where is not None:
            return self.where.is_library
        return all(frame.is_library for frame in self.frames)

    @property
    def is_joining(self) -> bool:
        """Whether it is a main thread that has ended, and waits for the others."""
        return self.main and any(
            frame.function in {"_shutdown", "_python_exit"}
            and Path(frame.file).stem in {"threading", "thread"}
            for frame in self.frames
        )


@dataclass
class Stacks:
    """What a process has told: its threads, and whether it could name them."""

    threads: list[Thread] = field(default_factory=list)
    named: bool = False
    untold: str = ""  # why there are no threads


def ask(pids: Iterable[int], folder: Path) -> dict[int, Stacks]:
    """Return what the processes tell: the stacks one at a time, then the names of all."""
    told = {pid: _stacks_of(pid, folder) for pid in pids}
    asked = [pid for pid, stacks in told.items() if stacks.threads]
    for pid in asked:
        send(pid, SIGNUM + 1)
    until = time.monotonic() + NAMED
    while asked and time.monotonic() < until:
        named = [pid for pid in asked if (folder / f"{pid}.names").exists()]
        asked = [pid for pid in asked if pid not in named]
        for pid in named:
            add_names(told[pid], (folder / f"{pid}.names").read_text(encoding="ascii"))
        time.sleep(0.005)
    return told


def _stacks_of(pid: int, folder: Path) -> Stacks:
    """Have a process print its stacks, and read them."""
    file = _open_file(pid, folder)
    if file is None:
        return Stacks(untold="it is not Python, or ignores PYTHONPATH")
    before = file.stat().st_size
    send(pid, SIGNUM)
    until = time.monotonic() + PRINTED
    size, since = before, time.monotonic()
    while time.monotonic() < until and (size == before or time.monotonic() < since + QUIET):
        time.sleep(0.005)
        now = file.stat().st_size
        if now != size:
            size, since = now, time.monotonic()
    with file.open("rb") as printed:
        printed.seek(before)
        threads = parse(printed.read().decode(errors="replace"))
    return Stacks(threads, untold="" if threads else "it did not answer")


def _open_file(pid: int, folder: Path) -> Path | None:
    """Return the file of ours that a process has open; a fork shares that of its parent."""
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = link.readlink()
            if target.parent == folder and target.suffix == ".stacks":
                return target
    except OSError:  # it has just ended, or is somebody else's
        pass
    return None


def parse(text: str) -> list[Thread]:
    """Return the threads in what faulthandler has printed; it prints the main one last."""
    threads: list[Thread] = []
    for line in text.splitlines():
        if head := HEAD.match(line):
            threads.append(Thread(int(head[1], 16), name=(head[2] or "").strip()))
        elif threads and (frame := FRAME.match(line)):
            number = int(frame[2]) if frame[2].isdigit() else 0
            threads[-1].frames.append(Frame(frame[1], number, frame[3]))
    if threads:
        threads[-1].main = True
    return threads


def add_names(stacks: Stacks, text: str) -> None:
    """Add what a process has told about its threads."""
    try:
        known = {one[0]: one for one in ast.literal_eval(text)}
        for thread in stacks.threads:
            if thread.ident in known:
                _, thread.name, thread.daemon, thread.main, thread.target, file, line = known[
                    thread.ident
                ]
                thread.where = Frame(file, line, thread.target) if file else None
        stacks.named = True
    except (ValueError, SyntaxError, TypeError, LookupError):
        pass  # of another version, or cut short


def keepers(stacks: Stacks) -> list[Thread]:
    """Return the threads that keep a process alive, as far as one can tell."""
    main = [one for one in stacks.threads if one.main]
    others = [one for one in stacks.threads if not one.main and not one.is_ours]
    if stacks.named:
        others = [one for one in others if one.daemon is False]
    if any(one.is_joining for one in main):
        return others or main
    return main + (others if stacks.named else [])


def is_library(file: str) -> bool:
    """Return whether a file belongs to Python or to an installed package."""
    if file.startswith("<frozen") or "site-packages" in file or "dist-packages" in file:
        return True
    return re.search(r"/lib(?:64)?/python\d", file) is not None


def short(file: str) -> str:
    """Return a file as one would say it: from the package, or from the current folder."""
    for mark in ("site-packages/", "dist-packages/"):
        if mark in file:
            return file.rpartition(mark)[2]
    if found := re.search(r"/lib(?:64)?/python\d[^/]*/(.+)$", file):
        return found[1]
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
