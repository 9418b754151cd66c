"""
The processes that a command starts, from their first sight to their end.

On Linux the rehearsal is made their subreaper: whoever loses its parent, or leaves the session,
becomes its child and is found. Ends are seen through pidfds. A status is known of whom we reap, and
from Linux 6.15 on the pidfd tells that of all others. Elsewhere psutil, if it is installed, finds
the processes; without it only the command's own is watched.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import select
import shlex
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PROC = Path("/proc")
SET_CHILD_SUBREAPER = 36  # prctl(2)
GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO, ioctl(2), for the 64 bytes of its first version
INFO_EXIT = 1 << 3
HELPERS = ("resource tracker", "fork server")
CHILD = "spawned child"
YOUNG = 0.5  # seconds in which a process may still become another program


@dataclass
class Process:
    """
    A process that the command has started.

    Attributes:
        pid: Its number.
        parent: The pid of its parent when it was first seen.
        argv: Its command line.
        begun: When it was first seen, in Unix time; likewise *ended*, None while it goes on.
        status: The exit status, or the negative number of the signal; None if it is not known.
        killed: Whether it was not gone in time, and the rehearsal had to kill it.
        denied: Whether that was not allowed: it belongs to somebody else.
    """

    pid: int
    parent: int
    argv: list[str]
    begun: float
    ended: float | None = None
    status: int | None = None
    killed: bool = False
    denied: bool = False
    pidfd: int = field(default=-1, repr=False)

    @property
    def name(self) -> str:
        """The command line as a person would say it."""
        return name_of(self.argv)

    def was_there(self, since: float) -> bool:
        """Whether it had not ended by then."""
        return self.ended is None or self.ended >= since

    @property
    def short(self) -> str:
        """The same without its arguments."""
        if self.name in (*HELPERS, CHILD):
            return self.name
        return self.name.partition(" ")[0].strip("[:]") or self.name  # "gunicorn: master [app]"

    @property
    def is_helper(self) -> bool:
        """Whether it serves multiprocessing alone, and ends when its parent has ended."""
        return self.name in HELPERS


class Processes:
    """All processes of one command; used by one thread."""

    def __init__(self) -> None:
        self.known: dict[int, Process] = {}
        self._statuses: dict[int, int] = {}
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        """
        Start the command in a session of its own.

        Raises:
            OSError: It cannot be started.
        """
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        self._popen.returncode = 0  # we are the one who reaps it
        self._add(self._popen.pid, os.getpid())
        return self._popen

    @property
    def main(self) -> Process:
        """The command's own process."""
        return next(iter(self.known.values()))

    @property
    def alive(self) -> list[Process]:
        """Those that had not ended when `look` was last called."""
        return [one for one in self.known.values() if one.ended is None]

    def look(self, wait: float) -> None:
        """Note who has come and who has gone, waiting so many seconds for the latter."""
        poll = select.poll()
        for one in self.alive:
            if one.pidfd >= 0:
                poll.register(one.pidfd, select.POLLIN)
        poll.poll(wait * 1000)
        now = time.time()
        for one in self.alive:
            if is_over(one):
                one.ended = now
        self._reap()
        for one in self.known.values():
            if one.ended is not None and one.pidfd >= 0:
                self._let_go(one)
        for pid, parent in tree(os.getpid(), self.main.pid).items():
            known = self.known.get(pid)
            if known is None:
                self._add(pid, parent)
            elif known.ended is None and now - known.begun < YOUNG:
                known.argv = argv_of(pid) or known.argv

    def workers(self) -> list[Process]:
        """Return those that have no children and do not only serve multiprocessing itself."""
        parents = {one.parent for one in self.alive}
        leaves = [one for one in self.alive[1:] if one.pid not in parents]
        return [one for one in leaves if not one.is_helper]

    def name_anew(self) -> None:
        """Take the command lines as they are now: a script may have become a server meanwhile."""
        for one in self.alive:
            one.argv = argv_of(one.pid) or one.argv

    def kill(self) -> None:
        """Kill whatever there is, until there is nothing that may be killed."""
        while True:
            self.look(0.01)
            left = [one for one in self.alive if not one.denied]
            if not left:
                return
            for one in left:
                one.killed = True
                try:
                    os.kill(one.pid, signal.SIGKILL)
                except ProcessLookupError:
                    one.ended = one.ended or time.time()
                except PermissionError:
                    one.denied = True

    def close(self) -> None:
        """Find out how they have ended, and let go of them."""
        self._reap()
        for one in self.known.values():
            self._let_go(one, at_last=True)

    def _let_go(self, process: Process, *, at_last: bool = False) -> None:
        """Note how a process has ended, and close its pidfd if there is nothing more to be told."""
        pid, pidfd = process.pid, process.pidfd
        if pid in self._statuses:
            process.status = self._statuses[pid]
        elif pidfd >= 0 and process.ended is not None:
            try:
                process.status = told_status(pidfd)  # None as long as its parent has not heard
            except OSError:  # a kernel that never tells
                at_last = True
        if pidfd >= 0 and (at_last or process.status is not None):
            os.close(pidfd)
            process.pidfd = -1

    def _add(self, pid: int, parent: int) -> None:
        """Note a new process."""
        process = Process(pid, parent, argv_of(pid), time.time())
        try:
            process.pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):  # an old kernel, or it has just ended
            pass
        self.known[pid] = process

    def _reap(self) -> None:
        """Take the statuses of those that are our children, adopted ones included."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._statuses[pid] = os.waitstatus_to_exitcode(status)
            if pid in self.known and self.known[pid].ended is None:
                self.known[pid].ended = time.time()


def send(pid: int, signum: int) -> bool:
    """Send the signal; return whether somebody was there who may be sent one."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def has_proc() -> bool:
    """Return whether /proc is there, and not that of another namespace of processes."""
    try:
        return (PROC / "self").readlink().name == str(os.getpid())
    except OSError:
        return False


