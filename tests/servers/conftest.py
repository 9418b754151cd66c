"""Which cells are run, and where their results go."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path


def pytest_addoption(parser):
    """Add what `make test-servers` passes on."""
    parser.addoption("--every-server", action="store_true", help="run every cell of the table")
    parser.addoption("--results", type=Path, help="write the results of the cells to this file")


def pytest_configure(config):
    """Collect the results where the tests report to."""
    if config.getoption("results", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results(config.getoption("results")))


class Results:
    """The results of all cells: row to what is known of it, and its cells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict] = {}

    def pytest_runtest_logreport(self, report) -> None:
        """Keep what a test has recorded."""
        for key, value in report.user_properties:
            if key == "cell" and report.when == "call":
                name, column, versions, cell = value
                about = {
                    "date": time.strftime("%Y-%m-%d"),
                    "python": platform.python_version(),
                    "versions": versions,
                    "cells": {},
                }
                cell["passed"] = report.passed
                self.rows.setdefault(name, about)["cells"][column] = cell
                self.write()

    def write(self) -> None:
        """Write them all, after each cell: a run that is broken off has some."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.rows, indent=2, sort_keys=True)
        self.path.write_text(text + "\n", encoding="utf-8")
