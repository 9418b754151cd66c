"""
The tables of `docs/servers.md` and `docs/servers-matrix.md`, made of what a run of the rows found.

python -m servers.table RESULTS takes over the results of a run, of all rows or of some, and writes
the tables anew.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servers.row import COLUMNS
from servers.rows import ROWS

if TYPE_CHECKING:
    from servers.row import Row

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "servers.md"
MATRIX = DOCS / "servers-matrix.md"
RESULTS = DOCS / "servers.json"
BEGIN, END = "<!-- made by make docs-servers -->\n", "<!-- the end of what is made -->"
RIGHT, DROPPED = "✓", "dropped"
WORDS = {
    "hangs": "hangs",
    "plain hangs": f"{RIGHT}, hangs without graceexit",
    "killed": "killed",
    "lost": "items of the busy worker lost",
    "items": "items lost",
    "order": "before the request's end",
    "answer": DROPPED,
    "plain answer": f"{RIGHT}, {DROPPED} without graceexit",
    "status": "another status",
    "plain status": f"{RIGHT} {DROPPED}, another status without graceexit",
}
HEAD = (
    "server",
    "write",
    *COLUMNS.values(),
    "`exiting`",
    "ends with",
    "configure",
)


# The lines of the page for reading: which rows of the matrix each one sums up, and what is to be
# written and configured, in short.
EACH = "make clients in `post_fork`, or `each_process=True`"
LIMIT = "`--workers-kill-timeout`"
FAMILIES = {
    "Granian 2": ("granian (?!1.3)", "nothing", LIMIT),
    "Granian 1.3": ("granian 1.3", "nothing", "nothing"),
    "gunicorn, uvicorn, hypercorn": (
        "gunicorn (?!.*--preload)|uvicorn|hypercorn",
        "nothing",
        "nothing",
    ),
    "gunicorn --preload": ("gunicorn .*--preload", EACH, "nothing"),
    "uWSGI": ("uWSGI", "nothing", "[14_uwsgi.ini](../examples/14_uwsgi.ini)"),
    "FastAPI, Django": ("(FastAPI|Django) on", "nothing", "as its server"),
    "mod_wsgi, Sanic, Daphne, Tornado, Litestar, aiohttp, waitress, Streamlit, Gradio": (
        "mod_wsgi|Sanic|Daphne|Tornado|Litestar|aiohttp|waitress|Streamlit|Gradio",
        "nothing",
        "nothing",
    ),
    "CherryPy": ("CherryPy", "its exit runs the items, `on_exit(pool.shutdown)`", "nothing"),
    "Locust, Scrapy": ("Locust|Scrapy", "nothing", "`--stop-timeout`"),
    "gRPC": ("gRPC", "`finally: server.stop(10).wait()`, or awaited", "nothing"),
    "development servers of Flask and Django": ("(Flask|Django)'s", "nothing", "no reloader"),
    "Celery prefork, rq": (
        "Celery prefork|rq",
        "[06_celery.py](../examples/06_celery.py), [07_rq.py](../examples/07_rq.py)",
        "nothing",
    ),
    "Celery's other pools, dramatiq, taskiq, APScheduler, prometheus_client": (
        "Celery|dramatiq|taskiq|APScheduler",
        "nothing",
        "nothing",
    ),
    "huey, arq": ("huey|arq", "nothing", "`--graceful-signal TERM`, `job_completion_wait`"),
    "Dask, Ray": (
        "dask|Ray,",
        (
            "[08](../examples/08_dask.py), [19](../examples/19_dask_cluster.py),"
            " [18_ray.py](../examples/18_ray.py)"
        ),
        "nothing",
    ),
    "Ray Serve": (
        "Ray Serve",
        "`graceexit.shutdown()` in `__del__`, `serve.delete()` in an item",
        "`graceful_shutdown_timeout_s`",
    ),
    "PySpark": ("PySpark", "`graceexit.shutdown()` at a partition's end", "nothing"),
    "torch DataLoader, torchrun, ProcessPoolExecutor": (
        "torch|ProcessPoolExecutor",
        "nothing",
        "nothing",
    ),
    "joblib": ("joblib", "a thread around `Parallel`", "nothing"),
    "multiprocessing: Process, Pool": (
        "multiprocessing",
        "`register(process, stop=...)`; a pool: [20_pool.py](../examples/20_pool.py)",
        "nothing",
    ),
}


def summary(results: dict[str, Any]) -> str:
    """Return one line a server: what is to be written, and whether all is right then."""
    lines = [line(("server", "write", "configure", "right")), line(["---"] * 4)]
    left = list(ROWS)
    for name, (pattern, write, configure) in FAMILIES.items():
        rows = [row for row in left if re.match(pattern, row.name)]
        left = [row for row in left if row not in rows]
        every = [
            cell(row, column, results[row.name]["cells"], [])
            for row in rows
            for column in row.columns
        ]
        right = sum(one.startswith(RIGHT) for one in every)
        mark = RIGHT if right == len(every) else f"{right} of {len(every)}"
        if sometimes := sum("sometimes" in one for one in every):
            mark += f", {sometimes} of {len(every)} not always"
        lines.append(line((name, write, configure, mark)))
    assert not left, left
    return "\n".join(lines) + "\n"


def table(results: dict[str, Any]) -> str:
    """Return the table, with the versions before it and the notes after it."""
    notes: list[str] = []
    lines = [
        f"{versions(results)}\n",
        line(HEAD),
        line(["---"] * len(HEAD)),
        *(line(cells(row, results[row.name]["cells"], notes)) for row in ROWS),
        "",
        *(f"{number}. {note}." for number, note in enumerate(notes, 1)),
    ]
    return "\n".join(lines) + "\n"


def cells(row: Row, found: dict[str, Any], notes: list[str]) -> list[str]:
    """Return the cells of a row; what is known not to be right there is added to *notes*."""
    first = found[row.columns[0]]
    return [
        row.name,
        row.write,
        *(cell(row, column, found, notes) for column in COLUMNS),
        knowledge(first),
        ends(first),
        row.configure or "nothing",
    ]


def cell(row: Row, column: str, found: dict[str, Any], notes: list[str]) -> str:
    """Return how a row is in a column."""
    if column not in row.columns:
        return "not tried" if len(row.columns) == 1 else "-"
    fault = row.faults.get(column)
    if fault is None:
        dropped = found[column]["answer"] == "none" or not found[column]["finished"]
        return f"{RIGHT} {DROPPED}" if dropped else RIGHT
    if fault.why not in notes:
        notes.append(fault.why)
    findings = fault.findings - {"plain hangs"} or fault.findings
    if findings <= {"answer", "status"} and not fault.sometimes:  # the other run is not right
        findings = {"plain answer" if found[column]["finished"] else "plain status"}
    text = ", ".join(sorted(WORDS[one] for one in findings))
    if fault.sometimes:
        text = f"{RIGHT}, sometimes {text}"
    return f"{text} [{notes.index(fault.why) + 1}]"


def knowledge(cell: dict[str, Any]) -> str:
    """Return whether the request could know of the end."""
    if not cell["finished"]:
        return "-"
    return "set" if cell["knew"] else "not yet set"


def ends(cell: dict[str, Any]) -> str:
    """Return how the main process ends, and the worker that had the request."""
    main, worker = map(status, (cell["main"], cell["busy"]))
    return main if cell["single"] else f"{main}, worker {worker}"


def status(code: int | None) -> str:
    """Return a return code as it is spoken of."""
    if code is None:
        return "not seen"
    return str(code) if code >= 0 else signal.Signals(-code).name


def versions(results: dict[str, Any]) -> str:
    """Return with what, and when, the results were found."""
    rows = [results[row.name] for row in ROWS]
    names = sorted(
        {f"{name} {version}" for row in rows for name, version in row["versions"].items()}
    )
    pythons = " and ".join(sorted({row["python"] for row in rows}))
    dates = sorted({row["date"] for row in rows})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"Measured {when} on Linux with Python {pythons}: {', '.join(names)}."


def line(words: Any) -> str:
    """Return a line of the table."""
    return f"| {' | '.join(words)} |"


def split(page: str) -> tuple[str, str, str]:
    """Return what stands before the table, the table, and what stands after it."""
    before, _, rest = page.partition(BEGIN)
    made, _, after = rest.partition(END)
    return before + BEGIN, made, END + after


def merge(known: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the results of the rows that there are, *new* ones in the place of the older."""
    merged = {}
    for row in ROWS:
        found = {**known.get(row.name, {}), **new.get(row.name, {})}
        cells = [one.get(row.name, {}).get("cells", {}) for one in (known, new)]
        found["cells"] = {column: {**cells[0], **cells[1]}[column] for column in row.columns}
        merged[row.name] = found
    return merged


def main() -> None:
    """Take over the results of a run, and write the table."""
    new = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    failed = [
        name for name, row in new.items() if not all(c["passed"] for c in row["cells"].values())
    ]
    if failed:
        sys.exit(f"not taken over, for these rows have failed: {', '.join(sorted(failed))}")
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results = merge(known, new)
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for page, made in ((PAGE, summary(results)), (MATRIX, table(results))):
        before, _, after = split(page.read_text(encoding="utf-8"))
        page.write_text(before + made + after, encoding="utf-8")


if __name__ == "__main__":
    main()
