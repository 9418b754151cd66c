"""uvicorn: one process, several, and with its reloader."""

import signal

from servers.row import Reload, Row, fault

READY = "Application startup complete"
LOOPS = {"asyncio": ("uvicorn",), "uvloop": ("uvicorn", "uvloop")}
TWICE = fault(
    "an idle worker dies of SIGTERM, or ends with 0 where the SIGINT has ended it before the main"
    " process's SIGTERM comes",
    "status",
    sometimes=True,
)

ROWS = [
    *(
        Row(
            f"uvicorn, {loop}",
            f"-m uvicorn --port PORT --loop {loop} service:asgi",
            READY,
            needs,
            columns=("term", "group"),
            short=("term", "group") if loop == "asyncio" else (),
        )
        for loop, needs in LOOPS.items()
    ),
    Row(
        "uvicorn, --limit-max-requests 1",
        "-m uvicorn --port PORT service:asgi",
        READY,
        ("uvicorn",),
        columns=("reload",),
        reload=Reload("limit-max-requests", "--limit-max-requests 1", one=True),
    ),
    *(
        Row(
            f"uvicorn --workers 2, {loop}",
            f"-m uvicorn --port PORT --workers 2 --loop {loop} service:asgi",
            READY,
            needs,
            workers=2,
            columns=("term", "worker", "group", "reload"),
            short=("term",) if loop == "asyncio" else (),
            reload=Reload(signal.SIGHUP),
            faults={"group": TWICE},
        )
        for loop, needs in LOOPS.items()
    ),
    Row(
        "uvicorn --workers 2, --limit-max-requests 1",
        "-m uvicorn --port PORT --workers 2 service:asgi",
        READY,
        ("uvicorn",),
        workers=2,
        columns=("reload",),
        reload=Reload("limit-max-requests", "--limit-max-requests 1", one=True),
    ),
    # It does not see what changes before its delay has gone by for the first time.
    *(
        Row(
            f"uvicorn --reload, {loop}",
            f"-m uvicorn --port PORT --loop {loop} --reload --reload-delay 0.1 --reload-dir DIR"
            " service:asgi",
            READY,
            needs,
            columns=("term", "worker", "group", "reload"),
            short=("term",) if loop == "asyncio" else (),
            reload=Reload("touch"),
            lone=True,
        )
        for loop, needs in LOOPS.items()
    ),
]
