"""Which rows are run, and where their results go."""

from __future__ import annotations

import json
from pathlib import Path


def pytest_addoption(parser):
    """Add what `make test-supervisors` passes on."""
    parser.addoption(
        "--every-supervisor",
        type=Path,
        metavar="RESULTS",
        help="run every row of the table, and write what is found to this file",
    )


def pytest_configure(config):
    """Collect the results where the tests report to."""
    path = config.getoption("every_supervisor", None)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results(path))


class Results:
    """What the tests of all rows have recorded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict] = {}

    def pytest_runtest_logreport(self, report) -> None:
        """Keep what a test has recorded, if it has passed."""
        for key, value in report.user_properties:
            if key == "supervisor" and report.when == "call" and report.passed:
                name, found = value
                self.rows.setdefault(name, {}).update(found)
                self.path.parent.mkdir(parents=True, exist_ok=True)
                text = json.dumps(self.rows, indent=1, sort_keys=True)
                self.path.write_text(f"{text}\n", encoding="utf-8")
