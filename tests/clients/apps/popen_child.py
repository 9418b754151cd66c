"""subprocess: a child writes what it has when it is told to end."""

import os
import subprocess
import sys
from pathlib import Path

import graceexit

CHILD = """
import pathlib, signal, sys, time

signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("started", flush=True)
signal.sigwait({signal.SIGTERM})
time.sleep(0.2)
pathlib.Path(sys.argv[2]).write_bytes(pathlib.Path(sys.argv[1]).read_bytes())
"""
address = os.environ["ADDRESS"]
file = Path(f"{address}.log").open("a", encoding="utf-8", buffering=1)  # noqa: SIM115
process = subprocess.Popen(
    [sys.executable, "-c", CHILD, file.name, address], stdout=subprocess.PIPE
)
process.stdout.readline()
graceexit.register(process, stop=process.terminate)


def send(item):
    """Give an item to the child."""
    print(item, file=file)
