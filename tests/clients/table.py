"""
The table of `docs/clients.md`, made of the rows and of what a run of them has found.

python -m clients.table FOLDER takes over the results of a run, and writes the table anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from clients.driver import ENDINGS
from clients.rows import ROWS
from servers.table import line

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "clients.md"
RESULTS = DOCS / "clients.json"
BEGIN, END = "<!-- made by make docs-clients -->\n", "<!-- the end of what is made -->"


def table(results):
    """Return the table, with the versions before it."""
    dates = sorted({one["date"] for one in results.values()})
    pythons = " and ".join(sorted({one["python"] for one in results.values()}))
    names = sorted({f"{n} {v}" for one in results.values() for n, v in one["versions"].items()})
    rows = [
        line((row.name, written(row), without(row, results[row.app]), row.watch or "-"))
        for row in sorted(ROWS, key=lambda row: row.name.casefold())
        if row.app in results
    ]
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return "\n".join(
        [
            f"Measured {when} on Linux with Python {pythons}: {', '.join(names)}.\n",
            line(("client", "write", "arrived without it", "watch")),
            line(["---"] * 4),
            *rows,
            "",
        ]
    )


def written(row):
    """Return the lines to write."""
    return "<br>".join(f"`{one}`" for one in row.write.splitlines())


def without(row, found):
    """Return how many items arrive without the line, by the ways to end that are alike in it."""
    alike = {}
    for ending, name in ENDINGS.items():
        one = found["without"][ending]
        then = ", hangs" if one["hangs"] else ", child left behind" if one["left"] else ""
        alike.setdefault(f"{one['arrived']} of {row.items}{then}", []).append(name)
    if len(alike) == 1:
        return f"{next(iter(alike))}, however it ends"
    return "; ".join(f"{' and '.join(names)}: {what}" for what, names in alike.items())


def split(page):
    """Return what stands before the table, the table, and what stands after it."""
    before, _, rest = page.partition(BEGIN)
    made, _, after = rest.partition(END)
    return before + BEGIN, made, END + after


def main():
    """Take over the results of a run, and write the table."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for path in Path(sys.argv[1]).glob("*.json"):
        results[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    results = {row.app: results[row.app] for row in ROWS if row.app in results}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    before, _, after = split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + table(results) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
