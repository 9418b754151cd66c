"""The rows of the table, one module for each group of servers."""

from importlib import import_module
from pathlib import Path

ROWS = [
    row
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))
    for row in import_module(f"{__name__}.{path.stem}").ROWS
]
