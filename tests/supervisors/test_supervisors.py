"""
What stands above a program sends what docs/supervisors.md says, and the items run or do not.

`make test-supervisors` runs every row, `make test` the service of some.
"""

from __future__ import annotations

import json
import platform
import sys
import time

import pytest
from supervisors.driver import served, version_of, witnessed
from supervisors.rows import ROWS
from supervisors.table import BEGIN, PAGE, RESULTS, table
from tables import split

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals are followed in /proc")

LONG = 6.0  # seconds of an item that takes longer than whoever is told to wait for 2 s or 3 s


ELSEWHERE = pytest.mark.skip(reason="`make test-supervisors` runs it, for it takes its time")


def pytest_generate_tests(metafunc):
    """Take every row, or the chosen ones that `make test` has time for."""
    if "row" in metafunc.fixturenames:
        rows = ROWS if metafunc.config.getoption("every_supervisor", None) else []
        if not rows and "every" not in metafunc.fixturenames:
            rows = [row for row in ROWS if row.short]
        cases = [pytest.param(row, id=row.name) for row in rows]
        metafunc.parametrize("row", cases or [pytest.param(None, marks=ELSEWHERE, id="-")])


@pytest.fixture
def every():
    """Have a test run by `make test-supervisors` alone, for it takes its time."""


def test_its_items_run(program, tmp_path, row):
    """Whoever is told to stop runs them; what does not tell anybody is said to be so."""
    version_of(row)
    # Whoever has hardly any patience by default gets more: the machine may be busy.
    hasty = row.after is not None and row.after < 2
    said = served(row, program, tmp_path, signals=row.signals, limited=hasty)
    asked = row.gets[0] if row.runs else None
    assert said == (["stopped", f"closing {asked}", "closed"] if row.runs else [])


def test_who_gets_what_and_who_is_killed(program, tmp_path, record_property, row, every):
    """The program, its process group and its other children are told and killed as the row says."""
    version = version_of(row)
    found = witnessed(row, program, tmp_path)
    about = {"version": version, "python": platform.python_version(), "date": time.strftime("%F")}
    record_property("supervisor", [row.name, {**found, **about}])
    assert tuple(found["gets"]) == row.gets
    assert {*row.kills} <= {*found["kills"]} <= {*row.kills, *row.perhaps}
    assert row.after is None or found["after"] >= row.after - 0.1


def test_an_item_that_takes_longer_is_cut(program, tmp_path, row, every):
    """A program is killed in the middle of it, or has all the time, as the row says."""
    version_of(row)
    said = served(row, program, tmp_path, signals=row.signals, seconds=LONG, limited=True)
    asked = ["stopped", f"closing {row.gets[0]}"] if row.runs else []
    assert said == [*asked, *(["closed"] if row.runs and "process" not in row.kills else [])]


def test_nothing_runs_where_the_signal_is_not_asked_for(program, tmp_path, row, every):
    """What `install(signals=...)` is written for: the signal kills a program that has not."""
    if not row.signals:
        pytest.skip("graceexit handles what this one sends without signals=...")
    version_of(row)
    assert served(row, program, tmp_path) == []


def test_the_table_is_what_is_made_of_the_committed_results():
    """Nobody has written into it by hand, or changed a row without running it."""
    if not PAGE.exists():
        pytest.skip("docs/ is not part of this copy")
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert results.keys() == {row.name for row in ROWS}
    for row in ROWS:
        found = results[row.name]
        assert tuple(found["gets"]) == row.gets
        assert {*row.kills} <= {*found["kills"]} <= {*row.kills, *row.perhaps}
    _, made, _ = split(PAGE.read_text(encoding="utf-8"), BEGIN)
    assert made == table(results)
