"""
Write down each signal that comes, from whom, and end by none.

`witness.py FOLDER` writes to FOLDER/process and starts two more: one in its process group, and one
in a session of its own.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

folder, name = Path(sys.argv[1]), (sys.argv[2:] or ["process"])[0]


def say(*words):
    """Write a line with the time, which is the same for every process."""
    with (folder / name).open("a") as file:
        file.write(f"{time.monotonic()} {' '.join(map(str, words))}\n")


def sender(pid):
    """Return the name of the process that has sent a signal."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() if pid else "the kernel"
    except OSError:  # it has ended
        return "one that has ended"


if name == "process":
    for other in ("group", "session"):
        subprocess.Popen(
            [sys.executable, __file__, folder, other], start_new_session=other != "group"
        )
heeded = {
    signum
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCONT)
    if signal.getsignal(signum) is not signal.SIG_IGN
}
signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
say("ready", os.getpid())
while True:
    info = signal.sigwaitinfo(heeded)
    say(signal.Signals(info.si_signo).name, sender(info.si_pid))
