"""
Send programs signals at random instants, and check what every program may rely on.

python tools/soak.py ROUNDS [SEED]

Each round starts `tests/scenarios/storm.py`, which registers, forks from several threads, and sends
itself signals, and sends it SIGTERM and SIGINT at random instants of its life or of its end. It
checks that the process ends and its children do, that no item has run twice, or in a child of the
process that has registered it, that each item whose `register` had returned has run (unless Ctrl-C
was pressed twice, say), and that the wait status is one that Python itself could have had. Prints a
table of outcomes. A failure prints its seed, and `python tools/soak.py 1 SEED` replays it.
"""

from __future__ import annotations

import os
import random
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TypeAlias

STORM = Path(__file__).parent.parent / "tests" / "scenarios" / "storm.py"
# The status without a signal.
ENDINGS = {"end": 0, "exit": 3, "error": 1, "dies": -signal.SIGTERM, "wait": None}
LIMIT = 60.0  # seconds for a program, and then for its children, to end
# Python may lose the signal that is to end a program which waits, as a KeyboardInterrupt in a
# finalizer; and one that is raised inside an import can leave its lock taken, for which the next
# fork waits. So an impatient supervisor sends SIGTERM after so many seconds.
AGAIN = 3.0
AT_ONCE = 4
# What Python makes of a Ctrl-C while `Thread.start` waits: python/cpython#118433.
LOST_CTRL_C = "RuntimeError: release unlocked lock"
# A handler that raises in the middle of an import leaves its lock taken, and Python from 3.15 on
# imports `traceback` to say that an exception was ignored: the main thread then waits for ever.
IN_AN_IMPORT = re.compile(
    r"Current thread .*\n *File \"<frozen importlib._bootstrap>\", line \d+ in acquire\n"
    r"(?:.*\n)*?.*traceback\.py"
)
# A free-threaded 3.13 leaves the lock of an object taken for ever in a child that is forked while
# another thread uses the object: 4 of 63 forks, in a program with a dict and without graceexit.
HANGS_IN_FORKS = sys.version_info[:2] == (3, 13) and "t" in sys.abiflags
# Without a GIL such a child may wait for ever for the lock of the list of threads, as it forgets
# one that `threading` has not started: 33 of 300 on 3.14, in a program without graceexit.
IN_A_FORK = re.compile(r'threading\.py", line \d+ in __del__\n.*(?:popen_fork|storm)\.py", line')
# The items of each process have numbers from 500 upwards, those of children from 1000 upwards.
EACH, CHILDREN = 500, 1000

Planned: TypeAlias = tuple[str, float, signal.Signals]  # since which event, after how long, which


class FailureError(Exception):
    """What a program may rely on did not hold."""


class Storm:
    """A program, and the signals that are to be sent to it."""

    def __init__(self, seed: int, ending: str, signals: list[Planned], errors: IO[bytes]) -> None:
        self.program = subprocess.Popen(
            [sys.executable, STORM, str(seed), ending],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", "PYTHONWARNINGS": "ignore"},
            start_new_session=True,
        )
        self.planned = signals
        self.sent: list[signal.Signals] = []
        self.output = b""
        self._seen: dict[str, float] = {}  # when the program has said so
        self._waits = ending == "wait"
        self._again = time.monotonic() + AGAIN

    def run(self) -> int | None:
        """Wait until the program and its children have ended; return its status, None if not."""
        pipe = self.program.stdout
        give_up = time.monotonic() + LIMIT
        with pipe, selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            # Until everybody has closed the pipe, for children may outlive the program.
            while time.monotonic() < give_up:
                if selector.select(0.002):
                    chunk = os.read(pipe.fileno(), 1 << 16)
                    if not chunk:
                        return self.program.wait()
                    self.output += chunk
                if self.program.poll() is None:
                    self._send_what_is_due(time.monotonic())
            os.killpg(self.program.pid, signal.SIGABRT)
            self.output += pipe.read()
        self.program.wait()
        return None

    def _send_what_is_due(self, now: float) -> None:
        """Send the signals whose time has come."""
        for event in ("ready", "ends"):
            if event not in self._seen and f"{self.program.pid} {event} ".encode() in self.output:
                self._seen[event] = now
        for one in list(self.planned):
            since, delay, signum = one
            if since in self._seen and now - self._seen[since] >= delay:
                self.planned.remove(one)
                self._send(signum)
        interrupted = signal.SIGINT in self.sent or b" raises 2\n" in self.output
        if now > self._again and self._seen and (self._waits or interrupted):
            self._again += AGAIN
            self._send(signal.SIGTERM)

    def _send(self, signum: signal.Signals) -> None:
        self.sent.append(signum)
        self.program.send_signal(signum)


