"""
What children of multiprocessing write with other people's libraries is readable after terminate().

Such a library crashes, refuses or waits for ever if it is closed while a call into it goes on: the
main thread of a child, and of a pool's worker, unwinds before its items run. `make test-clients`
has these libraries; elsewhere the tests are skipped by name.
"""

from __future__ import annotations

import signal

import pytest
from serving import need

ROUNDS = 20
SAID = {"process": [], "executor": ["BrokenProcessPool"], "pool": []}


@pytest.mark.parametrize("how", SAID)
@pytest.mark.parametrize("library", ["pyarrow", "lmdb", "duckdb", "h5py"])
def test_a_file_is_readable_after_terminate(scenario, tmp_path, library, how):
    """Each time: a process of its own, the worker of an executor, and that of a pool."""
    need(library)
    expected = [str(-signal.SIGTERM), *SAID[how]]
    lines, status = scenario("writes", library, how, tmp_path, limit=300).finish()
    # Some raise errors of their own where the program unwinds, which Python prints.
    assert [line for line in lines if line in expected] == expected * ROUNDS, lines
    assert [line for line in lines if line.startswith("graceexit")] == []
    assert status == 0
    assert scenario("writes", library, "reads", tmp_path).finish() == (["whole"] * ROUNDS, 0)
