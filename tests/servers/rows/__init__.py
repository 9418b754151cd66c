"""The rows of the table, one module for each group of servers."""

from importlib import import_module
from pathlib import Path

FIRST = ["granian", "gunicorn", "uvicorn", "others", "frameworks"]  # what most readers look for
GROUPS = {path.stem for path in Path(__file__).parent.glob("[a-z]*.py")}
ROWS = [
    row
    for group in FIRST + sorted(GROUPS - set(FIRST))
    for row in import_module(f"{__name__}.{group}").ROWS
]
