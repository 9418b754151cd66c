"""What a row of docs/clients.md is: a client, the line to write, and what the tests send it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """
    A client.

    Attributes:
        name: Its name in the table and in the names of the tests.
        app: The program of apps/ that makes it as a user would; it has `send(item)`.
        write: What the user has to write: lines that stand in the program. Without them it is the
            same program without graceexit.
        server: Who counts what has arrived: a function of servers.py.
        needs: The distributions that it is made of, the client first.
        watch: What the user should know.
        items: How many are sent.
        short: Whether `make test` runs it too.
        alone: Whether it is left out of the test of many in one worker.
        venv: The environment beside that of the tests which has it: its name ends in this.
    """

    name: str
    app: str
    write: str
    server: str
    needs: tuple[str, ...] = ()
    watch: str = ""
    items: int = 200
    short: bool = False
    alone: bool = False
    venv: str = ""
