"""docs/timeouts.md says what is true: which limit ends what, and which numbers agree."""

from __future__ import annotations

import configparser
import inspect
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import yaml
from harness import NO_THREADS_AT_THE_END
from servers.driver import APPS, Client, free_port
from serving import need

import graceexit

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
TEXT = (ROOT / "docs" / "timeouts.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in row.split("|")]
    for row in re.findall(r"^\| (.*) \|$", TEXT, re.MULTILINE)
]
MARGIN = 2  # seconds by which a limit has to be longer than the one inside it, as the text says
GUNICORN = "gunicorn -b 127.0.0.1:PORT stuck:wsgi"
GRANIAN = "granian --port PORT --interface wsgi --blocking-threads 1 stuck:wsgi"


@pytest.fixture
def stuck(program):
    """Start the application with the stuck thread; return it once a request has come."""

    def start(command, until, **env):
        module, *words = command.split()
        need(module)
        port = free_port()
        words = [word.replace("PORT", str(port)) for word in words]
        running = program(sys.executable, "-m", module, *words, cwd=APPS, env=env)
        client = Client(port)
        client.start()
        pid = int(running.wait_for(re.compile(f"^{until} ")).split()[1])
        if "wsgi" in words:  # the main thread of a Granian worker waits without a limit there
            running.settle()
        return running, client, pid

    return start


@pytest.mark.parametrize(
    "command", [f"{GUNICORN} --graceful-timeout 3", f"{GRANIAN} --workers-kill-timeout 3"]
)
def test_a_server_kills_a_worker_whose_items_take_longer_than_it_waits(stuck, command):
    """The item behind the stuck one does not run: the sum was larger than the limit."""
    running, client, _ = stuck(command, "answered")
    running.send(signal.SIGTERM)
    lines, _ = running.finish()
    client.join()
    assert [line for line in lines if re.search("^closed|thread 'stuck'", line)] == []


@pytest.mark.parametrize(
    "command", [f"{GUNICORN} --graceful-timeout 20", f"{GRANIAN} --workers-kill-timeout 20"]
)
def test_a_grace_within_what_the_server_waits_lets_everything_run(stuck, command):
    """The stuck item is left behind in time for the next one, and the worker ends by itself."""
    running, client, pid = stuck(command, "answered", GRACEEXIT_GRACE="8")
    running.send(signal.SIGTERM)
    lines, status = running.finish()
    client.join()
    assert [line for line in lines if line.startswith("closed")] == [f"closed {pid}"]
    assert len([line for line in lines if re.search("thread 'stuck' .*left behind", line)]) == 1
    assert status == 0


@pytest.mark.parametrize("how", ["--max-requests 1", "--max-requests 0"], ids=["recycled", "ended"])
def test_gunicorn_measures_a_worker_that_it_replaces_by_its_heartbeat(stuck, how):
    """A worker that goes alone has `timeout` for its clean-up, not `graceful_timeout`."""
    if NO_THREADS_AT_THE_END:
        pytest.skip(
            "Python 3.12.0 to 3.12.2 start no thread at their end: items run on the main thread,"
            " and gunicorn's SIGABRT ends the one that is stuck"
        )
    command = f"{GUNICORN} --timeout 3 --graceful-timeout 100 {how}"
    running, client, pid = stuck(command, "answered")
    if how.endswith("0"):
        os.kill(pid, signal.SIGTERM)
    running.wait_for(re.compile(rf"WORKER TIMEOUT \(pid:{pid}\)"))
    running.wait_for(re.compile(rf"Worker \(pid:{pid}\) was sent SIGKILL"))
    client.join()
    assert f"closed {pid}" not in running.lines


def test_items_begin_when_half_of_the_grace_is_over_though_a_request_goes_on(stuck):
    """The request ends when it sees that they have run: hence twice the longest request."""
    running, client, pid = stuck(GUNICORN, "requested", GRACEEXIT_GRACE="6", WAIT="1", STUCK="0")
    running.send(signal.SIGTERM)
    lines, _ = running.finish()
    client.join()
    said = [line for line in lines if re.match("(closed|answered) ", line)]
    assert said == [f"closed {pid}", f"answered {pid}"]


