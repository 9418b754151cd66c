"""
The tables of `docs/supervisors.md`, made of the rows and of what a run of them has found.

python -m supervisors.table RESULTS takes over the results of a run, of all rows or of some, and
writes the tables anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisors.rows import INITS, RELOADERS, ROWS, RUNNERS, SUPERVISORS, TERMINALS
from tables import line, measured, split

if TYPE_CHECKING:
    from supervisors.row import Row

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "supervisors.md"
RESULTS = DOCS / "supervisors.json"
BEGIN = "<!-- made by make docs-supervisors -->\n"
HEAD = (
    "what stands above",
    "told to stop by",
    "the program gets",
    "its process group",
    "children in sessions of their own",
    "killed",
    "limit",
    "write",
)
PARTS = {
    "Supervisors": SUPERVISORS,
    "Init processes and shells": INITS,
    "Terminals": TERMINALS,
    "Commands that run another": RUNNERS,
    "Reloaders": RELOADERS,
}
WHOM = {
    (): "no",
    ("process",): "the program",
    ("process", "group"): "the program and its group",
    ("process", "group", "session"): "the program and all its children",
}


def table(results: dict[str, Any]) -> str:
    """Return a table for each kind, with the versions before them."""
    about = [[one[key] for one in results.values()] for key in ("date", "python", "version")]
    lines = [measured(*about), ""]
    for title, rows in PARTS.items():
        lines += [f"### {title}", "", line(HEAD), line(["---"] * len(HEAD))]
        lines += [line(cells(row, results[row.name])) for row in rows]
        lines.append("")
    return "\n".join(lines)


def cells(row: Row, found: dict[str, Any]) -> list[str]:
    """Return the cells of a row."""
    killed = WHOM[row.kills] + (", sometimes its group" if row.perhaps else "")
    after = f", after {found['after']} s" if found["kills"] else ""
    return [
        row.name,
        row.how,
        *(one or "nothing" for one in found["gets"]),
        f"{killed}{after}",
        row.says or "-",
        row.write,
    ]


def main() -> None:
    """Take over the results of a run, and write the tables."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    new = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    results = {row.name: {**known, **new}[row.name] for row in ROWS}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    before, _, after = split(PAGE.read_text(encoding="utf-8"), BEGIN)
    PAGE.write_text(before + table(results) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
