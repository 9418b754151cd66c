"""Real servers: their workers end as without graceexit, and the items run once in each."""

import http.client
import importlib.util
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

APPS = Path(__file__).parent / "apps"

# name: (module, arguments, workers, what each worker prints when it is ready to serve)
SERVERS = {
    "gunicorn-sync": ("gunicorn", "-b :PORT -w 2 service:wsgi", 2, "Booting worker"),
    "gunicorn-gthread": (
        "gunicorn",
        "-b :PORT -w 2 -k gthread --threads 2 service:wsgi",
        2,
        "Booting worker",
    ),
    "uvicorn": ("uvicorn", "--port PORT service:asgi", 1, "Application startup complete"),
    "uvicorn-2": (
        "uvicorn",
        "--port PORT --workers 2 service:asgi",
        2,
        "Application startup complete",
    ),
    "granian-asgi": (
        "granian",
        "--port PORT --workers 2 --interface asgi service:asgi",
        2,
        "Started worker-\\d+$",
    ),
    "granian-wsgi": (
        "granian",
        "--port PORT --workers 2 --interface wsgi service:wsgi",
        2,
        "Started worker-\\d+$",
    ),
    "granian-rsgi": (
        "granian",
        "--port PORT --workers 2 --interface rsgi service:rsgi",
        2,
        "Started worker-\\d+$",
    ),
}


@pytest.fixture
def port():
    """Return a port of the loopback that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def server(program, port):
    """Start a server by its name in SERVERS, and return it when every worker is ready."""

    def start(name, *, plain=False):
        module, arguments, workers, ready = SERVERS[name]
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed for this Python")
        words = arguments.replace("PORT", str(port)).replace("-b :", "-b 127.0.0.1:").split()
        started = program(
            sys.executable, "-m", module, *words, cwd=APPS, env={"PLAIN": "1" if plain else None}
        )
        pending = [re.compile(ready), re.compile("^imported ")] * workers
        while pending:
            line = started.wait_for(re.compile("|".join(p.pattern for p in pending)))
            pending.remove(next(p for p in pending if p.search(line)))
        return started

    return start


def end_during_a_request(running, port):
    """Send SIGTERM while a request is in flight; return the answer, the lines and the status."""
    answers = []

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while connection.sock is None:
            try:
                connection.connect()
            except ConnectionRefusedError:  # ready to serve, but not listening yet
                running.check()
        connection.request("GET", "/")
        response = connection.getresponse()
        answers.append((response.status, response.read()))
        connection.close()

    client = threading.Thread(target=ask)
    client.start()
    busy = running.wait_for(re.compile("^requested ")).split()[1]
    # A server loses a signal that comes just as the main thread of its worker blocks.
    time.sleep(0.5)
    running.send(signal.SIGTERM)
    lines, status = running.finish()
    client.join()
    return (
        busy,
        answers,
        [line for line in lines if re.match("(stopped|closed|answered) ", line)],
        status,
    )


@pytest.mark.parametrize("name", SERVERS)
def test_the_items_run_once_in_every_worker_after_its_request_has_ended(server, port, name):
    """A server that is terminated drains, each worker's items run once, and it ends by itself."""
    running = server(name)
    workers = {line.split()[1] for line in running.lines if line.startswith("imported ")}
    busy, answers, lines, status = end_during_a_request(running, port)
    assert answers == [(200, b"ok")]
    assert {
        pid: [line.split()[0] for line in lines if line.endswith(f" {pid}")] for pid in workers
    } == {pid: ["answered"] * (pid == busy) + ["stopped", "closed"] for pid in workers}
    assert len(lines) == 2 * SERVERS[name][2] + 1
    plain = server(name, plain=True)
    _, plain_answers, _, plain_status = end_during_a_request(plain, port)
    assert (answers, status) == (plain_answers, plain_status)
