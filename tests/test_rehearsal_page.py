"""docs/rehearsal.md says what is true: its commands print what it shows, its check is a check."""

from __future__ import annotations

import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from servers.driver import free_port
from serving import need

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "rehearsal.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
OPTIONS = re.compile(r"--[a-z-]+")


def tool():
    """Return tools/rehearsals.py as a module."""
    spec = importlib.util.spec_from_file_location("rehearsals", ROOT / "tools" / "rehearsals.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gist(output):
    """Return what does not change from run to run: no numbers, no bars, nothing that came late."""
    lines = [re.sub(r"\d+(?:\.\d+)?", "N", line) for line in output.splitlines()]
    lines = [re.sub(r" [ =X#!.~]{2,}", "  ", line) for line in lines]
    return [line for line in lines if not line.startswith(("SIGTERM to", "sent later"))]


@pytest.mark.skipif(
    sys.platform != "linux", reason="a rehearsal sees the tree of processes on Linux alone"
)
def test_a_command_prints_what_the_page_shows(tmp_path):
    """`make docs-rehearsal` has written it, and a run of today says the same."""
    need("gunicorn")
    rehearsals = tool()
    printed, shown = [], []
    for kind, text in rehearsals.BLOCK.findall(TEXT):
        if kind == "python":
            rehearsals.write(text, tmp_path)
        elif kind == "console":
            printed.append(gist(rehearsals.run(text, tmp_path)))
        else:
            shown.append(gist(text))
    assert printed == shown
    assert len(shown) == 2


@pytest.mark.skipif(
    sys.platform != "linux", reason="a rehearsal sees the tree of processes on Linux alone"
)
def test_the_test_of_the_page_is_one(program, tmp_path):
    """It passes with the service that the page mends, and fails with the first one."""
    need("gunicorn")
    forgetful, mended, test = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    gunicorn = 'sys.executable, "-m", "gunicorn"'
    test = test.replace("8000", str(free_port())).replace('"gunicorn"', gunicorn)
    (tmp_path / "test_shutdown.py").write_text(test.replace('"25"', '"4"'), encoding="utf-8")
    for service, status in ((mended, 0), (forgetful, 1)):
        # Of a client that is just connecting as the worker ends gunicorn drops the request. So
        # that all are waiting when the signal comes, a second after they have begun:
        longer = service.replace("time.sleep(0.2)", "time.sleep(0.7)")
        (tmp_path / "web.py").write_text(longer, encoding="utf-8")
        words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shutdown.py")
        run = program(sys.executable, *words, cwd=tmp_path)
        _, ended = run.finish()
        assert ended == status, "\n".join(run.lines)


def test_every_option_of_the_page_is_one(program):
    """And what it says about a limit that is left out is what the help says."""
    run = program(sys.executable, "-m", "graceexit", "rehearse", "--help")
    lines, _ = run.finish()
    known = set(OPTIONS.findall("\n".join(lines)))
    written = {
        option
        for line in re.findall(r"`(--[^`]+)`", TEXT)
        + re.findall(r"graceexit rehearse (.*?) -- ", TEXT)
        for option in OPTIONS.findall(line)
    }
    assert written <= known | {"--threads", "--timeout"}
    assert {"--url", "--until", "--after", "--ready-within", "--to", "--again", "--json"} <= written


def test_the_picture_of_the_page_is_there():
    """It is a picture of the run that the page shows."""
    picture = ET.parse(ROOT / "docs" / "rehearsal.svg").getroot()  # noqa: S314 - it is our own
    words = [one.text for one in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0].startswith("$ gunicorn")
    assert words[-1] == "No item, request or process was lost."
