"""
What a row of the table is: what stands above a program, how it is told to stop, and what it does.

A row is data, and `driver.py` does the same with every one. What is said of it here is what a run
has to find.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

# Who may get a signal: the program, a child in its process group, a child in a session of its own.
WHO = ("process", "group", "session")


@dataclass(frozen=True)
class Row:
    """
    Something that starts a program, and ends it.

    Attributes:
        name: Its name in the table and in the names of the tests.
        command: What is started. PROGRAM becomes the program, PYTHON the interpreter, HERE the
            folder `programs`, DIR a folder of the run's own, NAME a name of the run's own, OPTION
            `option` or nothing.
        how: In words, how it is told to stop.
        stop: A signal for it; else a command; "touch" if it watches DIR/watched; "" if nothing has
            to be done.
        version: The command that says which version it is, "" for what every system has; None: the
            first word of `command` says it if asked for `--version`. pip says it of what does not.
        gets: What each of WHO gets; SIGCONT, which may come with it, is left out.
        kills: Which of WHO it kills, if they do not end.
        perhaps: Which others it kills in some runs, and not in others.
        after: Seconds after which it does that by default.
        option: How it is given 2 s or 3 s instead.
        says: The name of that option, for the table.
        files: Files in DIR.
        env: Variables of the environment.
        signals: What `install(signals=...)` has to be given.
        runs: Whether the program is told at all, so that its items run.
        write: What to write, for the table.
        short: Whether `make test` runs it too.
    """

    name: str
    command: str
    how: str = "SIGTERM"
    stop: signal.Signals | str = signal.SIGTERM
    version: str | None = None
    gets: tuple[str, str, str] = ("SIGTERM", "", "")
    kills: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()
    after: float | None = None
    option: str = ""
    says: str = ""
    files: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    signals: tuple[str, ...] = ()
    runs: bool = True
    write: str = "nothing"
    short: bool = False
