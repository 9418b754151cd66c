"""What belongs to the server's loop ends in the lifespan: as a callback it comes too late."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from clients import servers
from clients.driver import ran
from clients.test_rows import RESULTS
from servers.driver import free_port
from serving import get, need

# Which server counts what a client sends.
CLIENTS = {
    "aiokafka": "kafka",
    "asyncpg": "postgres",
    "httpx": "http",
    "aiohttp": "http",
    "redis_asyncio": "redis",
}
ASGI = {
    "uvicorn": "--port PORT",
    "granian": "--interface asgi --port PORT",
    "hypercorn": "-b 127.0.0.1:PORT",
    "gunicorn": "--worker-class uvicorn_worker.UvicornWorker -b 127.0.0.1:PORT",
}
# As a callback: how many of the items arrive, the outcome, and what graceexit says of it.
LATE = {
    "aiokafka": (0, "overran", "did not return within timeout=2 s"),
    "asyncpg": (5, "failed", "attached to a different loop"),
    "httpx": (5, "done", ""),
    "aiohttp": (5, "failed", "attached to a different loop"),
    "redis_asyncio": (5, "failed", "attached to a different loop"),
}
ITEMS = {f"item-{number}." for number in range(5)}

pytestmark = [
    pytest.mark.skipif(not RESULTS, reason="only `make test-clients` installs all the clients"),
    pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated"),  # by kafka-python
]


def end(program, folder, server, client, how):
    """Send items, end the server; return what has arrived, what ran, and what was said."""
    need(server, client.partition("_")[0])
    port, report = free_port(), folder / "report.json"
    with getattr(servers, CLIENTS[client])(program, folder) as (address, items):
        env = {"CLIENT": client, "HOW": how, "ADDRESS": address, "GRACEEXIT_REPORT": str(report)}
        words = ASGI[server].replace("PORT", str(port)).split()
        running = program(
            *(sys.executable, "-m", server, *words, "loops:asgi"),
            env=env,
            cwd=Path(__file__).parent,
        )
        assert get(running, port, "/") == 204
        running.send(signal.SIGTERM)
        assert running.finish()[1] in {0, -signal.SIGTERM}
        arrived = set(items())
    return arrived, ran(report), [line for line in running.lines if line.startswith("graceexit[")]


@pytest.mark.parametrize("server", ASGI)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_the_lifespan_closes_loses_nothing(program, tmp_path, server, client):
    """The loop runs still, whatever the server."""
    assert end(program, tmp_path, server, client, "lifespan") == (ITEMS, [], [])


@pytest.mark.parametrize("client", LATE)
def test_a_callback_comes_when_the_loop_is_closed(program, tmp_path, client):
    """What it does to a client of the loop that has ended: the page says the same."""
    arrived, outcomes, said = end(program, tmp_path, "uvicorn", client, "callback")
    items, outcome, words = LATE[client]
    assert (len(arrived), outcomes, len(said)) == (items, [outcome], len(words[:1]))
    assert all(words in line for line in said)
