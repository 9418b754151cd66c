"""FastAPI and Django as the application."""

import signal

from servers.row import Reload, Row
from servers.rows.granian import CONFIGURE, GROUP, HUP, READY

ROWS = [
    Row(
        "FastAPI on granian asgi",
        "-m granian --port PORT --workers 2 --interface asgi on_fastapi:app",
        READY,
        ("fastapi", "granian"),
        workers=2,
        columns=("term", "worker", "group", "reload"),
        reload=HUP,
        configure=CONFIGURE,
        faults={"group": GROUP["asgi"]},
    ),
    Row(
        "FastAPI on uvicorn",
        "-m uvicorn --port PORT on_fastapi:app",
        "Application startup complete",
        ("fastapi", "uvicorn"),
        columns=("term", "group"),
    ),
    Row(
        "Django on gunicorn sync",
        "-m gunicorn -b 127.0.0.1:PORT -w 2 on_django:wsgi",
        "Booting worker",
        ("django", "gunicorn"),
        workers=2,
        columns=("term", "worker", "group", "reload"),
        reload=Reload(signal.SIGHUP),
    ),
    Row(
        "Django on granian wsgi",
        "-m granian --port PORT --workers 2 --interface wsgi on_django:wsgi",
        READY,
        ("django", "granian"),
        workers=2,
        columns=("term", "worker", "group", "reload"),
        reload=HUP,
        configure=CONFIGURE,
        faults={"group": GROUP["wsgi"]},
    ),
    Row(
        "Django on uvicorn",
        "-m uvicorn --port PORT on_django:asgi",
        "Application startup complete",
        ("django", "uvicorn"),
        columns=("term", "group"),
    ),
]
