"""
The pages say what is true: their programs run, their links lead somewhere, their tests are there.

Each Python block of a page is a whole program. The text block after it, if one follows at once or
after a sentence, is its output; one that begins with "serving" is sent SIGTERM there, and has to
die of it. A last line "status N" says how it ends, as a shell does. A block that begins with
`# test_NAME.py` is given to pytest. docs/rehearsal.md has a test of its own.
"""

from __future__ import annotations

import re
import signal
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from harness import INLINE, NO_THREADS_AT_THE_END
from serving import need

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
PAGES = [
    path
    for path in (
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "benchmarks" / "RESULTS.md",
    )
    if path.exists()
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def programs():
    """Return page, source and output (None without one) of each program of the pages."""
    found = []
    for page, text in TEXTS.items():
        if page == "docs/rehearsal.md" or page.startswith(("benchmarks/", "CONTRIBUTING")):
            continue
        blocks = [(one[2], textwrap.dedent(one[3])) for one in BLOCK.finditer(text)]
        for (kind, source), (next_kind, output) in pairwise([*blocks, ("", "")]):
            if kind == "python":
                found.append((page, source, output if next_kind == "text" else None))
    return found


PROGRAMS = programs()


@pytest.mark.parametrize(
    ("page", "source", "output"),
    PROGRAMS,
    ids=[f"{page}-{number}" for number, (page, *_) in enumerate(PROGRAMS)],
)
def test_a_program_prints_what_the_page_says(program, tmp_path, page, source, output):
    """And it ends as the page says."""
    if NO_THREADS_AT_THE_END and "left behind" in (output or ""):
        pytest.skip(
            "Python 3.12.0 to 3.12.2 start no thread at their end: no item has a timeout then"
        )
    for module in re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE):
        need(module)
    first = source.partition("\n")[0]
    is_test = first.startswith("# test_")
    path = tmp_path / (first.removeprefix("# ") if is_test else "app.py")
    path.write_text(source, encoding="utf-8")
    how = ("-m", "pytest", "-q", "-p", "no:cacheprovider") if is_test else ()
    running = program(sys.executable, *how, path.name if is_test else path, cwd=tmp_path)
    expected = (output or "").splitlines()
    is_served = expected[:1] == ["serving"]
    ends = -signal.SIGTERM if is_served else 0
    if expected and (said := re.fullmatch(r"status (\d+)", expected[-1])):
        ends = status_of(int(said[1]))
        del expected[-1]
    if is_served:
        running.wait_for("serving")
        running.send(signal.SIGTERM)
    _, status = running.finish()
    assert status == ends, "\n".join(running.lines)
    if not is_test:
        printed = [line for line in running.lines if not INLINE.fullmatch(line)]
        assert [shown(line, tmp_path) for line in printed] == expected


def status_of(shown):
    """Return the return code of what a shell shows as a status."""
    return 128 - shown if shown > 128 else shown


def shown(line, folder):
    """Return a line as the pages show it."""
    line = re.sub(r"graceexit\[\d+\]", "graceexit[4711]", line)
    return line.replace(f"{folder.resolve()}/", "/srv/").replace(f"{folder}/", "/srv/")


def test_the_pages_have_programs():
    """None of them is overlooked: a block of another form would not be run."""
    count = sum(
        text.count("```python\n") for page, text in TEXTS.items() if page != "docs/rehearsal.md"
    )
    assert len(PROGRAMS) == count > 0


def slug(heading):
    """Return the anchor of a heading, as GitHub and most generators of sites make it."""
    heading = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def without_blocks(text):
    """Return the text of a page without its blocks of code."""
    return BLOCK.sub("", text)


@pytest.mark.parametrize("page", TEXTS)
def test_a_link_leads_to_what_is_there(page):
    """A file of this project, and a heading in it where the link names one."""
    text = without_blocks(TEXTS[page])
    broken = []
    for link in LINK.findall(text):
        if re.match(r"\w+:", link):  # somebody else's
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        known = TEXTS.get(target.relative_to(ROOT).as_posix()) if target.exists() else None
        if not target.exists() or (
            anchor and anchor not in map(slug, HEADING.findall(without_blocks(known or "")))
        ):
            broken.append(link)
    assert broken == []


def test_every_page_is_linked_from_the_readme_or_from_another_page():
    """Nobody finds a page that is not."""
    linked = {
        ((ROOT / page).parent / link.partition("#")[0]).resolve()
        for page, text in TEXTS.items()
        for link in LINK.findall(without_blocks(text))
    }
    pages = [page for page in PAGES if page.parent == ROOT / "docs"]
    assert [page.name for page in pages if page.resolve() not in linked] == []


GUARANTEES = TEXTS.get("docs/guarantees.md", "")
ROWS = [
    row
    for row in re.findall(r"^\|(.*)\|$", GUARANTEES, re.MULTILINE)
    if not row.endswith((" held by ", "---", "--- "))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.partition("|")[0].strip())
def test_a_guarantee_names_the_tests_that_hold_it(row):
    """Whoever doubts a row finds the test, and it is there."""
    names = re.findall(r"`(test_\w+)`", row.rpartition("|")[2])
    assert names
    sources = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    assert [name for name in names if f"def {name}(" not in sources] == []
