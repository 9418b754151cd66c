"""Let nobody read what a program writes."""

import os


def fill(descriptor):
    """Make *descriptor* a pipe that takes nothing more."""
    _read, write = os.pipe()  # a number: it stays open
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    os.dup2(write, descriptor)
