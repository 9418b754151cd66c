"""Sanic, Tornado, Daphne, Litestar, aiohttp, waitress and gRPC."""

from servers.row import Row, fault

CUT = fault("without graceexit SIGTERM kills it during the request", "answer")
QUIT = fault(
    "an idle worker ends by the terminal's SIGINT, or dies of the SIGQUIT that the main process"
    " sends after it",
    "status",
    sometimes=True,
)
ALONE = ("term", "group")

ROWS = [
    Row(
        "Sanic, 2 workers",
        "-m sanic on_sanic:app --port PORT --workers 2",
        "^imported ",
        ("sanic",),
        workers=3,
        lone=True,
    ),
    Row(
        "Sanic, --single-process",
        "-m sanic on_sanic:app --port PORT --single-process",
        "^imported ",
        ("sanic",),
        columns=ALONE,
    ),
    Row("Tornado", "on_tornado.py PORT", "^imported ", ("tornado",), columns=ALONE),
    Row("Daphne", "-m daphne -p PORT service:asgi", "Listening on TCP", ("daphne",), columns=ALONE),
    Row(
        "Litestar on uvicorn",
        "-m uvicorn --port PORT on_litestar:app",
        "Application startup complete",
        ("litestar", "uvicorn"),
        columns=ALONE,
    ),
    Row("aiohttp", "on_aiohttp.py PORT", "^imported ", ("aiohttp",), columns=ALONE),
    Row(
        "aiohttp on gunicorn",
        "-m gunicorn -b 127.0.0.1:PORT -w 2 -k aiohttp.GunicornWebWorker on_aiohttp:app",
        "Booting worker",
        ("aiohttp", "gunicorn"),
        workers=2,
        faults={"group": QUIT},
    ),
    Row(
        "waitress",
        "-m waitress --listen=127.0.0.1:PORT service:wsgi",
        "^imported ",
        ("waitress",),
        columns=ALONE,
        faults={"term": CUT},
    ),
    Row(
        "gRPC",
        "on_grpc.py PORT",
        "^imported ",
        ("grpcio",),
        columns=ALONE,
        env={"SERVICE": "PORT", "ANSWER": "DIR/answer"},
        client="to_grpc.py",
        write="`try: server.wait_for_termination()`, `finally: server.stop(10).wait()`",
        faults={"term": CUT},
    ),
]
