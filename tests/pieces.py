"""Pieces of the package that tests look at by themselves."""

import time

from graceexit._ender import Ender
from graceexit._executors import Executors
from graceexit._exit import Exit


def exit_of(process, grace=None, linger=5.0, clock=time.monotonic):
    """Return the end of a process, of which nothing has begun, and which ends nothing."""
    process.settings.change(grace, linger, ..., ...)
    given = process.registry._runs(), process.exiting, process.handlers, Executors()
    ender = Ender(*given, process.settings, process.at_exit)
    ending = Exit(ender, process.registry, process.exiting, process.handlers, lambda: None)
    ending.limits.clock = clock
    ending.limits._timer = None
    return ending
