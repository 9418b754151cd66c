"""Have every program that the tests start print a line and its end by one system call."""

import builtins
import os
import sys


def print_at_once(*words, sep=" ", end="\n", file=None, flush=False):
    """Print to an unbuffered stream; the original writes the end by a call of its own."""
    sep, end = (" " if sep is None else sep), ("\n" if end is None else end)
    (file or sys.stdout).write(sep.join(map(str, words)) + end)


builtins.print = print_at_once

if os.environ.get("SAY_REAPED"):
    import reaped  # noqa: F401
