"""
What `install` can be told, and what it is where nothing is said.

Everything is refused before anything is changed.
"""

import os
import signal

from graceexit._items import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import EllipsisType
    from typing import Any

LINGER = 5.0  # seconds that items wait for the rest of a program that is being ended
DEFAULT = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)
UNCATCHABLE = {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")}


class Settings:
    """
    The settings of one process; for `change`, `...` stands for what is to stay as it is.

    Attributes:
        grace: Seconds after which the process is gone, whatever hangs; `...` until `change` has
            asked the environment.
        linger: Seconds that items wait for the rest of the program.
        signals: What ends the process.
        report: Where the report goes that outlives the process.
    """

    def __init__(self) -> None:
        self.grace: float | EllipsisType | None = ...
        self.linger: float | None = LINGER
        self.signals: tuple[int, ...] = DEFAULT
        self.report: str | None = None

    def change(self, grace: "Any", linger: "Any", signals: "Any", report: "Any") -> None:
        """
        Change what is given; the first time also what the environment gives.

        Raises:
            TypeError: An argument is of the wrong kind.
            ValueError: A number is out of range, or no handler can be set for a signal.
        """
        if self.grace is ...:
            grace = grace_of_environment() if grace is ... else grace
            report = (os.environ.get("GRACEEXIT_REPORT") or None) if report is ... else report
        grace = seconds(self.grace if grace is ... else grace, "grace")
        linger = seconds(self.linger if linger is ... else linger, "linger", zero=True)
        signals = checked(self.signals if signals is ... else signals)
        report = self.report if report is ... else report
        if report is not None and not isinstance(report, (str, os.PathLike)):
            raise TypeError(f"report must be a path, or None for no report; got {report!r}")
        # A rehearsal has to see every report, wherever else it would go.
        report = os.environ.get("GRACEEXIT_REHEARSAL") or report
        report = None if report is None else os.fspath(report)
        self.grace, self.linger, self.signals, self.report = grace, linger, signals, report


def checked(signals: "Any") -> tuple[int, ...]:
    """Return *signals* as a tuple if each can have a handler."""
    rule = "signals must be signal numbers such as (signal.SIGTERM, signal.SIGINT)"
    if isinstance(signals, str) or not hasattr(signals, "__iter__"):
        raise TypeError(f"{rule}; got {signals!r}")
    numbers: tuple[int, ...] = tuple(signals)
    for signum in numbers:
        if isinstance(signum, bool) or not isinstance(signum, int):
            raise TypeError(f"{rule}; got {signum!r}")
        if signum not in signal.valid_signals() or signum in UNCATCHABLE:
            raise ValueError(f"{rule}; no handler can be set for {signum!r}")
    return numbers


def grace_of_environment() -> float | None:
    """Return the grace that the variable GRACEEXIT_GRACE gives, None if it does not."""
    text = os.environ.get("GRACEEXIT_GRACE", "").strip()
    try:
        return seconds(float(text), "GRACEEXIT_GRACE") if text else None
    except ValueError:
        raise ValueError(f"GRACEEXIT_GRACE must be seconds above zero; got {text!r}") from None
