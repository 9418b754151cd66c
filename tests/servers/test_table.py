"""The tables of the documentation say what a run of every row has found, with these versions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from servers.rows import ROWS
from servers.table import MATRIX, PAGE, RESULTS, split, summary, table

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs/ is not part of this copy")


def test_the_table_is_what_is_made_of_the_committed_results():
    """Nobody has written into it by hand, or changed a row without `make docs-servers`."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    pages = ((PAGE, summary(results)), (MATRIX, table(results)))
    for page, expected in pages:
        _, made, _ = split(page.read_text(encoding="utf-8"))
        assert made == expected


def test_every_cell_has_a_result_of_a_run_that_passed():
    """No row, and no column of one, stands there untried, and no other does."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert {name: set(row["cells"]) for name, row in results.items()} == {
        row.name: set(row.columns) for row in ROWS
    }
    assert all(cell["passed"] for row in results.values() for cell in row["cells"].values())


def test_the_results_are_of_the_versions_that_are_pinned():
    """Whoever changes a version runs the rows with it again."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    pinned = dict(
        re.findall(r'"([\w-]+)==([\w.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    )
    for row in ROWS:
        for name, version in results[row.name]["versions"].items():
            assert row.venv or version == pinned.get(name, version), row.name
