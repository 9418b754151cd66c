"""hypercorn, uWSGI, and the development server of Flask."""

from servers.row import Reload, Row, fault

CUT = fault(
    "when the first worker has ended the main process sends SIGTERM to the others, which cuts their"
    " requests, or not, depending on which worker that is",
    "answer",
    "status",
    sometimes=True,
)
AT_ONCE = fault(
    "its handler is C and ends a worker that is busy in the middle of the request",
    "lost",
)

UWSGI = (
    "-c 'import pyuwsgi; pyuwsgi.run()' --http-socket 127.0.0.1:PORT --master --processes 2"
    " --lazy-apps --enable-threads --module service:wsgi"
)
UWSGI_READY = r"WSGI app 0 .* ready in"

ROWS = [
    *(
        Row(
            f"hypercorn, {workers} worker{'s' * (workers > 1)}",
            f"-m hypercorn -b 127.0.0.1:PORT --workers {workers} service:asgi",
            "Running on",
            ("hypercorn",),
            workers=workers,
            short=("term",) if workers == 1 else (),
            faults={"term": CUT, "worker": CUT, "group": CUT} if workers == 2 else {},
        )
        for workers in (1, 2)
    ),
    Row(
        "uWSGI, with its options",
        f"{UWSGI} --die-on-term --hook-master-start 'unix_signal:15 gracefully_kill_them_all'",
        UWSGI_READY,
        ("pyuwsgi",),
        workers=2,
        columns=("term", "worker", "group", "reload"),
        reload=Reload("touch", "--touch-workers-reload DIR/touched.py"),
        configure="`--enable-threads --lazy-apps --die-on-term`, and"
        " `--hook-master-start 'unix_signal:15 gracefully_kill_them_all'`",
        faults={"worker": AT_ONCE, "group": AT_ONCE},
    ),
    Row(
        "uWSGI, --die-on-term alone",
        f"{UWSGI} --die-on-term",
        UWSGI_READY,
        ("pyuwsgi",),
        workers=2,
        columns=("term",),
        faults={"term": AT_ONCE},
    ),
    Row(
        "Flask's development server",
        "-m flask --app on_flask run --port PORT",
        "Running on",
        ("flask", "werkzeug"),
        columns=("term", "group"),
        short=("term",),
    ),
]
