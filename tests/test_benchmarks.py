"""The benchmarks run, whatever the numbers are, and their page shows what was measured."""

from __future__ import annotations

import json
import re
import signal
import sys
import uuid
from pathlib import Path

import pytest
from harness import MARK, UNMEASURED, marked

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
# What needs no server and no other package.
PURE = ["import", "register", "memory", "steps", "run", "threads", "lateness", "sigterm", "rest"]


@pytest.mark.parametrize("name", PURE)
def test_a_row_gives_numbers_and_says_whether_they_are_reached(program, tmp_path, name):
    """Each row measures graceexit and what is beside it, or says why something cannot."""
    options = ("--quick", "--rounds", 1, "--only", name, "--output", tmp_path)
    bench = program(sys.executable, BENCHMARKS / "bench.py", *options, env=UNMEASURED)
    lines, status = bench.finish()
    assert status == 0, "\n".join(lines)
    row = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"][name]
    if row["cannot"].get("graceexit") == "there is no /proc":
        pytest.skip("this system has no /proc, by which processes are found")
    assert "graceexit" in row["series"]
    assert len(row["series"]) + len(row["cannot"]) > 1
    samples = [one for series in row["series"].values() for one in series.values()]
    assert all(samples)
    assert row["figures"]
    for figure in row["figures"]:
        assert isinstance(figure["value"], (int, float))
        assert figure["reached"] in (True, False)
        assert any(line.startswith(f"| {figure['what']} ") for line in lines)


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(),
    reason="this system has no /proc, by which processes are found",
)
@pytest.mark.parametrize("name", ["run", "rest"])
def test_ctrl_c_ends_the_benchmarks_and_what_they_measure(program, tmp_path, name):
    """No process is left, and nothing is written."""
    mark = uuid.uuid4().hex
    options = ("--only", name, "--output", tmp_path)
    bench = program(
        sys.executable, BENCHMARKS / "bench.py", *options, env=UNMEASURED | {MARK: mark}
    )
    bench.wait_for(f"1/1 {name}")
    while len(marked(mark)) < 2:  # what is measured has begun
        bench.check()
    bench.send(signal.SIGINT)
    assert bench.finish() == ([], 130)
    assert marked(mark) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    not (BENCHMARKS / "results.json").exists(),
    reason="benchmarks/results.json is not there: `make bench` has not run",
)
def test_the_page_shows_the_numbers_that_were_measured(program):
    """The tables are what benchmarks/report.py makes of results.json, and every plot is there."""
    check = program(sys.executable, BENCHMARKS / "report.py", "--check", env=UNMEASURED)
    assert check.finish() == (["as results.json says"], 0)
    docs = BENCHMARKS.parent / "docs"
    page = (docs / "benchmarks.md").read_text(encoding="utf-8")
    plots = re.findall(r"!\[.*?\]\((../benchmarks/plots/.*?)\)", page)
    assert plots
    assert [plot for plot in plots if not (docs / plot).exists()] == []
