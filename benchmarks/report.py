"""
Turn results.json into tables and plots.

python benchmarks/report.py does it again without measuring; --check fails if docs/benchmarks.md or
RESULTS.md does not show what results.json says.
"""

import argparse
import importlib.util
import json
import re
import sys
from pathlib import Path
from statistics import median

from rows import OURS, PEERS, middle

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- benchmarks: `make bench` writes what follows -->", "<!-- benchmarks end -->"
# The table of the page: which row and what of it, and its columns.
BESIDE = {
    "import": "wall",
    "register": "callback",
    "memory": "callback",
    "run": "run",
    "threads": "whole",
    "lateness": "late",
    "sigterm": "first",
}
COLUMNS = [OURS, "atexit", "weakref.finalize", "ExitStack", "executor", "thread each"]
COLUMNS += PEERS
LEGEND = (
    "To reach: the goal, set before anything was measured. Floor: the least that plain Python takes"
    " for the same."
)
PLOTS = {
    "costs": "What an import, a registration and a run cost",
    "growth": "The cost of one item, for up to a million items",
    "times": "How late a timeout is, and how soon after SIGTERM the first function runs",
    "load": "Requests per second with and without graceexit, and 50 restarts of Granian",
}
# What is counted has not the unit of its row.
COUNTS = {"wrk", "threads", "files", "wakeups", "accepted", "found", "lost", "killed", "again"}
SCALES = {"s": [("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)]}


def shown(value, unit):
    """Return a value with its unit, three digits of it."""
    if value is None:
        return ""
    for name, scale in SCALES.get(unit, []):
        if abs(value) >= scale or name == "ns":
            return f"{digits(value / scale)} {name}"
    return f"{digits(value)} {unit}".strip()


def digits(value):
    """Return three digits of a number, or all that stand before its point."""
    value = value if abs(value) >= 100 else float(f"{value:.3g}")
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(rows):
    """Return a table in Markdown that can be read as it is, too."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def conditions(head):
    """Return when and on what this was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in head["versions"].items())
    quick = " A quick look, with few samples." if head["quick"] else ""
    return (
        f"Measured on {head['date']}: {head['processor']}, {head['cores']} cores, {head['system']},"
        f" {head['python']}; load {head['load']} at the start. {versions}.{quick}"
    )


def spread(samples, unit):
    """Return the median of samples, with their quartiles."""
    if len(samples) < 2:
        return shown(median(samples), unit)
    value, low, high = middle(samples)
    return f"{shown(value, unit)} ({shown(low, unit)} to {shown(high, unit)})"


def figures(results):
    """Return the table of what is to be reached, and why something is not."""
    rows = [("what", "to reach", "measured", "reached", "floor")]
    for row in results["rows"].values():
        if not row["figures"]:
            rows.append((row["title"], "", "skipped: " + row["cannot"][OURS], "", ""))
        for one in row["figures"]:
            unit = one["unit"]
            most, least = one["most"], one["least"]
            limit = f"at most {shown(most, unit)}" if least is None else f"at least {least} {unit}"
            value = shown(one["value"], unit)
            if one["low"] is not None:
                value += f" ({shown(one['low'], unit)} to {shown(one['high'], unit)})"
            floor = f"{shown(one['floor'], unit)}: {one['floor_is']}" if one["floor_is"] else ""
            rows.append((one["what"], limit, value, "yes" if one["reached"] else "**no**", floor))
    missed = [
        f"* {one['what']}: {one['why'] or 'it is not known why'}."
        for row in results["rows"].values()
        for one in row["figures"]
        if not one["reached"]
    ]
    return "\n\n".join([table(rows), *(["Not reached:\n" + "\n".join(missed)] if missed else [])])


def beside(results):
    """Return the table of the ways, side by side."""
    rows = [("median", *COLUMNS)]
    for name, what in BESIDE.items():
        if row := results["rows"].get(name):
            cells = []
            for way in COLUMNS:
                samples = row["series"].get(way, {}).get(what)
                cells.append(shown(median(samples), row["unit"]) if samples else "-")
            rows.append((row["title"], *cells))
    return table(rows)


def details(row):
    """Return everything that one row has measured."""
    how = row["how"]
    parts = [f"## {row['title']}", f"{how[:1].upper()}{how[1:]}."]
    rows = [("way", "what", "median (quartiles)", "least", "most", "samples", "over graceexit's")]
    order = [*COLUMNS, *sorted(row["series"])]
    for way in sorted(row["series"], key=order.index):
        for what, samples in row["series"][way].items():
            unit = "" if what in COUNTS else row["unit"]
            ours = row["series"].get(OURS, {}).get(what, [])
            over = ""
            if way != OURS and len(ours) == len(samples) and all(ours):  # in the same rounds
                pairs = [a / b for a, b in zip(samples, ours, strict=True)]
                over = spread(pairs, "x")
            extremes = (shown(min(samples), unit), shown(max(samples), unit))
            rows.append((way, what, spread(samples, unit), *extremes, str(len(samples)), over))
    if len(rows) > 1:
        parts.append(table(rows))
    if row["cannot"]:
        parts.append("Cannot:\n" + "\n".join(f"* {k}: {v}" for k, v in row["cannot"].items()))
    return "\n\n".join(parts)


def text(results):
    """Return all of it."""
    parts = ["# Benchmarks", conditions(results["head"])]
    parts.append("Medians, with their quartiles. Each way took its turn in every round.")
    parts += [LEGEND, figures(results)]
    if BESIDE.keys() & results["rows"].keys():
        parts.append(beside(results))
    parts += map(details, results["rows"].values())
    return "\n\n".join(parts) + "\n"


def page_part(results):
    """Return what docs/benchmarks.md shows."""
    parts = [BEGIN, conditions(results["head"]), LEGEND, figures(results)]
    parts.append(
        "The same in other ways; `-`: that one cannot do it."
        " [All numbers, with their spread and the reasons](../benchmarks/RESULTS.md)."
    )
    parts.append(beside(results))
    parts += [f"![{title}](../benchmarks/plots/{name}.svg)" for name, title in PLOTS.items()]
    return "\n\n".join([*parts, END])


def with_part(page, part):
    """Return the text of the page with what stands between the markers replaced by *part*."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"the page has no {BEGIN} and {END}")
    return before + part + after


def write(results, folder):
    """Write the numbers, the tables and, where there is matplotlib, the plots."""
    folder.mkdir(parents=True, exist_ok=True)
    # One line for the samples of a series.
    lines = re.sub(
        r"\[[^][{}\"]*\]", lambda m: " ".join(m[0].split()), json.dumps(results, indent=1)
    )
    (folder / "results.json").write_text(lines + "\n", encoding="utf-8")
    (folder / "RESULTS.md").write_text(text(results), encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is None:
        print("There are no plots: matplotlib is not installed.", file=sys.stderr)
        return
    import plots

    (folder / "plots").mkdir(exist_ok=True)
    for name in PLOTS:
        plots.draw(name, results, folder / "plots" / f"{name}.svg")


def write_page(results, page):
    """Put the tables into docs/benchmarks.md."""
    page.write_text(with_part(page.read_text("utf-8"), page_part(results)), "utf-8")


def main():
    """Write everything again, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--check", action="store_true")
    results = json.loads((HERE / "results.json").read_text("utf-8"))
    if not parser.parse_args().check:
        write(results, HERE)
        write_page(results, PAGE)
        return 0
    page = PAGE.read_text("utf-8")
    good = with_part(page, page_part(results)) == page
    good = good and (HERE / "RESULTS.md").read_text("utf-8") == text(results)
    print("as results.json says" if good else "not as results.json says: run report.py")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
