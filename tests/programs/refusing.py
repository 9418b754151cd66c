"""
Refuse to start threads, as Python does at a process limit. To be imported before graceexit.

`allow(3)` lets three more be started, `allow(0)` none. `start_none()` is what happens at the limit
of memory: a thread is started, and ends before its first line.
"""

import _thread
import sys
import threading

budget = {"left": float("inf"), "begin": True}


def allow(count):
    """Let so many threads be started from now on."""
    budget["left"] = count


def start_none():
    """Have every thread that is started from now on end before its first line."""
    budget["begin"] = False


def counted(start):
    """Return *start* with the refusal in front of it."""

    def start_thread(*args, **options):
        if budget["left"] <= 0:
            raise RuntimeError("can't start new thread")
        budget["left"] -= 1
        if not budget["begin"]:
            return 0
        return start(*args, **options)

    return start_thread


_thread.start_new_thread = counted(_thread.start_new_thread)
threading._start_new_thread = _thread.start_new_thread
if sys.version_info >= (3, 13):
    threading._start_joinable_thread = counted(threading._start_joinable_thread)
