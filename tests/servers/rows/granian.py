"""Granian: its three interfaces, today's version and the one 1.3.x that PyPI still has."""

import signal

from servers.row import Reload, Row, fault

READY = r"Started worker-\d+$"
HUP = Reload(signal.SIGHUP, "--respawn-interval 0.1")
LATE = (
    "the main process ends with 1 where a worker has ended by the terminal's SIGINT before it was"
    " asked to"
)
BLOCKED = (
    "a worker that gets two signals in quick succession, that of the terminal and that of the main"
    " process, may wait for ever in Granian's own handler, which sends both into a channel of one"
    " place (3 of 240 runs without graceexit)"
)
LOST = (
    "the main thread of a worker waits without a limit; of two signals in quick succession, that of"
    " the terminal and that of the main process, another thread may take both"
)
GROUP = {
    interface: fault(f"{why}; {LATE}", "hangs", "plain hangs", "status", sometimes=True)
    for interface, why in {"asgi": BLOCKED, "rsgi": BLOCKED, "wsgi": f"{BLOCKED}; {LOST}"}.items()
}
GROUP_OF_1_3 = fault(LATE, "status", sometimes=True)
DROPS = fault(
    "the code of a request in flight comes to its end, but its answer is lost, or not, depending on"
    " which is first gone, the runtime or the request",
    "answer",
    sometimes=True,
)

CONFIGURE = "`--workers-kill-timeout`, longer than requests and items take together"


def command(interface, words=""):
    """Return the command for an interface."""
    return f"-m granian --port PORT --interface {interface} {words} service:{interface}"


INTERFACES = ("asgi", "rsgi", "wsgi")
ROWS = [
    row
    for interface in INTERFACES
    for row in (
        Row(
            f"granian {interface}, 2 workers",
            command(interface, "--workers 2"),
            READY,
            ("granian",),
            workers=2,
            columns=("term", "worker", "group", "reload"),
            short=("term",),
            reload=HUP,
            configure=CONFIGURE,
            faults={"group": GROUP[interface]},
        ),
        Row(
            f"granian {interface}, 1 worker",
            command(interface),
            READY,
            ("granian",),
            columns=("term", "worker", "group", "reload"),
            reload=HUP,
            configure=CONFIGURE,
            faults={"group": GROUP[interface]},
        ),
        Row(
            f"granian {interface}, 2 workers, spawn",
            command(interface, "--workers 2").replace("-m", "spawning.py"),
            READY,
            ("granian",),
            workers=2,
            columns=("term", "worker", "group", "reload"),
            reload=HUP,
            configure=CONFIGURE,
            faults={"group": GROUP[interface]},
        ),
        Row(
            f"granian {interface}, --respawn-failed-workers",
            command(interface, "--workers 2 --respawn-failed-workers"),
            READY,
            ("granian",),
            workers=2,
            columns=("worker",),
            configure=CONFIGURE,
        ),
        Row(
            f"granian {interface}, --workers-lifetime 60",
            command(interface, "--workers-lifetime 60 --respawn-interval 0.1"),
            READY,
            ("granian",),
            columns=("reload",),
            reload=Reload("workers-lifetime", seconds=90),
            configure=CONFIGURE,
        ),
    )
] + [
    Row(
        f"granian 1.3 {interface}, {workers} worker{'s' * (workers > 1)}{', spawn' * spawn}",
        command(interface, f"--workers {workers}").replace("-m", "spawning.py" if spawn else "-m"),
        READY,
        ("granian",),
        workers=workers,
        columns=("term", "worker", "group", "reload"),
        reload=HUP,
        faults={"group": GROUP_OF_1_3, "worker": DROPS, "reload": DROPS, "term": DROPS}
        if interface == "wsgi"
        else {"group": GROUP_OF_1_3},
        venv="granian-1.3",
    )
    for interface in INTERFACES
    for workers, spawn in ((2, False), (1, False), (2, True))
]
