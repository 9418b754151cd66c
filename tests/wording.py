"""
What tests look for in the log, all of it here: its words may change, its facts may not.

A line of graceexit begins with who speaks. A stack or a traceback may follow it.
"""

from __future__ import annotations

import re

from harness import NO_THREADS_AT_THE_END

WHO = r"^graceexit\[\d+\]: "
INLINE = re.compile(r"no thread can be started")
ON_SIGTERM = WHO + r"on SIGTERM: "
ON_CTRL_C = WHO + r"on Ctrl-C: "

MAIN_THREAD = r"(?i:main ?thread)"

# What a person can do about something that is waited for, or that is cut off.
REGISTER = r"register"
NEGATIVE_ORDER = r"order=-1"
LINGER = r"linger="
GRACE = r"grace="
TIMEOUT = r"timeout="


def place(function: str, file: str = "script.py") -> str:
    """Return the pattern of where something is: `script.py:12 in poll`."""
    return rf"{re.escape(file)}:\d+ in {function}"


def said(lines: list[str]) -> list[str]:
    """Return what graceexit has said, but for the warning of a Python without threads."""
    return [line for line in lines if re.search(WHO, line) and not INLINE.search(line)]


def steps(lines: list[str]) -> list[str]:
    """Return *lines* without the warning that a Python without threads at its end prints."""
    rest = [line for line in lines if not INLINE.search(line)]
    assert len(lines) - len(rest) <= NO_THREADS_AT_THE_END
    return rest


def own(lines: list[str]) -> list[str]:
    """Return the lines of the program: none of graceexit's, no stack and no traceback."""
    rest = []
    in_traceback = False
    for line in lines:
        if line.startswith("Traceback "):
            in_traceback = True
        elif line.startswith((" ", "During handling of ")) or not line:
            pass
        elif in_traceback:
            in_traceback = False  # the error itself
        elif not re.search(WHO, line) and not INLINE.search(line):
            rest.append(line)
    return rest


def assert_one_says(lines: list[str], *patterns: str) -> str:
    """Assert that exactly one line of graceexit has all of the patterns; return it."""
    found = [line for line in said(lines) if all(re.search(p, line) for p in patterns)]
    assert len(found) == 1, "\n".join([f"wanted in one line: {patterns}", *lines])
    return found[0]
