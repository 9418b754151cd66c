"""The recipes for task queues do what they say, run by the engines that they are about."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
from servers.driver import free_port, wait_until_listening
from serving import need

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = [f"name-{number}" for number in range(20)]


@pytest.fixture
def run(program):
    """Start a module, or a program given as text, where the examples are."""

    def start(*words, **options):
        return program(sys.executable, *words, cwd=EXAMPLES, **options)

    return start


@pytest.fixture
def redis(program, tmp_path):
    """Return the URL of a Redis of the test's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    words = f"redis-server --bind 127.0.0.1 --port {port} --dir {tmp_path} --save".split()
    wait_until_listening(program(*words, ""), port)
    return f"redis://127.0.0.1:{port}/0"


def sent(running):
    """Return what has been sent; Celery prints it as a line of its log."""
    found = [re.search(r"(?<!\S)sent (\S+)$", line) for line in running.lines]
    return sorted(match[1] for match in found if match)


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_celery_sends_what_its_tasks_have_left_to_threads(run, redis, pool):
    """With 06_celery nothing is lost in any process of the pool, each of which ends by os._exit."""
    need("celery")
    words = f"-m celery --app 06_celery worker --pool {pool} --concurrency 2 --loglevel INFO"
    running = run(*words.split(), env={"CELERY_BROKER_URL": redis})
    put = "from celery import Celery; import sys\n[Celery(broker=sys.argv[1])"
    put += ".send_task('greet', [name]) for name in sys.argv[2:]]"
    assert run("-c", put, redis, *NAMES).finish()[1] == 0
    for _ in NAMES:
        running.wait_for(re.compile(r"succeeded in"))
    assert not sent(running)
    running.send(signal.SIGTERM)
    assert running.finish()[1] == 0
    assert sent(running) == sorted(NAMES)


@pytest.mark.parametrize(("seconds", "status"), [(0, 0), (10**6, -signal.SIGTERM)])
def test_a_job_of_rq_sends_what_it_has_left_to_a_thread(run, redis, seconds, status):
    """With 07_rq nothing is lost, and rq is told of a signal as the end of the job's process."""
    need("rq")
    words = f"-m rq.cli worker --url {redis} --path . --worker-class 07_rq.Worker --max-jobs 1"
    running = run(*words.split(), env={"SAY_REAPED": "1"})
    put = f"import redis, rq; rq.Queue(connection=redis.Redis.from_url({redis!r}))"
    put += f".enqueue('07_rq.greet', 'somebody', {seconds})"
    assert run("-c", put).finish()[1] == 0
    running.wait_for("greeted somebody")
    if status:
        (job,) = set(running.members()) - {running.pid}
        os.kill(job, -status)
    lines, ended = running.finish()
    assert sent(running) == ["somebody"]
    assert [line.split()[2] for line in lines if line.startswith("reaped ")] == [str(int(status))]
    assert ended == 0


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
def test_workers_of_dask_send_what_their_tasks_have_left_to_a_thread(run, tmp_path, how):
    """With 08_dask nothing is lost, and Ctrl-C reaches the whole group without a worker's end."""
    need("distributed")
    address = f"tcp://127.0.0.1:{(port := free_port())}"
    words = "--host 127.0.0.1 --no-dashboard"
    scheduler = run(*f"-m distributed.cli.dask_scheduler {words} --port {port}".split())
    wait_until_listening(scheduler, port)
    words += f" --local-directory {tmp_path} --nworkers 2 --nthreads 1 --preload 08_dask"
    running = run(*f"-m distributed.cli.dask_worker {address} {words}".split())
    put = "from distributed import Client; from importlib import import_module as get\n"
    put += f"client = Client({address!r})\n"
    put += f"client.gather(client.map(get('08_dask').greet, {NAMES}))"
    assert run("-c", put).finish()[1] == 0
    assert not sent(running)
    if how == "SIGTERM":
        running.send(signal.SIGTERM)
    else:
        running.send_group(signal.SIGINT)
    assert running.finish()[1] == 0
    assert sent(running) == sorted(NAMES)
    scheduler.send(signal.SIGTERM)
    assert scheduler.finish()[1] == 0


