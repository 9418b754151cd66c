"""hypercorn, uWSGI, and the development server of Flask."""

import signal

from servers.row import Reload, Row, fault

CUT = fault(
    "when the first worker has ended the main process sends SIGTERM to the others, which cuts their"
    " requests, or not, depending on which worker that is",
    "answer",
    "status",
    sometimes=True,
)
KILLED = fault("without graceexit SIGTERM kills a worker during its request", "answer")
RELOADED = fault(
    "when the first worker has ended the main process sends SIGTERM to the others, which ends those"
    " without a request, or they were about to end with 0",
    "status",
    sometimes=True,
)
AT_ONCE = fault(
    "without the hooks uWSGI's handler ends a busy worker in the middle of the request, and then"
    " leaves out the hooks of Python",
    "lost",
)
PRESSED = fault(
    f"{AT_ONCE.why}; Ctrl-C may end an idle worker in the same way, or by SIGINT",
    "lost",
    "items",
    "status",
    sometimes=True,
)

UWSGI = (
    "-c 'import pyuwsgi; pyuwsgi.run()' --http-socket 127.0.0.1:PORT --processes 2"
    " --module service:wsgi"
)
RECIPE = f"{UWSGI} --ini ../../../examples/14_uwsgi.ini"
UWSGI_ROW = {
    "ready": r"WSGI app 0 .* ready in",
    "needs": ("pyuwsgi",),
    "workers": 2,
    "waits_in_c": True,
}
CONFIGURED = "`examples/14_uwsgi.ini`"

ROWS = [
    *(
        Row(
            f"hypercorn, {workers} worker{'s' * (workers > 1)}",
            f"-m hypercorn -b 127.0.0.1:PORT --workers {workers} service:asgi",
            "Running on",
            ("hypercorn",),
            workers=workers,
            columns=("term", "worker", "group", "reload"),
            short=("term",) if workers == 1 else (),
            reload=Reload(signal.SIGHUP),
            faults={"term": CUT, "worker": CUT, "group": CUT, "reload": RELOADED}
            if workers == 2
            else {"worker": KILLED},
        )
        for workers in (1, 2)
    ),
    Row(
        "hypercorn, --max-requests",
        "-m hypercorn -b 127.0.0.1:PORT service:asgi",
        "Running on",
        ("hypercorn",),
        columns=("reload",),
        # A worker ends once it has more requests than that, and by itself waits 3 s for them.
        reload=Reload("max-requests", "--max-requests 0 --graceful-timeout 20", one=True),
    ),
    Row(
        "uWSGI",
        RECIPE,
        columns=("term", "worker", "group", "reload"),
        reload=Reload(signal.SIGHUP, "--binary-path PYTHON"),
        configure=f"{CONFIGURED}; for SIGHUP in a virtual environment `--binary-path` as well",
        **UWSGI_ROW,
    ),
    Row(
        "uWSGI, --touch-workers-reload",
        RECIPE,
        columns=("reload",),
        reload=Reload("touch", "--touch-workers-reload DIR/touched.py"),
        configure=CONFIGURED,
        **UWSGI_ROW,
    ),
    Row(
        "uWSGI, --max-requests",
        RECIPE,
        columns=("reload",),
        reload=Reload("max-requests", "--max-requests 1 --min-worker-lifetime 0", one=True),
        configure=CONFIGURED,
        **UWSGI_ROW,
    ),
    Row(
        "uWSGI, --die-on-term instead of the hooks",
        f"{UWSGI} --master --lazy-apps --enable-threads --die-on-term",
        columns=("term", "worker", "group", "reload"),
        reload=Reload(signal.SIGHUP, "--binary-path PYTHON"),
        faults={"term": AT_ONCE, "worker": AT_ONCE, "group": PRESSED},
        configure=f"{CONFIGURED} instead",
        **UWSGI_ROW,
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
