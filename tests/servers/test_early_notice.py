"""When `exiting` is set under each server: at once, or only when the worker has drained."""

from __future__ import annotations

import importlib.util
import re
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from servers.driver import APPS, Client, free_port

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "early-notice.md"
PYPROJECT = ROOT / "pyproject.toml"
ONCE, LATE = "at once", "at the end"


class Row(NamedTuple):
    """A server: its command, when it gives notice by itself, and the hook that mends it."""

    name: str
    command: str
    by_itself: str
    hook: str | None = None
    mended: str = ONCE


ROWS = [
    Row(
        "Granian, ASGI",
        "granian --port PORT --interface asgi notice:asgi",
        LATE,
        "lifespan.startup",
    ),
    Row("Granian, RSGI", "granian --port PORT --interface rsgi notice:rsgi", LATE, "__rsgi_init__"),
    Row(
        "Granian, WSGI",
        "granian --port PORT --interface wsgi --blocking-threads 1 notice:wsgi",
        LATE,
    ),
    Row("uvicorn", "uvicorn --port PORT notice:asgi", LATE, "lifespan.startup"),
    Row("uvicorn --workers 2", "uvicorn --port PORT --workers 2 notice:asgi", ONCE),
    Row("gunicorn, sync", "gunicorn -b 127.0.0.1:PORT notice:wsgi", ONCE),
    Row("gunicorn, gthread", "gunicorn -b 127.0.0.1:PORT -k gthread notice:wsgi", ONCE),
    Row("gunicorn, asgi", "gunicorn -b 127.0.0.1:PORT -k asgi notice:asgi", ONCE),
    Row(
        "gunicorn --preload",
        "gunicorn -b 127.0.0.1:PORT --preload -c python:notice notice:wsgi",
        LATE,
        "post_worker_init",
    ),
    Row(
        "hypercorn --workers 0",
        "hypercorn -b 127.0.0.1:PORT -w 0 notice:asgi",
        LATE,
        "lifespan.startup",
    ),
    Row("hypercorn", "hypercorn -b 127.0.0.1:PORT notice:asgi", LATE, "lifespan.startup", LATE),
]
CASES = [(row, False) for row in ROWS] + [(row, True) for row in ROWS if row.hook]


@pytest.mark.parametrize(
    ("row", "again"), CASES, ids=lambda value: getattr(value, "name", "hook" if value else "import")
)
def test_a_request_in_flight_learns_of_sigterm_when_the_documentation_says_so(
    program, tmp_path, row, again
):
    """One that waits for `exiting` ends by it where notice comes at once, and else never would."""
    module, *words = row.command.split()
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed for this Python")
    expected = row.mended if again else row.by_itself
    port, struck = free_port(), tmp_path / "struck"
    running = program(
        *(sys.executable, "-m", module, *(word.replace("PORT", str(port)) for word in words)),
        cwd=APPS,
        env={"HOOK": "1" if again else None, "STRUCK": str(struck)},
    )
    client = Client(port)
    client.start()
    busy = running.wait_for(re.compile("^requested ")).split()[1]
    if "wsgi" in words:  # the main thread of a Granian worker waits without a limit there
        running.settle()
    running.send(signal.SIGTERM)
    if expected == LATE:  # else the request ends by the notice, or never
        struck.touch()
    lines, _ = running.finish()
    client.join()
    assert client.answer == "200 ok"
    said = [line for line in lines if re.match(f"(answered|closed) .* {busy}$", line)]
    known = signal.SIGTERM if expected == ONCE or module == "uvicorn" else None
    assert said == [f"answered {expected == ONCE} {busy}", f"closed {known and int(known)} {busy}"]


def test_the_table_of_the_documentation_is_what_these_tests_hold():
    """No row is missing, none says anything else, and the versions are those that were run."""
    text = DOCS.read_text(encoding="utf-8")
    assert re.findall(r"^\|(?! server| ---).*\|$", text, re.MULTILINE) == [
        f"| {row.name} | {row.by_itself} | {in_the_hook(row)} |" for row in ROWS
    ]
    pinned = PYPROJECT.read_text(encoding="utf-8")
    names = {row.command.split()[0] for row in ROWS}
    for name, version in re.findall(r'"([a-z]+)==([\d.]+)"', pinned):
        assert name not in names or f"{name} {version}" in " ".join(text.split())


def in_the_hook(row):
    """Return the last column of a row."""
    if row.hook:
        return f"`{row.hook}`: {row.mended}"
    return "not needed" if row.by_itself == ONCE else "no hook"
