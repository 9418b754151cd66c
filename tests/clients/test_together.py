"""Many clients in one worker of a server: each is closed after the request that uses it."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from clients import servers
from clients.driver import ran, versions_of
from clients.rows import ROWS
from clients.test_rows import RESULTS
from servers.driver import free_port
from serving import connect, need

ITEMS = 50
TOGETHER = [row for row in ROWS if not row.alone]
# What follows `python -m`, and how the server ends: the status of a worker that is it itself.
SERVERS = {
    "gunicorn": ("--worker-class gthread --threads 4 --bind 127.0.0.1:PORT service:wsgi", 0),
    "granian": ("--interface asgi --host 127.0.0.1 --port PORT service:asgi", 0),
    "uvicorn": ("--port PORT --lifespan off service:asgi", -signal.SIGTERM),
}

pytestmark = [
    pytest.mark.skipif(not RESULTS, reason="only `make test-clients` installs all the clients"),
    pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated"),  # by kafka-python
]


def test_many_clients_are_meant():
    """At least ten: fewer would not show that they get along."""
    assert len(TOGETHER) >= 10


@pytest.mark.parametrize("server", SERVERS)
def test_what_a_request_has_sent_at_the_end_of_its_worker_arrives(program, tmp_path, server):
    """SIGTERM comes in the middle of it: it is answered, and every item of every client arrives."""
    need(server)
    for row in TOGETHER:
        versions_of(row)
    words, status = SERVERS[server]
    port, struck, report = free_port(), tmp_path / "struck", tmp_path / "report.json"
    with ExitStack() as stack:
        addresses, counts = {}, {}
        for row in TOGETHER:
            folder = tmp_path / row.app
            folder.mkdir()
            counting = getattr(servers, row.server)(program, folder)
            addresses[row.app], counts[row.app] = stack.enter_context(counting)
        env = {"CLIENTS": json.dumps(addresses), "ITEMS": str(ITEMS), "STRUCK": str(struck)}
        env |= {"GRACEEXIT_REPORT": str(report)}
        command = words.replace("PORT", str(port)).split()
        running = program(
            sys.executable, "-m", server, *command, env=env, cwd=Path(__file__).parent
        )
        connection = connect(running, port)
        connection.request("GET", "/")
        running.wait_for("requested")
        running.send(signal.SIGTERM)
        struck.touch()
        assert connection.getresponse().read() == b"sent"
        connection.close()
        assert running.finish()[1] == status
        arrived = {app: set(items()) for app, items in counts.items()}
    assert [line for line in running.lines if line.startswith("graceexit[")] == []
    assert ran(report) == ["done"] * sum(len(row.write.splitlines()) for row in TOGETHER)
    expected = {f"item-{number}." for number in range(ITEMS)}
    assert {app: items for app, items in arrived.items() if items != expected} == {}
