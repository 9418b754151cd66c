"""Say which signal came, on both streams, then die of it."""

import signal
import sys
import time


def noted(signum: int, _frame: object) -> None:
    """Print, and die."""
    print("out", signal.Signals(signum).name)
    print("err", signal.Signals(signum).name, file=sys.stderr)
    signal.signal(signum, signal.SIG_DFL)
    print("no newline", end="")
    signal.raise_signal(signum)


for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, noted)
print("first")
print("ready")
while True:
    time.sleep(0.01)
