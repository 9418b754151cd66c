"""The examples do what they say, run by what they are about."""

import configparser
import contextlib
import http.client
import re
import shlex
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest
import yaml
from harness import steps
from servers.driver import free_port
from serving import connect, get, need
from test_kafka import CONSUMES

TESTS = Path(__file__).parent
EXAMPLES = TESTS.parent / "examples"
NUMBERED = sorted(EXAMPLES.glob("[0-9][0-9]_*"))


@pytest.fixture
def example(program):
    """Start an example: `example("01_script.py", "3")`, or a module: `example("-m", ...)`."""

    def start(*words, **options):
        return program(sys.executable, *words, cwd=EXAMPLES, **options)

    return start


@pytest.fixture
def serve(example):
    """Start a server with a command line from the opening of an example, on a free port."""

    def start(command, *more, **options):
        module, *words = shlex.split(re.sub(r"--(bind|port) \S+ ", "", command))
        need(module)
        port = free_port()
        bind = ["-b", f"127.0.0.1:{port}"] if module == "gunicorn" else ["--port", port]
        return example("-m", module, *words, *more, *bind, **options), port

    return start


def command_of(name):
    """Return the command that the opening of an example gives."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    (command,) = re.findall(rf"^(\w+ .*{name}:app)", text, re.MULTILINE)
    return command


def ours(lines, *words):
    """Return the lines that begin with one of *words*: the others are the server's."""
    return [line for line in lines if line.startswith(words)]


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.name)
def test_an_example_is_short_and_named_by_a_test(path):
    """A reader sees an example at one glance; none of them is without a check."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
    tests = [test.read_text(encoding="utf-8") for test in TESTS.rglob("test_*.py")]
    assert any(path.stem in test for test in tests)


@pytest.mark.parametrize(
    ("signum", "status"), [(None, 0), (signal.SIGTERM, -15), (signal.SIGINT, -2)]
)
def test_the_script_removes_its_folder_however_it_ends(example, signum, status):
    """The folder is gone after the last step, after SIGTERM and after Ctrl-C."""
    running = example("01_script.py", 10**6 if signum else 3)
    folder = Path(running.wait_for(re.compile("^step 3 in ")).split()[3])
    if signum:
        assert folder.is_dir()
        running.send(signum)
    lines, code = running.finish()
    assert ours(lines, "removed") == [f"removed {folder}"]
    assert not folder.exists()
    assert code == status


def test_the_worker_thread_sends_the_rest_before_its_connection_is_closed(example):
    """Every message that has been queued is sent, once and in order; then comes the callback."""
    running = example("02_worker_thread.py")
    _, status = running.end_by(signal.SIGTERM, after="queued 3")
    lines = steps(running.lines)
    sent = [int(line.split()[1]) for line in ours(lines, "sent")]
    queued = [int(line.split()[1]) for line in ours(lines, "queued")]
    assert sent == list(range(len(sent)))
    assert 0 <= len(sent) - len(queued) <= 1  # the signal may come before the line
    assert lines[-1] == "closed the connection"
    assert status == -signal.SIGTERM


def test_granian_loses_no_path_that_a_request_has_queued(serve, tmp_path):
    """What was answered is in the database when the server has ended."""
    database = tmp_path / "visits.db"
    running, port = serve(command_of("03_granian"), env={"DATABASE": str(database)})
    for _ in range(2):  # a worker that is still starting can miss the signal
        running.wait_for(re.compile(r"Started worker-\d+$"))
    paths = [f"/{number}" for number in range(20)]
    assert [get(running, port, path) for path in paths] == [202] * len(paths)
    running.send(signal.SIGTERM)
    _, status = running.finish()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT path FROM visit").fetchall()
    assert sorted(found) == sorted((path,) for path in paths)
    assert status == 0


def test_gunicorn_finishes_the_jobs_of_a_pool_before_the_connection_is_closed(serve):
    """A mail that a request has left to a thread pool is sent, though the request has ended."""
    running, port = serve(command_of("04_gunicorn"), "--workers", 1)
    assert get(running, port, "/somebody") == 202
    running.send(signal.SIGTERM)
    running.finish()
    expected = ["sent a mail to somebody", "closed the connection"]
    assert ours(running.lines, "sent", "closed") == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_uvicorn_ends_a_task_in_the_lifespan_and_the_rest_afterwards(serve, workers):
    """The loop's own task ends in the lifespan, then the thread, then an async callback."""
    running, port = serve(command_of("05_uvicorn"), "--workers", workers)
    for _ in range(workers):
        running.wait_for(re.compile("Application startup complete"))
    assert get(running, port, "/") == 204
    running.send(signal.SIGTERM)
    _, status = running.finish()
    expected = ["cancelled the task True", "stopped the thread", "left the cluster"]
    lines = ours(running.lines, "cancelled", "stopped", "left")
    assert sorted(lines) == sorted(expected * workers)
    if workers == 1:
        assert lines == expected
    assert status == (-signal.SIGTERM if workers == 1 else 0)


ASGI = {
    "uvicorn": [],
    "granian": ["--interface", "asgi"],
    "hypercorn": [],
    "gunicorn": ["--worker-class", "uvicorn_worker.UvicornWorker"],
}


