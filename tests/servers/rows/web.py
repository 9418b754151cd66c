"""Sanic, Tornado, Daphne, Litestar, aiohttp, waitress and gRPC."""

from servers.row import Row, fault

CUT = fault("without graceexit SIGTERM kills it during the request", "answer")
TWICE = fault(
    "a worker that gets two signals may drop its request", "answer", "status", sometimes=True
)
ALONE = ("term", "group")

ROWS = [
    Row(
        "Sanic, --single-process",
        "-m sanic on_sanic:app --port PORT --single-process",
        "^imported ",
        ("sanic",),
        columns=ALONE,
    ),
    Row(
        "Sanic, --workers 2",
        "-m sanic on_sanic:app --port PORT --workers 2",
        "Goin' Fast|Worker ready",
        ("sanic",),
        workers=3,
        columns=("term", "worker", "group"),
        lone=True,
        faults={"group": TWICE},
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
        "waitress",
        "-m waitress --listen=127.0.0.1:PORT service:wsgi",
        "^imported ",
        ("waitress",),
        columns=ALONE,
        faults={"term": CUT},
    ),
    *(
        Row(
            name,
            f"{app} PORT",
            "^imported ",
            ("grpcio",),
            columns=ALONE,
            env={"SERVICE": "PORT", "ANSWER": "DIR/answer"},
            client="to_grpc.py",
            write=f"`try: {wait}`, `finally: {stop}`",
            faults={"term": CUT},
        )
        for name, app, wait, stop in (
            ("gRPC", "on_grpc.py", "server.wait_for_termination()", "server.stop(10).wait()"),
            (
                "gRPC, asyncio",
                "on_grpc_aio.py",
                "await asyncio.Event().wait()",
                "await server.stop(10)",
            ),
        )
    ),
]
