"""
A program that waits for SIGTERM, and prints the time when the first function runs at its end.

python terminated.py WAY SECONDS: it sleeps for so many seconds at a time.
"""

import os
import sys
import time


def first(*_):
    """Print the time, by a clock that is the same in every process."""
    os.write(1, b"%d\n" % time.clock_gettime_ns(time.CLOCK_MONOTONIC))


def ready():
    """Say that everything is in place."""
    os.write(1, b"ready\n")


way, seconds = sys.argv[1], float(sys.argv[2])

if way == "aiorun":
    import aiorun

    async def main():
        """Say so from inside the loop, which begins when the handlers stand."""
        ready()

    aiorun.run(main(), shutdown_callback=first)
    sys.exit()

if way == "graceexit":
    import graceexit

    graceexit.on_exit(first)
elif way == "pyterminate":
    import pyterminate

    pyterminate.register(first)
elif way == "safe-exit":
    import safe_exit

    safe_exit.register(first)
elif way == "multiexit":
    import multiexit

    multiexit.install()
    multiexit.register(first)
else:
    import atexit
    import signal

    def leave(signum, _):
        """Leave as a program does that handles the signal itself."""
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, leave)
    atexit.register(first)

ready()
while True:
    time.sleep(seconds)