# A row of the documentation, and the import and the expression that say what the default is.
DEFAULTS = {
    "gunicorn `graceful_timeout`": ("gunicorn.config", "GracefulTimeout.default"),
    "gunicorn `timeout`": ("gunicorn.config", "Timeout.default"),
    "Granian `--workers-kill-timeout`": ("granian", "of(Granian, 'workers_kill_timeout')"),
    "uvicorn `--timeout-graceful-shutdown`": ("uvicorn", "of(Config, 'timeout_graceful_shutdown')"),
    "hypercorn `graceful_timeout`": ("hypercorn.config", "Config.graceful_timeout"),
    "hypercorn `shutdown_timeout`": ("hypercorn.config", "Config.shutdown_timeout"),
    "Celery `worker_soft_shutdown_timeout`": (
        "celery",
        "Celery().conf.worker_soft_shutdown_timeout",
    ),
    "rq, timeout of a job": ("rq", "Queue.DEFAULT_TIMEOUT"),
    "Dask, a nanny that ends": (
        "distributed.cli.dask_worker",
        "0.8 * int(getsource(main.callback).split('n.close(timeout=')[1].split(',')[0])",
    ),
    "Dask, a nanny that goes on": ("distributed", "0.8 * of(Nanny.close, 'timeout')"),
}
ASK = """
from inspect import getsource, signature
from {} import *
def of(function, name):
    return signature(function).parameters[name].default
print({})
"""


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_of_another_project_is_what_that_project_has(program, name):
    """A new version with another default makes the table wrong, and says so here."""
    module, expression = DEFAULTS[name]
    need(module.partition(".")[0])
    asked = program(sys.executable, "-c", ASK.format(module, expression))
    lines, status = asked.finish()
    assert status == 0
    assert as_number(lines[-1]) == as_number(default_of(name))


def test_the_defaults_of_graceexit_are_those_of_the_documentation():
    """The sum is made of them."""
    assert signature_of(graceexit.register, "timeout") == as_number(
        default_of("`timeout` of an item")
    )
    assert f"linger: Seconds ({as_number(default_of('`linger`')):.1f})" in graceexit.install.__doc__
    assert default_of("`grace`") == "none"


def chosen(column):
    """Return the numbers of a column of "How to choose", by their rows."""
    start = next(i for i, row in enumerate(ROWS) if row[:2] == ["limit", "rule"]) + 2
    return {name: int(cells[column]) for name, _, *cells in ROWS[start:] if cells[column]}


@pytest.mark.parametrize("column", [0, 1])
def test_each_of_the_numbers_to_choose_is_longer_than_the_one_inside_it(column):
    """The text's own example keeps the text's rules."""
    number = chosen(column)
    grace, server = number["`grace`"], number["the server's limit"]
    linger = as_number(default_of("`linger`"))
    assert grace >= 2 * number["the longest request"]
    assert grace >= number["the longest request"] + linger + number["`timeout` of each item"]
    assert server >= grace + MARGIN
    assert number.get("gunicorn's `timeout`", server) >= server
    assert number["the outermost"] >= number.get("`preStop`", 0) + server + MARGIN


def test_the_manifest_for_kubernetes_has_these_numbers():
    """What is copied from there agrees with itself."""
    pod, container = manifest()
    number = chosen(0)
    words = [*container["command"], *container["args"]]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    assert float(env["GRACEEXIT_GRACE"]) == number["`grace`"]
    assert option(words, "--workers-kill-timeout") == number["the server's limit"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == number["`preStop`"]
    assert pod["terminationGracePeriodSeconds"] == number["the outermost"]


def test_the_unit_for_systemd_has_these_numbers():
    """What is copied from there agrees with itself."""
    service = unit()
    number = chosen(1)
    words = service["ExecStart"].replace("\\\n", " ").split()
    assert service["Environment"] == f"GRACEEXIT_GRACE={number['`grace`']}"
    assert option(words, "--graceful-timeout") == number["the server's limit"]
    assert option(words, "--timeout") == number["gunicorn's `timeout`"]
    assert int(service["TimeoutStopSec"]) == number["the outermost"]
    assert service["KillMode"] == "mixed"


def manifest():
    """Return the pod of the example, and its container."""
    text = (EXAMPLES / "11_kubernetes.yaml").read_text(encoding="utf-8")
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    return pod, pod["containers"][0]


def unit():
    """Return the section of the example that says how the service is run."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(EXAMPLES / "12_graceexit.service", encoding="utf-8")
    return parser["Service"]


def option(words, name):
    """Return the number that follows an option."""
    return int(words[words.index(name) + 1])


def default_of(name):
    """Return the second cell of the row that begins with *name*."""
    return next(row[1] for row in ROWS if row[0] == name)


def as_number(text):
    """Return seconds as a number, None for no limit."""
    return None if text in {"none", "None"} else float(text.removesuffix(" s"))


def signature_of(function, parameter):
    """Return the default of a parameter."""
    return inspect.signature(function).parameters[parameter].default
