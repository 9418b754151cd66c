"""uvicorn: one process, several, and with its reloader."""

from servers.row import Row, fault

TWICE = fault(
    "an idle worker dies of SIGTERM, or ends with 0 where the SIGINT has ended it before the main"
    " process's SIGTERM comes",
    "status",
    sometimes=True,
)

ROWS = [
    Row(
        "uvicorn",
        "-m uvicorn --port PORT service:asgi",
        "Application startup complete",
        ("uvicorn",),
        columns=("term", "group"),
        short=("term",),
    ),
    Row(
        "uvicorn --workers 2",
        "-m uvicorn --port PORT --workers 2 service:asgi",
        "Application startup complete",
        ("uvicorn",),
        workers=2,
        short=("term",),
        faults={"group": TWICE},
    ),
]