def find(event: str, output: str) -> list[tuple[str, str]]:
    """Return the process and the number of each such line."""
    return re.findall(rf"^(\d+) {event} (\d+)$", output, re.MULTILINE)


def is_own(number: int, *, is_child: bool) -> bool:
    """Return whether a process may run the item of this number."""
    return number >= EACH if is_child else number < CHILDREN


def did_not_end(text: str) -> tuple[str, str]:
    """Raise, unless it may be Python that hangs."""
    if HANGS_IN_FORKS:
        return "forks, and no GIL", "did not end"
    if IN_A_FORK.search(text):
        return "forks, and forgets a thread", "did not end"
    if IN_AN_IMPORT.search(text):
        return "a handler raised in an import", "did not end"
    raise FailureError(f"it or a child of it did not end; {text}")


def one_round(seed: int) -> tuple[str, str]:
    """Run one program; return how it was ended and how it has ended."""
    chance = random.Random(seed)  # noqa: S311
    ending = chance.choice(list(ENDINGS))
    signals = []
    for _ in range(chance.choice([0, 1, 1, 1, 2, 2, 3, 5])):
        since, spread = chance.choice([("ready", 0.25), ("ready", 0.25), ("ends", 0.05)])
        signum = chance.choice([signal.SIGTERM] * 3 + [signal.SIGINT])
        signals.append((since, chance.random() * spread, signum))
    # What is printed by pieces, as a traceback is, must not get between the lines of a child.
    with tempfile.TemporaryFile() as errors:
        storm = Storm(seed, ending, signals, errors)
        status = storm.run()
        errors.seek(0)
        output, pid, sent = storm.output.decode(errors="replace"), storm.program.pid, storm.sent
        said = output + errors.read().decode(errors="replace")
    sent += [signal.Signals(int(n)) for who, n in find("raises", output) if who == str(pid)]
    text = f"seed {seed}: {ending}, sent {[s.name for s in sent]}, status {status}\n{said}"
    if status is None:
        return did_not_end(text)
    ran = Counter(find("ran", output))
    registered = set(find("registered", output)) - set(find("unregisters", output))
    if twice := [item for item, count in ran.items() if count > 1]:
        raise FailureError(f"{twice} ran twice; {text}")
    if foreign := [one for one in ran if not is_own(int(one[1]), is_child=one[0] != str(pid))]:
        raise FailureError(f"{foreign} ran in a process that is not theirs; {text}")
    if forgotten := [one for one in find("unregistered", output) if ran[one]]:
        raise FailureError(f"{forgotten} ran though they were unregistered; {text}")
    # Ctrl-C pressed twice ends it at once, or once while items run; and SIGTERM once its default
    # action is back, in the program and in a child that it has just forked.
    at_once = sent.count(signal.SIGINT) > 1
    at_once = at_once or (signal.SIGINT in sent and "still running: callback" in said)
    if ending == "dies":
        at_once = at_once or signal.SIGTERM in storm.sent or sent.count(signal.SIGTERM) > 1
        registered = {one for one in registered if one[0] == str(pid)}
    if not at_once and (missing := [item for item in registered if not ran[item]]):
        raise FailureError(f"{missing} did not run; {text}")
    allowed = {ENDINGS[ending], *(-signum for signum in sent)}
    if LOST_CTRL_C in said:
        allowed.add(1)
    if status not in allowed:
        raise FailureError(f"status {status} is none of {allowed}; {text}")
    names = "+".join(sorted({one.name for one in sent})) or "no signal"
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return f"{ending}, {names}", how


def main() -> int:
    """Run the rounds and print the table."""
    rounds, *seed = map(int, sys.argv[1:])
    first = seed[0] if seed else random.SystemRandom().randrange(10**9)
    table: Counter[tuple[str, str]] = Counter()
    failures = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [pool.submit(one_round, first + n) for n in range(rounds)]:
            try:
                table[future.result()] += 1
            except FailureError as failure:
                failures += 1
                print(failure, flush=True)
    for (what, how), count in sorted(table.items()):
        print(f"{count:6}  {what:32}  {how}")
    print(f"{rounds} rounds from seed {first}: {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
