"""Real servers: their workers end as without graceexit, and the items run once in each."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

import pytest
from servers.driver import Run, compare, known_of, measure, ours_in, python_of
from servers.rows import ROWS


def pytest_generate_tests(metafunc):
    """Take every cell of the table, or the chosen ones that `make test` has time for."""
    if "column" in metafunc.fixturenames:
        every = metafunc.config.getoption("every_server", False)
        cells = [
            pytest.param(row, column, id=f"{row.name}-{column}")
            for row in ROWS
            for column in (row.columns if every else row.short)
        ]
        metafunc.parametrize(("row", "column"), cells)


def test_the_items_run_once_in_every_worker_after_its_request_has_ended(
    program, tmp_path, record_property, row, column
):
    """
    Whatever ends a worker, its items run once and after its request, and nothing else changes.

    What is known to be otherwise stands in the row, with the reason, and has to be found.
    """
    found = versions(row)
    run, plain = (
        measure(row, column, program, tmp_path / f"plain={plain}", plain=plain)
        for plain in (False, True)
    )
    wrong = compare(run, plain)
    known = row.faults.get(column)
    record_property("cell", [row.name, column, found, {**run.summary(), "wrong": sorted(wrong)}])
    expected = known_of(row, column)
    if set(wrong) != expected and not (known and known.sometimes and set(wrong) < expected):
        print("With graceexit:", *run.lines, "Without it:", *plain.lines, sep="\n")
        assert wrong == dict.fromkeys(expected)
    if "answer" in wrong and run.finished and not known.sometimes:
        assert run.answer != "none"  # what is better than without graceexit may still lose it


def test_no_row_excuses_what_hangs_in_graceexit(script):
    """A server may be known to hang; where graceexit is in the stack it is not the server."""
    running = script("""
        import time
        import graceexit

        @graceexit.on_exit(timeout=None)
        def close():
            print("closing")
            while True:
                time.sleep(60)
    """)
    running.wait_for("closing")
    running.dump()
    run = Run(gone=False, ours=ours_in(running.lines))
    assert compare(run, Run()).keys() == {"hangs", "ours"}
    assert compare(Run(gone=False, ours=ours_in(["closing"])), Run()).keys() == {"hangs"}


def versions(row):
    """Return the version of each distribution that *row* needs; skip where one is missing."""
    place = Path(python_of(row)).parent.parent
    path = [str(one) for one in place.glob("lib/python*/site-packages")]
    installed = {one.metadata["Name"].lower(): one.version for one in distributions(path=path)}
    missing = [name for name in row.needs if name not in installed]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed in {place}")
    return {name: installed[name] for name in row.needs}
