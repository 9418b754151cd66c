"""`make soak` in short: signals at random instants."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parent.parent / "tools" / "soak.py"


@pytest.mark.skipif(
    sys.platform == "win32", reason="on Windows no process sends SIGTERM to another"
)
def test_programs_end_with_their_items_run_once_whenever_signals_come(program):
    """A failure prints the seed that replays it."""
    soak = program(sys.executable, SOAK, 200, limit=600)
    lines, status = soak.finish()
    assert lines[-1].startswith("200 rounds from seed "), lines
    assert (lines[-1].endswith(": 0 failures"), status) == (True, 0), "\n".join(lines)
