"""
What a row of the table is: a server, how it is started, and what is known about it.

A row is data; `driver.py` does the same with every one. To add some, write them into a module of
`rows/`, as a list named ROWS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal

# What is done to the server while a request is in flight.
COLUMNS = {
    "term": "SIGTERM to the main process",
    "worker": "SIGTERM to one worker",
    "group": "Ctrl-C: SIGINT to the whole group",
    "reload": "reload, or recycling of workers",
}

# What the driver may find. Some compare with the run without graceexit.
FINDINGS = {
    "hangs": "not gone in good time",
    "plain hangs": "not gone in good time without graceexit",
    "killed": "the server has killed a process",
    "lost": "the items of the worker with the request have not run",
    "items": "the items have not run once in every other worker",
    "order": "the items have run before the request had ended",
    "answer": "the request has ended otherwise",
    "status": "a process has ended otherwise",
}


@dataclass(frozen=True)
class Fault:
    """
    What is known not to be right in a cell, and why: the server's own doing.

    Attributes:
        why: The reason, for the table.
        findings: Which of FINDINGS; the test fails as well when one of them is no longer found.
        sometimes: They depend on the instant, so that they may be found or not.
    """

    why: str
    findings: frozenset[str]
    sometimes: bool = False


@dataclass(frozen=True)
class Reload:
    """
    How the server replaces its workers.

    Attributes:
        how: A signal for the main process; "touch" if the server watches the files of DIR; or in
            words what makes it do so by itself, such as "max_requests".
        words: What is added to the command.
        one: Whether only the worker with the request is replaced.
        ends: Whether nothing is replaced, for the main process ends with its worker.
        seconds: How long that may take.
    """

    how: signal.Signals | str
    words: str = ""
    one: bool = False
    ends: bool = False
    seconds: float = 20.0


@dataclass(frozen=True)
class Row:
    """
    A server in one configuration.

    Attributes:
        name: Its name in the table and in the names of the tests.
        command: What follows `python`. PORT becomes a free port, DIR a folder of the run's own,
            BESIDE the port of what runs beside it, PYTHON the interpreter that has the server.
        ready: What is printed by, or about, each worker that can take requests: a regular
            expression, searched for in each line.
        needs: The distributions that it is made of, the server first; their versions are recorded,
            and where one is not installed the row is skipped.
        workers: How many processes load the application, or are forked from the one that has.
        columns: Which columns make sense.
        short: The columns that `make test` runs too.
        reload: How workers are replaced, for the column "reload".
        env: Variables of the environment; PORT, DIR and BESIDE may stand in them too.
        beside: A program that has to run beside it, such as a broker: the words that start it.
        client: A program of apps/ that puts a task in flight when it is called with `put`, and with
            `get` says at the end what came of it; "" if the workers have something to do anyway.
            None asks for a page.
        lone: Whether a worker that has ended is not replaced by another.
        retires: Whether that is so with graceexit, of a worker that gets SIGTERM.
        restless: Whether main threads wake up all the time, and so notice every signal.
        waits_in_c: Whether no Python waits for the workers, so that C has to say how they end.
        venv: The environment beside that of the tests which has it: its name ends in this.
        write: What the user has to write there.
        configure: What the user should configure there.
        faults: Column to what is known not to be right in it.
    """

    name: str
    command: str
    ready: str
    needs: tuple[str, ...]
    workers: int = 1
    columns: tuple[str, ...] = ("term", "worker", "group")
    short: tuple[str, ...] = ()
    reload: Reload | None = None
    env: dict[str, str] = field(default_factory=dict)
    beside: str = ""
    client: str | None = None
    lone: bool = False
    retires: bool = False
    restless: bool = False
    waits_in_c: bool = False
    venv: str = ""
    write: str = "nothing"
    configure: str = ""
    faults: dict[str, Fault] = field(default_factory=dict)


def fault(why: str, *findings: str, sometimes: bool = False) -> Fault:
    """Return what is known not to be right: `fault("it drops requests", "answer")`."""
    unknown = set(findings) - set(FINDINGS)
    assert not unknown, f"no such findings: {unknown}"
    return Fault(why, frozenset(findings), sometimes)
