"""
Run the tests many times, two runs at once, while other programs burn every core.

python tools/stress.py ROUNDS [ARGUMENTS OF PYTEST]

Prints one line for each run, and the output of those that fail; the exit status is 1 if one did.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 2
# It ends when its parent does, however that ends.
BURNER = """
import os
parent = os.getppid()
os.nice(5)
while os.getppid() == parent:
    sum(range(1_000_000))
"""


def one_run(number: int, arguments: list[str]) -> bool:
    """Run the tests once; return whether they passed."""
    start = time.monotonic()
    pytest = Path(sys.executable).with_name("pytest")
    run = subprocess.run(
        [pytest, "-q", "-n", "2", "-p", "no:cacheprovider", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - start
    last = run.stdout.rstrip().rpartition("\n")[2]
    if run.returncode:
        print(run.stdout)
    print(f"run {number}: {last} (status {run.returncode}, {seconds:.0f} s)", flush=True)
    return run.returncode == 0


def main() -> int:
    """Start the load, run the tests, end the load."""
    rounds, arguments = int(sys.argv[1]), sys.argv[2:]
    burners = [subprocess.Popen([sys.executable, "-c", BURNER]) for _ in range(os.cpu_count() or 1)]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        runs = [pool.submit(one_run, number, arguments) for number in range(1, rounds + 1)]
        failed = [run.result() for run in runs].count(False)
    finally:
        pool.shutdown(cancel_futures=True)
        for burner in burners:
            burner.kill()
            burner.wait()
    print(f"{rounds} runs under load, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
