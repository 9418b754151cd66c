"""A thread and a callback that takes SECONDS: `service.py FOLDER SECONDS [SIGNAL...]`."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import graceexit

path, seconds = Path(sys.argv[1], "service"), float(sys.argv[2])
if more := sys.argv[3:]:
    graceexit.install(signals=[getattr(signal, name) for name in more])


def say(*words):
    """Write a line."""
    with path.open("a") as file:
        file.write(f"{' '.join(map(str, words))}\n")


stop = threading.Event()
thread = threading.Thread(target=lambda: (stop.wait(), say("stopped")))
thread.start()
graceexit.register(thread, stop=stop)


@graceexit.on_exit(timeout=60)
def close():
    """Take longer than whoever stands above has patience, if told so."""
    signum = graceexit.exiting.signum
    say("closing", signum and signal.Signals(signum).name)
    time.sleep(seconds)
    say("closed")


say("ready", os.getpid())
while not graceexit.exiting.wait(1):
    pass