def is_over(process: Process) -> bool:
    """Return whether a process has ended, whether or not its parent has been told."""
    if process.pidfd >= 0:
        poll = select.poll()
        poll.register(process.pidfd, select.POLLIN)
        return bool(poll.poll(0))
    if has_proc():
        return _stat(process.pid)[:1] in ([], ["Z"], ["X"])
    return not send(process.pid, 0)


def tree(root: int, main: int) -> dict[int, int]:
    """Return every descendant of *root*, with its parent."""
    if not has_proc():
        # That of another namespace would lead psutil to strangers.
        return {main: root} if PROC.exists() else _tree_of_psutil(root, main)
    children = _children if PROC.joinpath(f"self/task/{root}/children").exists() else _scan()
    found: dict[int, int] = {}
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        for child in children(parent):
            if child not in found:
                found[child] = parent
                waiting.append(child)
    return found


def _children(parent: int) -> Iterable[int]:
    """Return the children of a process, whichever of its threads has started them."""
    found: list[int] = []
    tasks = PROC / str(parent) / "task"
    # Whoever has just ended has nothing there, and a glob of Python 3.11 would raise.
    with contextlib.suppress(OSError):
        for task in tasks.iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


class _scan:  # noqa: N801 - it stands where _children does
    """The same for a kernel that keeps no lists of children: go through all processes, once."""

    def __init__(self) -> None:
        self._of: dict[int, list[int]] = {}
        for path in PROC.glob("[0-9]*"):
            words = _stat(int(path.name))
            if words:
                self._of.setdefault(int(words[1]), []).append(int(path.name))

    def __call__(self, parent: int) -> Iterable[int]:
        return self._of.get(parent, [])


def _tree_of_psutil(root: int, main: int) -> dict[int, int]:
    """Do what can be done without /proc."""
    try:
        psutil = importlib.import_module("psutil")
    except ImportError:
        return {main: root}
    try:
        return {one.pid: one.ppid() for one in psutil.Process(root).children(recursive=True)}
    except psutil.Error:  # one ended meanwhile
        return {main: root}


def _stat(pid: int) -> list[str]:
    """Return the words of /proc/PID/stat from the state on; none if there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def told_status(pidfd: int) -> int | None:
    """
    Return how a process has ended that somebody else has reaped; None if nobody has.

    Raises:
        OSError: The kernel does not say it: it is older than Linux 6.13.
    """
    import fcntl

    info = bytearray(64)
    struct.pack_into("Q", info, 0, INFO_EXIT)
    fcntl.ioctl(pidfd, GET_INFO, info)
    if not struct.unpack_from("Q", info, 0)[0] & INFO_EXIT:
        return None
    return os.waitstatus_to_exitcode(struct.unpack_from("i", info, 60)[0])


def argv_of(pid: int) -> list[str]:
    """Return the command line of a process; nothing if it is not known."""
    try:
        text = (PROC / str(pid) / "cmdline").read_text(errors="replace")
    except OSError:
        return []
    return [word for word in text.split("\0") if word]


def name_of(argv: list[str]) -> str:
    """Return a command line without the interpreter and without folders."""
    if not argv:
        return "?"
    words = [Path(argv[0]).name, *argv[1:]]
    if words[0].startswith("python"):
        rest = words[1:]
        while rest and rest[0].startswith("-") and rest[0] not in {"-c", "-m"}:
            rest = rest[2:] if rest[0] in {"-W", "-X"} else rest[1:]
        if rest[:1] == ["-m"]:
            words = rest[1:]
        elif rest[:1] == ["-c"]:
            code = "".join(rest[1:2])
            of = {"resource_tracker": HELPERS[0], "forkserver": HELPERS[1], "spawn": CHILD}
            found = [name for module, name in of.items() if f"multiprocessing.{module}" in code]
            words = found[:1] or words
        elif rest:
            words = [Path(rest[0]).name, *rest[1:]]
    name = words[0] if len(words) == 1 else shlex.join(words)
    return " ".join(name.split())
