"""Run the program of a client, with the line and without it, and count what has arrived."""

from __future__ import annotations

import json
import signal
import sys
import time
from contextlib import closing
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

import pytest
from clients import servers
from harness import steps

HERE = Path(__file__).parent
ENDINGS = {"term": "SIGTERM", "ctrl_c": "Ctrl-C", "exit": "`sys.exit(3)`"}
STATUS = {"term": -signal.SIGTERM, "ctrl_c": -signal.SIGINT, "exit": 3}
HANGS = 10.0  # seconds after which a program without graceexit is said to hang
LEFT = 2.0  # and, when it has ended, its children are said to be left behind


class Ran(NamedTuple):
    """
    What one run has shown.

    Attributes:
        arrived: The items at the server, in their order, each as often as it was there.
        status: The return code; None if it hung.
        ran: What ran at the exit and with which outcome, by graceexit's report.
        said: What graceexit has logged.
        lines: All that was printed.
        left: Whether processes that it had started were still there after its end.
    """

    arrived: list[str]
    status: int | None
    ran: list[str]
    said: list[str]
    lines: list[str]
    left: bool


def measure(row, ending, program, folder, *, plain):
    """Run the program of a row to its end."""
    folder.mkdir()
    (folder / "app.py").write_text(source(row, plain=plain), encoding="utf-8")
    report = folder / "report.json"
    with getattr(servers, row.server)(program, folder) as (address, items):
        env = {"ADDRESS": address, "GRACEEXIT_REPORT": str(report)}
        running = program(python_of(row), HERE / "run.py", folder, row.items, ending, env=env)
        with closing(running):
            running.wait_for("ready")
            if ending == "term":
                running.send(signal.SIGTERM)
            elif ending == "ctrl_c":
                running.send_group(signal.SIGINT)
            left = plain and stays(running)
            hangs = left and running.pid in running.members()
            status = None if hangs else running.finish(orphans=left)[1]
        arrived = items()
    said = steps([line for line in running.lines if line.startswith("graceexit[")])
    return Ran(arrived, status, ran(report), said, running.lines, left and not hangs)


def stays(running):
    """Return whether the program or a child of it is still there when they ought to be gone."""
    until = time.monotonic() + HANGS

    def is_over():
        nonlocal until
        if running.pid not in running.members():
            until = min(until, time.monotonic() + LEFT)
        return time.monotonic() > until

    return running.read_until(is_over)


def python_of(row):
    """Return the Python that has the client; skip the test where there is none."""
    python = Path(f"{sys.prefix}-{row.venv}/bin/python") if row.venv else Path(sys.executable)
    if not python.exists():
        pytest.skip(f"there is no {python}; make test-clients makes it")
    return python


def versions_of(row):
    """Return the version of each distribution that *row* needs; skip where one is missing."""
    path = sorted(python_of(row).parents[1].glob("lib/*/site-packages")) if row.venv else sys.path
    found = {}
    for name in row.needs:
        have = {one.version for one in distributions(name=name, path=map(str, path))}
        if not have:
            pytest.skip(f"{name} is not installed")
        (found[name],) = have
    return found


def source(row, *, plain):
    """Return the program of a row; without the line if it is to be plain."""
    text = (HERE / "apps" / f"{row.app}.py").read_text(encoding="utf-8")
    for line in row.write.splitlines():
        assert f"\n{line}\n" in text, f"{row.app}.py has no line {line!r}"
        if plain:
            text = text.replace(f"\n{line}\n", "\n")
    return text


def ran(report):
    """Return the outcomes that the reports tell, of all processes."""
    if not report.exists():
        return []
    # A process writes its report again at its death if that brings news: the last one counts.
    last = {one["pid"]: one for one in map(json.loads, report.read_text().splitlines())}
    return [result["outcome"] for one in last.values() for result in one["results"]]
