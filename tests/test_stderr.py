"""Nothing is written where it does not belong: descriptor 2 may be somebody's file."""

from __future__ import annotations

import signal
import sys

import pytest
from harness import NO_THREADS_AT_THE_END, WITHOUT_GIL
from wording import own

SIGTERM = signal.SIGTERM

PROGRAM = """
import os, re, sys, time
import graceexit

data = os.open("data", os.O_CREAT | os.O_WRONLY)
os.write(data, b"precious\\n")
{what}
print(data, "ready", flush=True)
while len(sys.argv) > 1:
    time.sleep(0.01)
"""
SAYS = {
    "a callback that fails": "graceexit.on_exit(lambda: 1 / 0)",
    "an item that overruns": "graceexit.on_exit(lambda: time.sleep(3600), timeout=0.2)",
    "a thread that is cut off": (
        "import threading; graceexit.install(linger=0.2); graceexit.on_exit(print);"
        " threading.Thread(target=time.sleep, args=[3600]).start()"
    ),
}


@pytest.fixture
def without_stderr(program, tmp_path):
    """Start a program as a daemon is started: its descriptor 2 is closed."""

    def start(source, *args):
        path = tmp_path / "script.py"
        path.write_text(source)
        command = 'exec "$@" 2>&-'
        env = {"PYTHONFAULTHANDLER": None, "PYTHONPATH": None}  # they would need it
        return program(
            *("sh", "-c", command, "sh", sys.executable, path, *args), env=env, cwd=tmp_path
        )

    return start


@pytest.mark.field(kind="a file that is descriptor 2")
@pytest.mark.parametrize("what", SAYS)
def test_a_file_that_is_descriptor_2_stays_as_it_is(without_stderr, tmp_path, what):
    """`sys.stderr` is None in such a process; what nobody takes is said to nobody."""
    if NO_THREADS_AT_THE_END and "overruns" in what:
        pytest.skip("Python 3.12.0 to 3.12.2 start no thread at their end: no item is left behind")
    worker = without_stderr(PROGRAM.format(what=SAYS[what]), "waits")
    _, status = worker.end_by(SIGTERM, after="2 ready")
    assert (tmp_path / "data").read_text() == "precious\n"
    assert status == -SIGTERM


@pytest.mark.field(kind="a file that is descriptor 2")
def test_the_last_resort_prints_nothing_into_it(without_stderr, tmp_path):
    """It ends the process all the same."""
    what = "graceexit.install(grace=1)"
    ready = 'print(data, "ready", flush=True)'
    source = PROGRAM.format(what=what).replace(f"{ready}\n", "")
    source = source.replace("while len(sys.argv) > 1:\n    time.sleep(0.01)\n", "")
    source += f"try:\n    {ready}\n    while True:\n        time.sleep(0.01)\n"
    source += 'finally:\n    re.match("(a+)+b", "a" * 60)\n'
    worker = without_stderr(source, "waits")
    _, status = worker.end_by(SIGTERM, after="2 ready")
    assert (tmp_path / "data").read_text() == "precious\n"
    assert status == 1 or (WITHOUT_GIL and status == -SIGTERM)


def test_a_line_goes_where_stderr_goes_now(script, tmp_path):
    """As Python's own tracebacks do, if nobody takes it from the log."""
    worker = script("""
        import sys
        import graceexit

        sys.stderr = open("errors", "w")
        graceexit.on_exit(lambda: 1 / 0)
    """)
    lines, status = worker.finish()
    assert (own(lines), status) == ([], 0)
    assert lines == []
    assert "ZeroDivisionError" in (tmp_path / "errors").read_text()
