"""FastAPI and Django as the application."""

from servers.row import Row

GRANIAN_READY = r"Started worker-\d+$"

ROWS = [
    Row(
        "FastAPI on granian asgi",
        "-m granian --port PORT --workers 2 --interface asgi on_fastapi:app",
        GRANIAN_READY,
        ("fastapi", "granian"),
        workers=2,
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
    ),
    Row(
        "Django on granian wsgi",
        "-m granian --port PORT --workers 2 --interface wsgi on_django:wsgi",
        GRANIAN_READY,
        ("django", "granian"),
        workers=2,
        columns=("term", "worker"),
    ),
    Row(
        "Django on uvicorn",
        "-m uvicorn --port PORT on_django:asgi",
        "Application startup complete",
        ("django", "uvicorn"),
        columns=("term", "group"),
    ),
]
