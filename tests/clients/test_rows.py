"""Real clients and real servers: what was accepted arrives, whatever ends the process."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

import pytest
from clients.driver import ENDINGS, STATUS, measure, versions_of
from clients.rows import ROWS
from harness import steps

# What `make test-clients` sets: run every row, and write what was found there.
RESULTS = os.environ.get("RESULTS_OF_CLIENTS")
CHOSEN = [row for row in ROWS if row.short or RESULTS]
PLAIN = ENDINGS if RESULTS else ["term"]  # some hang at the other ends, and that takes its time

pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated")  # by kafka-python


@pytest.mark.parametrize("row", CHOSEN, ids=lambda row: row.app)
def test_every_item_arrives_with_the_line(program, tmp_path, row):
    """However the process ends: the items arrive, the client is closed once, the status stays."""
    versions = versions_of(row)
    lost, done = {}, ["done"] * len(row.write.splitlines())
    for ending in ENDINGS:
        run = measure(row, ending, program, tmp_path / ending, plain=False)
        assert set(run.arrived) == {f"item-{n}." for n in range(row.items)}, run.lines
        assert (run.ran, run.said, run.status) == (done, [], STATUS[ending]), run.lines
        # Python shows the KeyboardInterrupt; else nobody has anything to say.
        assert ending == "ctrl_c" or steps(run.lines) == ["ready"]
    for ending in PLAIN:
        plain = measure(row, ending, program, tmp_path / f"plain-{ending}", plain=True)
        assert (plain.ran, plain.said) == ([], [])
        lost[ending] = {
            "arrived": len(set(plain.arrived)),
            "hangs": plain.status is None,
            "left": plain.left,
        }
    # Else nothing has been shown.
    assert any(one["hangs"] or one["arrived"] < row.items for one in lost.values())
    if RESULTS:
        found = {
            "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "versions": versions,
            "without": lost,
        }
        folder = Path(RESULTS)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row.app}.json").write_text(json.dumps(found), encoding="utf-8")
