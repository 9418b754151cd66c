"""
Send programs signals at random instants, and check what every program may rely on.

python tools/soak.py ROUNDS [SEED]

Each round starts `tests/scenarios/storm.py`, sends SIGTERM and SIGINT at random instants, and
checks that the process ends, that no item has run twice, that each item whose `register` had
returned has run (unless Ctrl-C was pressed twice), and that the wait status is one that Python
itself could have had. Prints a table of outcomes. A failure prints its seed, and
`python tools/soak.py 1 SEED` replays it.
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
from typing import IO

STORM = Path(__file__).parent.parent / "tests" / "scenarios" / "storm.py"
ENDINGS = {"end": 0, "exit": 3, "error": 1, "wait": None}  # the status without a signal
LIMIT = 60.0  # seconds for a program to end
# Python may lose a signal on a main thread that blocks at that instant, so an impatient supervisor
# sends SIGTERM again after so many seconds.
AGAIN = 3.0
AT_ONCE = 4


class FailureError(Exception):
    """What a program may rely on did not hold."""


def one_round(seed: int) -> tuple[str, str]:
    """Run one program; return how it was ended and how it has ended."""
    chance = random.Random(seed)  # noqa: S311
    ending = chance.choice(list(ENDINGS))
    signals = [
        (chance.random() * 0.25, chance.choice([signal.SIGTERM] * 3 + [signal.SIGINT]))
        for _ in range(chance.choice([1, 1, 1, 2, 2, 3, 5]))
    ]
    # What is printed by pieces, as a traceback is, must not get between the lines of a child.
    with tempfile.TemporaryFile() as errors:
        sent, output, status = storm(seed, ending, sorted(signals), errors)
        errors.seek(0)
        said = output + errors.read().decode(errors="replace")
    text = f"seed {seed}: {ending}, sent {[s.name for s in sent]}, status {status}\n{said}"
    ran = Counter(re.findall(r"^(\d+) ran (\d+)$", output, re.MULTILINE))
    registered = re.findall(r"^(\d+) registered (\d+)$", output, re.MULTILINE)
    if twice := [item for item, count in ran.items() if count > 1]:
        raise FailureError(f"{twice} ran twice; {text}")
    one_press = sent.count(signal.SIGINT) <= 1
    if one_press and (missing := [item for item in registered if not ran[item]]):
        raise FailureError(f"{missing} did not run; {text}")
    allowed = {ENDINGS[ending], *(-signum for signum in sent)}
    if status not in allowed:
        raise FailureError(f"status {status} is none of {allowed}; {text}")
    names = "+".join(sorted({one.name for one in sent})) or "no signal"
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    how += ", asked again" if len(sent) > len(signals) else ""
    return f"{ending}, {names}", how


def storm(
    seed: int, ending: str, signals: list[tuple[float, signal.Signals]], errors: IO[bytes]
) -> tuple[list[signal.Signals], str, int]:
    """Start a program and send it the signals; return those sent, its output and its status."""
    program = subprocess.Popen(
        [sys.executable, STORM, str(seed), ending],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        start_new_session=True,
    )
    output = b""
    sent = []
    with selectors.DefaultSelector() as selector:
        selector.register(program.stdout, selectors.EVENT_READ)
        while b" ready " not in output and program.poll() is None:
            output += os.read(program.stdout.fileno(), 1 << 16)
        began = time.monotonic()
        again = began + AGAIN
        while program.poll() is None:
            now = time.monotonic()
            while signals and now - began >= signals[0][0]:
                sent.append(signals.pop(0)[1])
                program.send_signal(sent[-1])
            if now > again:
                again += AGAIN
                sent.append(signal.SIGTERM)
                program.send_signal(signal.SIGTERM)
            if now > began + LIMIT:
                program.send_signal(signal.SIGABRT)
                program.wait()
                output += program.stdout.read()
                raise FailureError(
                    f"seed {seed}: {ending}, sent {sent}: it did not end\n{output.decode()}"
                )
            if selector.select(0.002):
                output += os.read(program.stdout.fileno(), 1 << 16)
        output += program.stdout.read()
    program.stdout.close()
    return sent, output.decode(errors="replace"), program.returncode


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
