"""The harness: what it reads, what it reports, and that it leaves nothing behind."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import harness
import pytest


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_program_that_dies_of_a_signal_is_told_by_its_lines_and_its_status(scenario, signum):
    """`finish` returns the lines since the last `wait_for`, of both streams, and the signal."""
    worker = scenario("harness_signal")
    assert worker.wait_for("ready") == "ready"
    worker.send(signum)
    assert worker.finish() == ([f"out {signum.name}", f"err {signum.name}", "no newline"], -signum)
    assert worker.lines[:2] == ["first", "ready"]


def test_a_signal_to_the_group_reaches_the_program_and_not_the_test(scenario):
    """Every program leads a process group of its own."""
    worker = scenario("harness_signal")
    worker.wait_for(re.compile("^rea"))
    worker.send_group(signal.SIGTERM)
    assert worker.finish()[1] == -signal.SIGTERM


def test_a_program_that_ends_by_itself_returns_all_its_lines_and_its_exit_status(program):
    """Without a `wait_for`, `finish` returns everything."""
    worker = program(sys.executable, "-c", "print(1); print(2); raise SystemExit(7)")
    assert worker.finish() == (["1", "2"], 7)


def test_a_line_that_never_comes_fails_the_test_with_the_output(program):
    """A program that ends before the awaited line fails the test at once, not at the limit."""
    worker = program(sys.executable, "-c", "print('something else')")
    with pytest.raises(pytest.fail.Exception, match=r"(?s)not printed 'ready'.*something else"):
        worker.wait_for("ready")


def test_a_hang_is_reported_with_the_stacks_of_every_process(scenario):
    """At the limit every process of the session prints where it is, and is gone."""
    worker = scenario("harness_hang")
    worker.wait_for("ready")
    worker.wait_for("ready")
    worker.deadline = 0
    with pytest.raises(pytest.fail.Exception, match="did not end") as failure:
        worker.finish()
    assert str(failure.value).count("in stuck_here") == 2
    assert not worker.members()


@pytest.mark.parametrize("stdout", ["closed", "kept"])
def test_a_process_left_behind_fails_the_test(scenario, stdout, monkeypatch):
    """An orphan is found whether or not it holds the program's output."""
    monkeypatch.setattr(harness, "ORPHANS", 0.1)
    worker = scenario("harness_orphan", stdout)
    with pytest.raises(pytest.fail.Exception, match=r"left behind .*harness_orphan"):
        worker.finish()
    assert not worker.members()


@pytest.mark.parametrize("stdout", ["closed", "kept"])
def test_orphans_are_let_live_when_the_test_says_so_and_killed_after_it(scenario, stdout):
    """`finish(orphans=True)` waits for the program alone; `close` ends the rest."""
    worker = scenario("harness_orphan", stdout)
    assert worker.finish(orphans=True) == (["the parent ends"], 3)
    assert len(worker.members()) == 1
    worker.close()
    assert not worker.members()


def test_the_environment_of_a_program_is_not_the_one_of_the_tests(program, monkeypatch):
    """PYTHON* and GRACEEXIT_* of whoever runs the tests do not reach a program."""
    monkeypatch.setenv("GRACEEXIT_GRACE", "1")
    monkeypatch.setenv("PYTHONSTARTUP", "no.py")
    show = "import os; print(*sorted(k for k in os.environ if k[:6] in ('PYTHON', 'GRACEE')))"
    worker = program(sys.executable, "-c", show, env={"PYTHONUNBUFFERED": None})
    assert worker.finish()[0] == ["PYTHONFAULTHANDLER PYTHONPATH"]


def test_no_scenario_takes_the_name_of_another_module():
    """A scenario's folder comes first on its path: `signal.py` there would be everyone's."""
    names = {path.stem for path in (Path(harness.__file__).parent / "scenarios").glob("*.py")}
    assert not names & sys.stdlib_module_names
