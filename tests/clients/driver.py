"""Run the program of a client, with the line and without it, and count what has arrived."""

from __future__ import annotations

import json
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from clients import servers
from harness import steps

HERE = Path(__file__).parent
ENDINGS = {"term": "SIGTERM", "ctrl_c": "Ctrl-C", "exit": "`sys.exit(3)`"}
STATUS = {"term": -signal.SIGTERM, "ctrl_c": -signal.SIGINT, "exit": 3}
HANGS = 10.0  # seconds after which a program without graceexit is said to hang


class Ran(NamedTuple):
    """
    What one run has shown.

    Attributes:
        arrived: The items at the server, in their order, each as often as it was there.
        status: The return code; None if it hung.
        ran: What ran at the exit and with which outcome, by graceexit's report.
        said: What graceexit has logged.
        lines: All that was printed.
    """

    arrived: list[str]
    status: int | None
    ran: list[str]
    said: list[str]
    lines: list[str]


def measure(row, ending, program, folder, *, plain):
    """Run the program of a row to its end."""
    folder.mkdir()
    (folder / "app.py").write_text(source(row, plain=plain), encoding="utf-8")
    report = folder / "report.json"
    with getattr(servers, row.server)(program, folder) as (address, items):
        env = {"ADDRESS": address, "GRACEEXIT_REPORT": str(report)}
        running = program(sys.executable, HERE / "run.py", folder, row.items, ending, env=env)
        with closing(running):
            running.wait_for("ready")
            if ending == "term":
                running.send(signal.SIGTERM)
            elif ending == "ctrl_c":
                running.send_group(signal.SIGINT)
            until = time.monotonic() + HANGS
            if plain and running.read_until(lambda: time.monotonic() > until):
                status = None
            else:
                status = running.finish()[1]
        arrived = items()
    said = steps([line for line in running.lines if line.startswith("graceexit[")])
    return Ran(arrived, status, ran(report), said, running.lines)


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
