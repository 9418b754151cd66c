"""
What docs/training.md says of models that are served, of applications and of notebooks.

`make test-training` has what they need; elsewhere the tests are skipped by name.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from signal import SIGINT, SIGTERM

import pytest
from harness import UNMEASURED
from servers.driver import free_port
from serving import connect, need

SCENARIOS = Path(__file__).parent / "scenarios"
BIN = Path(sys.executable).parent
SERVERS = {
    "uvicorn": "uvicorn inference:app --port PORT",
    "uvicorn --workers 2": "uvicorn inference:app --port PORT --workers 2",
    "granian": "granian --interface asgi --port PORT inference:app",
    "gunicorn": "gunicorn -k asgi -b 127.0.0.1:PORT inference:app",
}


def asked(program, server, env=None):
    """Start a server, ask it for something, and wait until its model is at work on it."""
    port = free_port()
    name, *words = SERVERS[server].replace("PORT", str(port)).split()
    running = program(BIN / name, *words, env=env, cwd=SCENARIOS)
    connection = connect(running, port)
    connection.request("GET", "/21")
    models = 2 if "--workers 2" in server else 1
    assert running.read_until(
        lambda: "asked" in running.lines and len(pids(running, "model")) == models
    )
    return running, connection


def pids(running, word):
    """Return which models have said *word*."""
    return sorted(line.split()[1] for line in running.lines if line.startswith(f"{word} "))


@pytest.mark.parametrize("to", ["the server", "the group"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_model_process_answers_what_it_has_and_then_ends(program, server, to):
    """Also where it gets the signal itself, as after Ctrl-C or from systemd."""
    need("fastapi", server.split()[0])
    running, connection = asked(program, server)
    (running.send if to == "the server" else running.send_group)(SIGTERM)
    assert connection.getresponse().read() == b"42"
    connection.close()
    _, status = running.finish()
    assert pids(running, "freed") == pids(running, "model")
    assert status == (-SIGTERM if server == "uvicorn" else 0)


def test_a_model_process_that_nobody_registers_is_left_behind(program):
    """Uvicorn dies of the signal, and nothing tells the model."""
    need("fastapi", "uvicorn")
    running, connection = asked(program, "uvicorn", {"PLAIN": "1"})
    running.send(SIGTERM)
    assert connection.getresponse().read() == b"42"
    connection.close()
    _, status = running.finish(orphans=True)
    assert (pids(running, "freed"), status) == ([], -SIGTERM)
    assert {int(pid) for pid in pids(running, "model")} <= set(running.members())


def said(path):
    """Return the lines that an application has written."""
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("signum", [SIGTERM, SIGINT])
@pytest.mark.parametrize("cached", [False, True])
def test_streamlit_registers_at_each_run_of_its_script(program, tmp_path, cached, signum):
    """Once, if `cache_resource` is around it; Streamlit itself ends at the signal."""
    need("streamlit")
    port = free_port()
    words = ("--server.headless=true", "--browser.gatherUsageStats=false")
    env = {"SAID": str(tmp_path / "said"), "CACHED": "1" if cached else None}
    app = SCENARIOS / "streamlit_app.py"
    running = program(
        BIN / "streamlit", "run", app, f"--server.port={port}", *words, env=env, cwd=tmp_path
    )
    visit = program(sys.executable, SCENARIOS / "visits.py", "streamlit", port)
    visit.wait_for("visited")
    running.send(signum)
    _, status = running.finish()
    times = 1 if cached else 2
    assert said(tmp_path / "said") == ["ran"] * 2 + ["stopped"] * times + ["closed"] * times
    # The script runs on a thread, so that graceexit has no handler, and says so.
    assert any("no handler could be set" in line for line in running.lines)
    assert status == 0


@pytest.mark.parametrize(
    ("signum", "how", "lines"),
    [
        (SIGTERM, "plain", ["stopped", "closed"]),
        (SIGTERM, "drain", ["answers", "stopped", "closed"]),
        (SIGINT, "plain", ["answers", "stopped", "closed"]),
    ],
)
def test_gradio_answers_what_it_has_if_its_server_is_closed_first(scenario, signum, how, lines):
    """It closes it itself at Ctrl-C, and at SIGTERM nobody does."""
    need("gradio")
    port = free_port()
    running = scenario("gradio_app", port, how, env={"GRADIO_ANALYTICS_ENABLED": "0"})
    visit = scenario("visits", "gradio", port)
    visit.wait_for("gets ...")
    running.send(signum)
    printed, status = running.finish()
    assert [line for line in printed if line in {"answers", "stopped", "closed"}] == lines
    assert status == (-SIGTERM if signum == SIGTERM else 0)
    if "answers" in lines:
        assert visit.finish() == (["gets HELLO"], 0)


@pytest.mark.parametrize("signum", [SIGTERM, SIGINT])
@pytest.mark.parametrize("command", ["run", "edit"])
def test_a_notebook_of_marimo_runs_its_items_where_it_is_an_application(
    program, tmp_path, command, signum
):
    """The kernel of its editor ends by `os._exit`."""
    need("marimo")
    for name in ("marimo_app", "owner"):
        shutil.copy(SCENARIOS / f"{name}.py", tmp_path)
    port, file = free_port(), tmp_path / "said"
    running = program(
        *(BIN / "marimo", command, "marimo_app.py", "--headless", "--no-token"),
        *("--host=127.0.0.1", f"--port={port}"),
        *(["--skip-update-check"] if command == "edit" else []),
        env={"SAID": str(file)},
        cwd=tmp_path,
    )
    program(sys.executable, SCENARIOS / "visits.py", command, port)
    assert running.read_until(lambda: "ran" in said(file))
    running.send(signum)
    _, status = running.finish()
    items = ["stopped", "closed"] if command == "run" else []
    # What names a variable of a cell may fail: marimo takes the variables away meanwhile.
    assert [line for line in said(file) if line != "perhaps"] == ["ran", *items]
    assert status == (-SIGTERM if signum == SIGTERM else 0)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("again", ["closed", "closed"]),
        ("kept", ["closed"]),
        ("running", ["unwound", "closed", "status -15"]),
        ("held", ["saved", "closed", "status -15"]),
    ],
)
def test_cells_of_a_notebook(scenario, how, expected):
    """A cell that is run again registers again; SIGTERM unwinds the one that runs."""
    need("ipykernel")
    lines, status = scenario("cells", how, env=UNMEASURED).finish()
    known = {"closed", "unwound", "saved", "not run"}
    assert [line for line in lines if line in known or line.startswith("status")] == expected
    assert status == 0


CELL = """
import os, time
import graceexit

def say(text):
    with open(os.environ["SAID"], "a") as file:
        print(text, file=file)

graceexit.on_exit(lambda: say("closed"))
say("ran")
while True:
    time.sleep(0.01)
"""


@pytest.mark.parametrize(("signum", "items"), [(SIGTERM, []), (SIGINT, ["closed"])])
def test_nbconvert_ends_its_kernel_at_ctrl_c_alone(program, tmp_path, signum, items):
    """At SIGTERM it dies, and the kernel ends by `os._exit` when it sees that."""
    need("nbconvert", "ipykernel")
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python"}
    nbformat.write(book, tmp_path / "book.ipynb")
    running = program(
        *(sys.executable, "-m", "nbconvert", "--to=notebook", "--execute", "book.ipynb"),
        "--output=out.ipynb",
        env={"SAID": str(tmp_path / "said")},
        cwd=tmp_path,
    )
    assert running.read_until(lambda: "ran" in said(tmp_path / "said"))
    running.send(signum)
    _, status = running.finish(orphans=True)
    assert status == -signum
    running.finish()  # the kernel too, which looks after its parent every few seconds
    assert said(tmp_path / "said") == ["ran", *items]
