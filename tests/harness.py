"""
The programs that tests start, talk to by signals, and outlive.

A program gets a session of its own, so that a signal for it reaches nobody else and whatever it
leaves behind can be found and killed. Its stderr is merged into its stdout, and one reader takes
all of it from one pipe: nothing is lost between `wait_for` and `finish`.

There is no timer in the program, for it would change what is tested. Python's own fault handler is
switched on by the environment, which children inherit whatever their start method; when the limit
has passed, every process of the session gets SIGABRT, prints the stacks of all its threads and
dies.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds. They only ever fail a test; none passes because one of them has gone by.
LIMIT = float(os.environ.get("LIMIT_OF_A_PROGRAM", "60"))  # from a program's start to its end
ORPHANS = 10.0  # from a program's end to that of the processes that it started
STACKS = 5.0  # for a process to print its stacks

TICK = 0.02
LOOKS = 5  # so often a process is seen to sleep

MARK = "MARK_OF_A_TEST"  # a variable for what a program starts in sessions of their own

# Variables for a program that coverage cannot measure, or should leave alone.
UNMEASURED = {name: None for name in os.environ if name.startswith("COVERAGE_")}

# Such a Python starts no thread once its main thread has ended; graceexit says so, once.
NO_THREADS_AT_THE_END = (3, 12) <= sys.version_info < (3, 12, 3)


def needs_threads_at_the_end(why: str) -> pytest.MarkDecorator:
    """Mark a test that such a Python has to skip, and say why."""
    reason = f"Python 3.12.0 to 3.12.2 start no thread once the main thread has ended: {why}"
    return pytest.mark.skipif(NO_THREADS_AT_THE_END, reason=reason)


# What graceexit says. A line begins with who speaks, and why the process exits.
WHO = r"graceexit\[\d+\]: "
WHY = WHO + r"[^:]+: "
INLINE = re.compile(
    WHY + r"no thread can be started here: items had no timeout of their own, and pools were closed"
    r" before them"
)
CUT_OFF = re.compile(
    WHY + r"(?:half of )?(linger|grace)=\S+ s is over \(waited \S+ s\), and items run beside"
    r" (?P<who>.*?)(; to have a thread stopped, write register\(thread, stop=\.\.\.\); to tell its"
    r" owner, on_exit\(tell, order=-1\))?; to give it longer, install\(\1=\.\.\.\)"
)

# A free-threaded Python: no C call keeps the others from running.
WITHOUT_GIL = not getattr(sys, "_is_gil_enabled", lambda: True)()


class Program:
    """
    A running program: what it has printed, and how it ends.

    Attributes:
        pid: Its process, which is also its process group and its session.
        lines: Every line read so far that it or a child of it has printed.
        deadline: When it must have ended, by the monotonic clock.
    """

    def __init__(self, argv: list[str], *, env: dict[str, str], cwd: Path, limit: float) -> None:
        self.deadline = time.monotonic() + limit
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self._pipe = self._process.stdout
        self._partial = b""  # what was read after the last newline
        self._ended = False  # whether the pipe has come to its end
        self._seen = 0  # how many lines wait_for has gone past
        self.pid = self._process.pid
        self.lines: list[str] = []

    def wait_for(self, expected: str | re.Pattern[str]) -> str:
        """
        Read until *expected* is printed: a whole line, or a pattern to be found in one.

        Returns:
            The line.
        """
        while True:
            while self._seen < len(self.lines):
                line = self.lines[self._seen]
                self._seen += 1
                if line == expected or (isinstance(expected, re.Pattern) and expected.search(line)):
                    return line
            if self._ended or (self._process.poll() is not None and not self.members()):
                self._drain()
                if self._seen == len(self.lines):
                    self._fail(f"it has not printed {expected!r}")
            self._read()

    def read_until(self, done: Callable[[], bool]) -> bool:
        """Read until *done()*; return False if the program and all it started end before."""
        while not done():
            if self._process.poll() is not None and not self.members():
                self._drain()
                return done()
            self._read()
        return True

    def send(self, signum: int) -> None:
        """Send the signal to the program alone."""
        os.kill(self.pid, signum)

    def send_group(self, signum: int) -> None:
        """Send the signal to the program's whole process group, as a terminal does."""
        os.killpg(self.pid, signum)

    def send_until_it_ends(self, signum: int) -> None:
        """Send the signal again and again, as somebody impatient presses Ctrl-C."""
        while self._process.poll() is None:
            self.send(signum)
            self._read()

    def end_by(self, signum: int, after: str | re.Pattern[str] = "ready") -> tuple[list[str], int]:
        """Send the signal when *after* has been printed; return what `finish` does."""
        self.wait_for(after)
        self.send(signum)
        return self.finish()

    def finish(self, *, orphans: bool = False) -> tuple[list[str], int]:
        """
        Wait for the end of the program and of every process that it has started.

        Args:
            orphans: Its processes may outlive it; then only its own end is waited for.

        Returns:
            The lines printed after the one that `wait_for` returned last, and the return code:
            the exit status, or the negative number of the signal that it died of.
        """
        while self._process.poll() is None:
            self._read()
        self.deadline = min(self.deadline, time.monotonic() + ORPHANS)
        while not orphans and self.members():
            self._read()
        self._drain()
        return self.lines[self._seen :], self._process.returncode

    def check(self) -> None:
        """Take what has been printed; fail the test if the program has ended or is out of time."""
        self._read()
        if self._process.poll() is not None:
            self._fail("it has ended")

    def settle(self) -> None:
        """Wait until the main thread of every process sleeps, as often as it is looked at."""
        seen = 0
        while seen < LOOKS:
            self.check()
            seen = seen + 1 if all(map(_is_asleep, self.members())) else 0

    def members(self) -> dict[int, str]:
        """Return the living processes of the program's session, each with its command line."""
        # One that forks and ends while the first look is under way has its child in the second.
        return self._living() or self._living()

    def _living(self) -> dict[int, str]:
        """Look for them once."""
        found = {}
        for one in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                # A zombie is not living.
                if os.getsid(one.pid) == self.pid and one.status() != psutil.STATUS_ZOMBIE:
                    found[one.pid] = " ".join(one.cmdline())
        return found

    def close(self) -> None:
        """Kill whatever is left of the session, and reap."""
        while left := self.members():
            for pid in left:
                _kill(pid, signal.SIGKILL)
        self._process.wait()
        self._pipe.close()

    def _read(self) -> None:
        """Take what is printed within a moment; fail the test if the limit has passed."""
        if time.monotonic() > self.deadline:
            left = self.members()
            self._fail("it did not end" if self.pid in left else f"it left behind {left}")
        self._take(TICK)

    def _take(self, wait: float) -> bool:
        """Take what is printed, waiting so long for it; return whether there was anything."""
        if not select.select([] if self._ended else [self._pipe], [], [], wait)[0]:
            return False
        chunk = os.read(self._pipe.fileno(), 1 << 16)
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        if not chunk:
            self._ended = True
            whole += [self._partial] if self._partial else []
        self.lines += [line.decode(errors="backslashreplace") for line in whole]
        return bool(chunk)

    def _drain(self) -> None:
        """Take what is in the pipe, though somebody else may still hold its other end."""
        while self._take(0):
            pass

    def dump(self) -> None:
        """Let every process print its stacks and die."""
        # All are stopped first, so that none reacts to the end of another or prints meanwhile.
        members = self.members()
        for pid in members:
            _kill(pid, signal.SIGSTOP)
        for pid, command in members.items():
            self._drain()
            self.lines.append(f"-- process {pid}: {command}")
            _kill(pid, signal.SIGABRT)
            _kill(pid, signal.SIGCONT)
            until = time.monotonic() + STACKS
            while pid in self.members() and time.monotonic() < until:
                self._take(TICK)
        self._drain()

    def _fail(self, why: str) -> NoReturn:
        """Fail the test, with the output and with the stacks of every process."""
        self.dump()
        program = " ".join(self._process.args)
        output = "\n".join(f"    {line}" for line in self.lines)
        pytest.fail(f"{program}: {why}. Its output:\n{output}", pytrace=False)


