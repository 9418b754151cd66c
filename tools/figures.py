"""
Write the figures of README.md: what the demo has counted, and how much is tested.

python tools/figures.py DEMO

DEMO is a file with what `make demo` has printed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- `make figures` writes what follows -->\n", "<!-- figures end -->"
PLACE = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={END})", re.DOTALL)
ROW = re.compile(r"^\((\w)\) .*?(\d+) +(\d+) +(\d+) +[\d.]+ to [\d.]+ +(\d+)$", re.MULTILINE)


def demo(text: str) -> str:
    """Say what was lost and what was killed."""
    rows = {name: [int(one) for one in rest] for name, *rest in ROW.findall(text)}
    accepted, _, lost, killed = rows["a"]
    return (
        f"`make demo` restarts Granian five times under load: {lost} of {accepted:,} messages lost,"
        f" {killed} processes killed. With `atexit` and a daemon thread {rows['b'][2]:,} messages"
        f" were lost; with an ordinary thread {rows['c'][3]} processes had to be killed."
    )


def counts() -> dict[str, int]:
    """Return how much there is of what is tested."""
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True, check=True)
    (tests,) = re.findall(r"^(\d+) tests collected", found.stdout, re.MULTILINE)
    return {
        "tests": int(tests) // 100 * 100,
        "servers": len(json.loads((ROOT / "docs" / "servers.json").read_text("utf-8"))),
        "mutants": len(
            re.findall(r"(?m)^\[", (ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
        ),
    }


def tested(counts: dict[str, int], pythons: list[str]) -> str:
    """Say how much is tested."""
    return (
        f"More than {counts['tests']:,} tests run on CPython {pythons[0]} to {pythons[-1]};"
        f" others start real servers in {counts['servers']} ways. `make mutants` takes out"
        f" {counts['mutants']} mechanisms, one at a time, and a test has to fail."
    )


def pythons() -> list[str]:
    """Return the minor versions of the Pythons that `make test-all` takes."""
    listed = [sys.executable, ROOT / "tools" / "pythons.py"]
    paths = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    return [subprocess.check_output([path, "-c", ask], text=True).strip() for path in paths]


def main() -> None:
    """Put both sentences between the markers."""
    text = Path(sys.argv[1]).read_text("utf-8")
    said = [demo(text), tested(counts(), pythons())]
    whole = [one.replace("`make ", "`make\xa0") for one in said]  # no line ends within a command
    lines = [textwrap.fill(one, 100, break_on_hyphens=False) for one in whole]
    part = "\n\n".join(lines).replace("\xa0", " ") + "\n"
    README.write_text(PLACE.sub(lambda _: part, README.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
