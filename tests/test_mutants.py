"""`make mutants` in short: what it needs is there."""

from __future__ import annotations

import sys
from pathlib import Path

MUTANTS = Path(__file__).parent.parent / "tools" / "mutants.py"


def test_every_mutant_still_applies_and_the_test_that_must_fail_is_there(program):
    """Who changes a mechanism or renames a test mends the entry that takes it out."""
    check = program(sys.executable, MUTANTS, "--check")
    assert check.finish() == ([], 0)
