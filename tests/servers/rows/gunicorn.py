"""gunicorn: its kinds of workers, the application loaded before or after the fork."""

import signal

from servers.row import Reload, Row, fault

READY = "Booting worker"
QUIT = (
    "Ctrl-C reaches a worker, and so does gunicorn's SIGQUIT; if its loop has been closed by then,"
    " it dies of that at once, also without graceexit"
)


def command(kind, app="service:wsgi"):
    """Return the command for a kind of worker."""
    return f"-m gunicorn -b 127.0.0.1:PORT -w 2 -k {kind} {app}"


KINDS = {
    "sync": ("sync", ("gunicorn",)),
    "gthread": ("gthread --threads 2", ("gunicorn",)),
    "gevent": ("gevent", ("gunicorn", "gevent")),
}
ROWS = [
    row
    for kind, (words, needs) in KINDS.items()
    for row in (
        Row(
            f"gunicorn {kind}",
            command(words),
            READY,
            needs,
            workers=2,
            columns=("term", "worker", "group", "reload"),
            short=("term", "worker") if kind == "sync" else ("term",),
            reload=Reload(signal.SIGHUP),
        ),
        Row(
            f"gunicorn {kind}, max_requests",
            command(words),
            READY,
            needs,
            workers=2,
            columns=("reload",),
            reload=Reload("max_requests", "--max-requests 1", one=True),
        ),
        Row(
            f"gunicorn {kind} --preload",
            command(words + " --preload"),
            READY,
            needs,
            workers=2,
            columns=("term", "worker", "group", "reload"),
            short=("term",) if kind == "sync" else (),
            reload=Reload(signal.SIGHUP),
            env={"EACH_PROCESS": "1"},
            write="`each_process=True` for callbacks",
        ),
    )
] + [
    Row(
        "gunicorn UvicornWorker",
        command("uvicorn_worker.UvicornWorker", "service:asgi"),
        "Application startup complete",
        ("gunicorn", "uvicorn-worker", "uvicorn"),
        workers=2,
        columns=("term", "worker", "group", "reload"),
        short=("term",),
        reload=Reload(signal.SIGHUP),
    ),
    Row(
        "gunicorn UvicornWorker --preload",
        command("uvicorn_worker.UvicornWorker --preload", "service:asgi"),
        "Application startup complete",
        ("gunicorn", "uvicorn-worker", "uvicorn"),
        workers=2,
        columns=("term", "worker", "group", "reload"),
        reload=Reload(signal.SIGHUP),
        env={"EACH_PROCESS": "1"},
        write="`each_process=True` for callbacks",
    ),
    Row(
        "gunicorn aiohttp",
        command("aiohttp.GunicornWebWorker", "on_aiohttp:app"),
        READY,
        ("gunicorn", "aiohttp"),
        workers=2,
        columns=("term", "worker", "group", "reload"),
        reload=Reload(signal.SIGHUP),
        faults={"group": fault(QUIT, "items", "lost", "status", sometimes=True)},
    ),
]
