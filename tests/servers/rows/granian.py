"""Granian: its three interfaces, today's version and the last of the old line."""

from servers.row import Row, fault

LOST = fault(
    "the worker's main thread waits without a limit, and of two signals in quick succession, that"
    " of the terminal and that of the main process, another thread may take both",
    "hangs",
    "plain hangs",
    sometimes=True,
)

ROWS = [
    Row(
        f"granian {interface}",
        f"-m granian --port PORT --workers 2 --interface {interface} service:{interface}",
        r"Started worker-\d+$",
        ("granian",),
        workers=2,
        short=("term",),
        faults={"group": LOST} if interface == "wsgi" else {},
    )
    for interface in ("asgi", "rsgi", "wsgi")
]