@pytest.mark.parametrize("server", ASGI)
def test_every_asgi_server_stops_a_producer_in_the_lifespan_and_the_thread_afterwards(
    example, script, broker, server
):
    """What has been accepted is in the topic, though the batch had a second to wait."""
    need("aiokafka", server, *(["uvicorn_worker"] if server == "gunicorn" else []))
    port = free_port()
    command = (*ASGI[server], *command_of("17_lifespan").split()[1:])
    bind = ["--port", port] if server in {"uvicorn", "granian"} else ["-b", f"127.0.0.1:{port}"]
    running = example("-m", server, *command, *bind, env={"KAFKA": broker})
    connection = connect(running, port)
    for number in range(20):
        connection.request("POST", "/", body=f"message {number}")
        response = connection.getresponse()
        response.read()
        assert response.status == 204
    connection.close()
    running.send(signal.SIGTERM)
    lines, status = running.finish()
    expected = ["stopped the producer", "stopped the thread"]
    assert steps(ours(lines, "stopped", "graceexit")) == expected
    assert status == (-signal.SIGTERM if server == "uvicorn" else 0)
    assert script(CONSUMES, broker).finish() == (["21 21"], 0)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_asyncio_service_cancels_its_tasks_and_then_ends_its_thread(example, signum):
    """The tasks unwind first, and what they say still goes through the thread."""
    running = example("09_asyncio_service.py")
    for number in (1, 2):
        running.wait_for(f"handled a message in {number}")
    running.send(signum)
    lines, status = running.finish()
    said = ours(lines, "put", "closed")
    assert sorted(said[:2]) == [f"put a message back in {n}" for n in (1, 2)]
    assert said[2:] == ["closed the connection"]
    assert status == -signum


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_pool_finishes_every_task_that_it_was_given(example, signum):
    """SIGTERM comes to the parent, and Ctrl-C to all; 20_pool closes the pool, and then joins."""
    running = example("20_pool.py")
    running.wait_for("handed in 10 tasks")
    (running.send if signum == signal.SIGTERM else running.send_group)(signum)
    _, status = running.finish()
    assert sorted(ours(running.lines, "done")) == [f"done {number}" for number in range(10)]
    assert status == -signum


@pytest.mark.parametrize(
    "command",
    [
        "granian --interface asgi",
        "gunicorn --worker-class asgi --keep-alive 60",
        "uvicorn",
        "uvicorn --workers 2",
    ],
)
def test_an_endless_stream_ends_when_sigterm_comes_and_a_probe_is_told(serve, command):
    """The server drains, and it is the stream that ends itself; a probe hears it, or nobody."""
    need("starlette")
    running, port = serve(f"{command} 10_readiness:app")
    probe = connect(running, port)
    assert ask(probe, "/ready") == 200
    stream = connect(running, port)
    stream.request("GET", "/events")
    answer = stream.getresponse()
    assert answer.readline() == b"data: tick\n"
    running.send(signal.SIGTERM)
    # What the server logs is read meanwhile: it would wait for ever for a pipe that is full.
    answers = []
    running.read_until(lambda: answers.append(ask(probe, "/ready")) or answers[-1] != 200)
    status = answers[-1]
    assert status in {503, None}
    if "gunicorn" in command:
        assert status == 503
    rest = []
    while line := answer.readline():  # one a second, for as long as the stream has no end
        assert time.monotonic() < running.deadline
        rest.append(line)
    assert rest[-3:] == [b"event: moved\n", b"data: connect again\n", b"\n"]
    probe.close()
    stream.close()
    _, status = running.finish()
    assert status == (-signal.SIGTERM if command == "uvicorn" else 0)


def ask(connection, path):
    """Return the status of the answer, None where the server has closed the connection."""
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (ConnectionError, http.client.HTTPException):
        return None
    return response.status


def test_the_manifest_for_kubernetes_starts_and_ends_a_server(serve):
    """Its command is run with its variables; the probe finds it ready, and SIGTERM ends it."""
    need("starlette")
    text = (EXAMPLES / "11_kubernetes.yaml").read_text(encoding="utf-8")
    container = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]
    command = shlex.join([*container["command"], *container["args"]])
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    running, port = serve(command.replace("0.0.0.0", "127.0.0.1"), env=env)  # noqa: S104
    assert get(running, port, container["readinessProbe"]["httpGet"]["path"]) == 200
    running.send(signal.SIGTERM)
    assert running.finish()[1] == 0


def test_the_unit_for_systemd_starts_and_ends_a_server(serve):
    """Its command is run with its variable; it answers, and SIGTERM to gunicorn alone ends it."""
    service = unit()["Service"]
    command = service["ExecStart"].replace("\\\n", " ").removeprefix("/srv/web/venv/bin/")
    running, port = serve(command, env=dict([service["Environment"].split("=")]))
    assert get(running, port, "/somebody") == 202
    running.send(signal.SIGTERM)
    lines, status = running.finish()
    assert ours(lines, "sent", "closed") == ["sent a mail to somebody", "closed the connection"]
    assert status == 0


def test_systemd_understands_the_unit(program, tmp_path):
    """It has nothing to say of the unit, once the program is one that this machine has."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    text = (EXAMPLES / "12_graceexit.service").read_text(encoding="utf-8")
    path = tmp_path / "graceexit.service"
    path.write_text(text.replace("/srv/web/venv/bin/gunicorn", sys.executable), encoding="utf-8")
    lines, _ = program("systemd-analyze", "verify", path).finish()
    assert [line for line in lines if path.name in line] == []


def unit():
    """Return the unit for systemd."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(EXAMPLES / "12_graceexit.service", encoding="utf-8")
    return parser


def test_the_test_of_a_clean_up_passes(example):
    """Pytest runs it as an application's own suite would."""
    running = example("-m", "pytest", "-q", "-p", "no:cacheprovider", "13_test_cleanup.py")
    assert running.finish()[1] == 0
    assert re.match("2 passed", running.lines[-1])
