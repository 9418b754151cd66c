"""Rehearsals of real servers."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import sys
import uuid

import pytest
from harness import MARK, marked
from servers.driver import APPS, free_port, wait_until_listening
from serving import need

import graceexit

REPORTS = "report" in inspect.signature(graceexit.install).parameters

# A server: its command, the processes that are drawn (the helpers of multiprocessing left out), and
# which of them has the application.
GUNICORN = "gunicorn --workers 2 --bind 127.0.0.1:PORT"
UVICORN = "uvicorn --port PORT rehearsed:asgi"
# From 3.14 on its workers are no forks of it.
GRANIAN = "granian" if sys.version_info < (3, 14) else "spawned child"
SERVERS = {
    "gunicorn gthread": (
        f"{GUNICORN} --worker-class gthread --threads 4 rehearsed:wsgi",
        [("gunicorn", 0), ("gunicorn", 0), ("gunicorn", 0)],
    ),
    "granian asgi": (
        "granian --interface asgi --port PORT --workers 2 rehearsed:asgi",
        [("granian", 0), (GRANIAN, 0), (GRANIAN, 0)],
    ),
    "granian wsgi": (
        "granian --interface wsgi --port PORT --workers 2 rehearsed:wsgi",
        [("granian", 0), (GRANIAN, 0), (GRANIAN, 0)],
    ),
    "uvicorn": (UVICORN, [("uvicorn", -signal.SIGTERM)]),
    "uvicorn workers": (
        f"{UVICORN} --workers 2",
        [("uvicorn", 0), ("spawned child", -15), ("spawned child", -15)],
    ),
    "hypercorn": (
        "hypercorn --bind 127.0.0.1:PORT rehearsed:asgi",
        [("hypercorn", 0), ("spawned child", 0)],
    ),
}


class Rehearsed:
    """What was seen in a rehearsal that has come to its end."""

    def __init__(self, running, file):
        _, self.status = running.finish()
        self.lines = running.lines
        self.seen = json.loads(file.read_text())
        helpers = {"resource tracker", "fork server"}
        self.processes = [one for one in self.seen["processes"] if one["name"] not in helpers]

    def ends(self):
        """Return each process, with how it ended as far as the kernel tells."""
        return [(one["name"].partition(" -")[0], one["status"]) for one in self.processes]

    def items(self):
        """Return the outcomes of each process that has reported."""
        reports = [one["report"] for one in self.processes if one["report"]]
        return [[(one["name"], one["outcome"]) for one in each["results"]] for each in reports]


@pytest.fixture
def rehearse(program, tmp_path):
    """Rehearse a server by its command, and return what was seen; nothing may be left of it."""
    mark = uuid.uuid4().hex

    def start(command, *options, env=()):
        module, *words = command.replace("PORT", str(free_port())).split()
        need(module)
        if (address := next((word for word in words if "127.0.0.1:" in word), None)) is None:
            address = f"127.0.0.1:{words[words.index('--port') + 1]}" if "--port" in words else None
        url = ["--url", f"http://{address}/"] if module != "celery" else []
        file = tmp_path / "seen.json"
        running = program(
            *(sys.executable, "-m", "graceexit", "rehearse", *url, "--json", file, *options),
            *("--", sys.executable, "-m", module, *words),
            cwd=APPS,
            env={MARK: mark, **dict(env)},
        )
        return Rehearsed(running, file)

    yield start
    left = marked(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_loses_nothing(rehearse, name):
    """Every request in flight is answered, and every process gone."""
    command, processes = SERVERS[name]
    run = rehearse(command)
    assert run.seen["lost"] == []
    assert run.status == 0
    assert run.seen["requests"]["in_flight"] > 0
    # Of other people's children the status is known from Linux 6.15 on.
    known = [end is not None for _, end in run.ends()]
    ends = zip(processes, known, strict=True)
    assert run.ends() == [(one, end if told else None) for (one, end), told in ends]


def test_gunicorn_s_sync_workers_lose_what_waits_for_them(rehearse):
    """Each has one request in hand; the others are connected, and never accepted."""
    run = rehearse(f"{GUNICORN} rehearsed:wsgi", "--clients", 2)
    assert run.ends()[0] == ("gunicorn", 0)
    assert len(run.processes) == 3


@pytest.mark.skipif(not REPORTS, reason="the tested graceexit has no reports yet")
@pytest.mark.parametrize("name", SERVERS)
def test_the_items_of_each_worker_are_drawn(rehearse, name):
    """Each process that has the application has run both of its items."""
    command, processes = SERVERS[name]
    run = rehearse(command)
    assert run.items() == [[("flush", "done"), ("close_pool", "done")]] * max(len(processes) - 1, 1)
    assert sum("thread flush" in line for line in run.lines) == len(run.items())


@pytest.mark.parametrize("name", ["granian asgi", "hypercorn"])
def test_a_server_with_a_forgotten_thread_hangs_by_name(rehearse, name):
    """The worker that has the thread comes first, and those that wait for it are not blamed."""
    command, processes = SERVERS[name]
    run = rehearse(command, "--within", 9, env={"FORGET": "1"})
    assert run.status == 1
    # That of hypercorn is a child of multiprocessing, whose items wait for it as long as linger.
    killed = [one for one in run.seen["lost"] if "cut off" not in one["what"]]
    first, *rest = killed
    assert first["more"] == [
        (
            "It is kept alive by thread 'kafka', which is not a daemon. "
            "It runs poll (rehearsed.py:25). It is at"
        ),
        "    rehearsed.py:27 in poll",
        "Write where the thread is made:",
        "    graceexit.register(thread, stop=flag, timeout=5)   # flag: what tells it to stop",
    ]
    assert [one["more"] for one in rest] == [[]] * (len(processes) > 1)


def test_celery_loses_nothing(rehearse, program, tmp_path):
    """It is ready when it says so, and its children are seen."""
    need("celery", "redis")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    redis = f"redis-server --bind 127.0.0.1 --port {port} --dir {tmp_path} --save"
    wait_until_listening(program(*redis.split(), ""), port)
    run = rehearse(
        "celery -A on_celery worker --concurrency 2 --without-gossip --without-mingle -l INFO",
        *("--until", "ready."),
        env={"BROKER": f"redis://127.0.0.1:{port}/0", "STRUCK": str(tmp_path)},
    )
    assert run.status == 0
    assert run.seen["lost"] == []
    assert len(run.processes) == 3
