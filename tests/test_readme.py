"""The README says what is true: its programs run, and its table names tests that are there."""

import re
import signal
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
README = TESTS.parent / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.exists() else ""
PROGRAMS = re.findall(r"```python\n(.*?)```\n.*?```text\n(.*?)```", TEXT, re.DOTALL)
WHAT_HAPPENS = TEXT.partition("\n## What happens when")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\|(?! the end | ---)(.*)\|$", WHAT_HAPPENS, re.MULTILINE)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_prints_what_the_readme_says(program, tmp_path, number):
    """Each Python block is a whole program, and the text block after it is its output."""
    source, output = PROGRAMS[number]
    path = tmp_path / "program.py"
    path.write_text(source, encoding="utf-8")
    running = program(sys.executable, path)
    if "while True" in source:
        running.wait_for("serving")
        running.send(signal.SIGTERM)
    _, status = running.finish()
    assert running.lines[: len(output.splitlines())] == output.splitlines()
    assert status == (-signal.SIGTERM if "while True" in source else 0)


def test_every_python_block_has_its_output_in_the_readme():
    """No program of the README goes without a check."""
    assert len(PROGRAMS) == TEXT.count("```python\n") == 3


def test_the_commands_are_targets_of_the_makefile():
    """Whoever copies them finds what they do."""
    commands = re.findall(r"^\$ (.+)$", TEXT, re.MULTILINE)
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    assert commands == ["make demo", "make test"]
    assert all(f"\n{command.removeprefix('make ')}: " in makefile for command in commands)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[0].strip())
def test_a_row_of_the_table_names_the_test_that_holds_it(row):
    """Whoever doubts a row of "What happens when..." finds the test, and it is there."""
    names = re.findall(r"`(test_\w+)`", row.rpartition("|")[2])
    assert names
    sources = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    assert [name for name in names if f"def {name}(" not in sources] == []
