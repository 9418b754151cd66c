"""Processes that Python starts itself: Process, Pool and ProcessPoolExecutor."""

from servers.row import Reload, Row, fault

METHODS = ("fork", "spawn", "forkserver")
LEFT = "without graceexit SIGTERM kills the main process, and nobody tells the others"
PRESSED = "Ctrl-C reaches the workers too, and either that ends them, or the main process does"
TOLD_TWICE = (
    "a pool that is terminated sends an idle worker a message and SIGTERM, one of which wins"
)

ROWS = [
    row
    for method in METHODS
    for row in (
        Row(
            f"multiprocessing.Process, {method}",
            f"pools.py process {method}",
            "^imported ",
            (),
            workers=3,
            short=("group",),
            client="",
            restless=True,
            lone=True,
            write="`graceexit.register(process, stop=...)`, so that it is told",
            faults={
                "term": fault(LEFT, "plain hangs"),
                "worker": fault(LEFT, "plain hangs"),
            },
        ),
        Row(
            f"multiprocessing.Pool, {method}",
            f"pools.py pool {method}",
            "^imported ",
            (),
            workers=3,
            columns=("term", "worker", "group", "reload"),
            reload=Reload("maxtasksperchild", "1", one=True),
            client="",
            restless=True,
            write="SIGINT ignored in the workers; `pool.close()` and `pool.join()` where SystemExit"
            " is caught",
            configure="a pool waits for ever for the task of a worker that was killed, so"
            " that `linger` has to end it: an executor notices",
            faults={
                "term": fault(LEFT, "status", sometimes=True),
                "worker": fault(LEFT, "status", sometimes=True),
                "group": fault(TOLD_TWICE, "status", sometimes=True),
                "reload": fault(LEFT, "status", sometimes=True),
            },
        ),
        Row(
            f"ProcessPoolExecutor, {method}",
            f"pools.py executor {method}",
            "^imported ",
            (),
            workers=3 if method == "fork" else 2,
            columns=("term", "worker", "group", *["reload"] * (method != "fork")),
            short=("worker",),
            reload=Reload("max_tasks_per_child", "1", one=True),
            client="",
            faults={
                "term": fault(LEFT, "plain hangs"),
                "group": fault(PRESSED, "status", sometimes=True),
                "reload": fault(LEFT, "plain hangs"),
            },
        ),
    )
]