SLOW_TO_LOAD_AND_TO_CLOSE = """
import os
import time
from pathlib import Path

import graceexit

print("loading")
while not Path("loaded").exists():
    time.sleep(0.01)


@graceexit.on_exit
def close():
    time.sleep(0.5)
    print("closed", os.getpid())


def application(environ, start_response):
    start_response("204 No Content", [])
    return []
"""


@pytest.mark.parametrize("moment", ["while it loads", "when it serves"])
def test_uwsgi_lets_every_worker_clean_up_though_all_get_the_signal(program, tmp_path, moment):
    """With 14_uwsgi a worker gets two signals, as by systemd, and neither cuts its items short."""
    need("pyuwsgi")
    (tmp_path / "application.py").write_text(SLOW_TO_LOAD_AND_TO_CLOSE, encoding="utf-8")
    words = f"--processes 2 --http-socket 127.0.0.1:{free_port()} --module application"
    run = ["-c", "import pyuwsgi; pyuwsgi.run()", "--ini", EXAMPLES / "14_uwsgi.ini"]
    running = program(sys.executable, *run, *words.split(), cwd=tmp_path)
    if moment == "when it serves":
        (tmp_path / "loaded").touch()
    # A hook is announced before it runs, so that the one before it has run.
    last_hooks = {"master-start": 1}
    last_hooks |= {"accepting": 2} if moment == "when it serves" else {}

    def are_set():
        """Return whether the signal finds the handlers of the recipe everywhere."""
        text = "\n".join(running.lines)
        return running.lines.count("loading") == 2 and all(
            len(re.findall(rf"unix_signal:2 .*\({when}\)", text)) == count
            for when, count in last_hooks.items()
        )

    assert running.read_until(are_set)
    running.send_group(signal.SIGTERM)
    (tmp_path / "loaded").touch()
    _, status = running.finish()
    text = "\n".join(running.lines)
    workers = re.findall(r"spawned uWSGI worker \d \(pid: (\d+)", text)
    assert sorted(re.findall(r"closed (\d+)", text)) == sorted(workers)
    assert (len(workers), status) == (2, 0)


def test_an_exit_function_of_somebody_else_runs_after_a_scheduler_and_an_exporter(program):
    """The job in progress ends first, then come the items, then exit functions; SIGTERM kills."""
    need("apscheduler", "prometheus_client")
    struck = Path(__file__).with_name("apps")  # there from the beginning
    app = struck / "on_apscheduler.py"
    running = program(sys.executable, app, cwd=struck, env={"STRUCK": str(struck)})
    running.wait_for(re.compile("^requested "))
    running.send(signal.SIGTERM)
    lines, status = running.finish()
    words = ("answered", "stopped", "closed", "exit")
    assert [line.split()[0] for line in lines if line.startswith(words)] == list(words)
    assert status == -signal.SIGTERM


def accepted(running):
    """Return what has been accepted; the signal may come before the line of the last one."""
    found = [re.match(r"accepted (\d+)$", line) for line in running.lines]
    numbers = [int(match[1]) for match in found if match]
    return [numbers, [*numbers, len(numbers)]]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_what_actors_of_ray_have_accepted_is_written(program, tmp_path, signum):
    """With 18_ray the program asks its actors to end before Ray kills them, and waits for it."""
    python = Path(f"{sys.prefix}-heavy/bin/python")
    if not python.exists():
        pytest.skip("Ray is not installed; make test-servers HEAVY=1 installs it")
    running = program(python, "18_ray.py", tmp_path, cwd=EXAMPLES, limit=180)
    running.wait_for("accepted 100")
    running.send(signum)
    running.finish()
    written = [int(line) for name in "ab" for line in (tmp_path / name).read_text().split()]
    assert sorted(written) in accepted(running)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_tasks_that_a_cluster_of_dask_has_accepted_are_done(run, tmp_path, signum):
    """With 19_dask_cluster the tasks are waited for, and each worker writes what they gave it."""
    need("distributed")
    running = run("19_dask_cluster.py", tmp_path)
    running.wait_for("accepted 100")
    if signum == signal.SIGTERM:
        running.send(signum)
    else:
        running.send_group(signum)
    assert running.finish()[1] == -signum
    written = [int(line) for path in tmp_path.iterdir() for line in path.read_text().split()]
    assert sorted(written) in accepted(running)
