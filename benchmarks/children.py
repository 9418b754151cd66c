"""
Programs that are measured: each in a session of its own, and none outlives Ctrl-C.

The first Ctrl-C only sets a flag, which everything that waits looks at; so it never comes between
the start of a program and the line that remembers it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

pressed = threading.Event()


def listen_for_ctrl_c():
    """Have Ctrl-C set `pressed`."""
    signal.signal(signal.SIGINT, lambda *_: pressed.set())


def pause(seconds=0.01):
    """Wait for a moment, or leave because of Ctrl-C."""
    if pressed.is_set():
        raise KeyboardInterrupt
    time.sleep(seconds)


def environment(**changes):
    """Return the environment of a program: nothing that Python reads but what is given."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GRACEEXIT_"))}
    return ours | changes


@contextlib.contextmanager
def started(*argv, **options):
    """Have a program run; whatever is left of its session is killed in the end."""
    process = subprocess.Popen(
        [str(word) for word in argv],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
        **options,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def output_of(*argv):
    """Run a program to its end and return what it has printed."""
    pipe = subprocess.PIPE
    with started(*argv, stdout=pipe, stderr=pipe) as process:
        while True:
            pause(0)
            try:
                output, errors = process.communicate(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
            if process.returncode:
                pause(0)  # it may be Ctrl-C that has ended it
                command = " ".join(map(str, argv))
                sys.exit(f"{command} ended with {process.returncode}:\n{errors.decode()}")
            return output.decode()