def environment(changes: dict[str, str | None] | None = None) -> dict[str, str]:
    """
    Return the environment of a program: what Python reads is ours alone, then come the changes.

    A change to None takes the variable away.
    """
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GRACEEXIT_"))}
    ours |= {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    ours |= {"PYTHONPATH": str(Path(__file__).parent / "programs")}  # its sitecustomize.py
    ours |= changes or {}
    return {key: value for key, value in ours.items() if value is not None}


def steps(lines: list[str]) -> list[str]:
    """Return *lines* without the warning that a Python without threads at its end prints."""
    rest = without(lines, INLINE)
    assert len(lines) - len(rest) <= NO_THREADS_AT_THE_END
    return rest


def without(lines: list[str], known: re.Pattern[str]) -> list[str]:
    """Return *lines* without the warning *known*, of however many processes."""
    return [line for line in lines if not known.fullmatch(line)]


def cut_off(lines: list[str]) -> tuple[list[str], list[str]]:
    """Return *lines* without the warnings that somebody is cut off, and who is."""
    warned = [said["who"] for said in map(CUT_OFF.fullmatch, lines) if said]
    found = [re.findall(r"thread '([^']+)'|the (main thread)", who) for who in warned]
    names = ["".join(name) for one in found for name in one]
    return without(lines, CUT_OFF), names


def said(lines: list[str]) -> list[str]:
    """Return what graceexit has said, without who speaks and why the process exits."""
    return [line[match.end() :] for line in lines if (match := re.match(WHY, line))]


def marked(mark: str) -> list[int]:
    """Return the pids of the processes that have inherited the variable MARK with this value."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:  # somebody else's, or it has just ended
            pass
    return found


def _is_asleep(pid: int) -> bool:
    """Return whether the main thread of a process sleeps, or has ended."""
    try:
        stat = Path(f"/proc/{pid}/task/{pid}/stat").read_text(errors="replace")
    except OSError:  # or there is no /proc
        return True
    return stat.rpartition(")")[2].split()[0] != "R"


def _kill(pid: int, signum: int) -> None:
    """Send the signal, unless the process has ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)
