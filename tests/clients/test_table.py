"""The table of `docs/clients.md` says what a run of its rows has found."""

from __future__ import annotations

import json
import re

import pytest
from clients.rows import ROWS
from clients.table import PAGE, RESULTS, split, table

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs/ is not part of this copy")


def test_the_table_is_what_is_made_of_the_committed_results():
    """Nobody has written into it by hand, or changed a row without `make docs-clients`."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert split(PAGE.read_text(encoding="utf-8"))[1] == table(results)


def test_the_page_names_who_is_not_run_together_with_the_others():
    """It says that all others are."""
    page = PAGE.read_text(encoding="utf-8")
    said = re.search(r"All rows but (.*?) are also run together", page, re.DOTALL)[1]
    names = {name.strip("*") for name in re.findall(r"\*[^*]+\*", " ".join(said.split()))}
    assert names == {row.name for row in ROWS if row.alone}


def test_every_row_has_the_result_of_a_run():
    """No row stands there untried, and no other does."""
    assert set(json.loads(RESULTS.read_text(encoding="utf-8"))) == {row.app for row in ROWS}
