"""What was seen in a rehearsal, before anybody draws conclusions."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graceexit._rehearsal.clients import Request
    from graceexit._rehearsal.processes import Process
    from graceexit._rehearsal.reports import Reports
    from graceexit._rehearsal.stacks import Stacks

# Signals that nobody dies of who ends as planned.
CRASHES = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")


@dataclass
class Strike:
    """A signal that the rehearsal has sent."""

    time: float
    signal: str
    pids: list[int]


@dataclass
class Facts:
    """
    What was seen; times are Unix time.

    Attributes:
        processes: Those that had not ended before the signal; the command's own is the first.
        stacks: What the processes have told that had to be killed.
        attitudes: Whether they ignore or block the signal.
        defaulting: Who of those to whom the signal was sent had no handler for it.
    """

    command: list[str]
    to: str
    within: float
    strikes: list[Strike]
    ended: float
    processes: list[Process]
    reports: Reports
    requests: list[Request] | None = None
    stacks: dict[int, Stacks] = field(default_factory=dict)
    attitudes: dict[int, str] = field(default_factory=dict)
    defaulting: set[int] = field(default_factory=set)


def seconds(value: float) -> str:
    """Return a number of seconds as one says it."""
    return f"{value:.0f} s" if value == int(value) and value else f"{value:.2f} s"


def signal_name(signum: int) -> str:
    """Return the name of a signal."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def plain(text: str) -> str:
    """Return *text* without what a terminal would obey and a picture must not have."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def crashed(value: int | None) -> bool:
    """Return whether a process has ended in a way that nobody wants."""
    return value is not None and value < 0 and signal_name(-value) in CRASHES


def status(value: int) -> str:
    """Return how a process has ended."""
    return signal_name(-value) if value < 0 else f"status {value}"
