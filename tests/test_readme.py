"""The README is short, and says what is true; tests/test_docs.py runs its program."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.exists() else ""
pytestmark = pytest.mark.skipif(not TEXT, reason="the README is not part of this copy")


def test_it_is_read_to_its_end():
    """It has at most 900 words; what is longer has a page of its own."""
    assert len(TEXT.split()) <= 900


def test_the_first_screen_says_on_which_thread_callbacks_run():
    """Whoever closes a sqlite3 connection has to know it before anything else."""
    first = TEXT.partition("\n## ")[0]
    assert "helper thread" in first
    assert "check_same_thread=False" in first


def test_the_commands_are_targets_of_the_makefile():
    """Whoever copies them finds what they do."""
    commands = re.findall(r"^\$ (.+)$", TEXT, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert commands == ["make demo", "make test"]
    assert all(f"\n{command.removeprefix('make ')}: " in makefile for command in commands)


def test_the_line_of_the_log_is_one_that_a_program_of_the_docs_prints():
    """It is a real one: tests/test_docs.py runs that program."""
    (line,) = re.findall(r"^graceexit\[.*", TEXT, re.MULTILINE)
    assert line in (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8").splitlines()


def test_the_figures_are_not_more_than_what_is_there():
    """`make figures` has written them; servers and mutants may have been added since."""
    (servers,) = re.findall(r"real servers in\s(\d+) ways", TEXT)
    (mutants,) = re.findall(r"takes\sout\s(\d+) mechanisms", TEXT)
    rows = json.loads((ROOT / "docs" / "servers.json").read_text(encoding="utf-8"))
    assert int(servers) <= len(rows)
    table = (ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8")
    assert int(mutants) <= len(re.findall(r"(?m)^\[", table))
