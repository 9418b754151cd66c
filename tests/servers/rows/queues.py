"""Celery, rq, dramatiq, taskiq, huey and arq, with Redis as broker."""

from servers.row import Reload, Row, fault

REDIS = {
    "beside": "redis-server --bind 127.0.0.1 --port BESIDE --dir DIR --save ''",
    "env": {"BROKER": "redis://127.0.0.1:BESIDE/0"},
}
CELERY = {"needs": ("celery", "redis"), "ready": "^imported ", "client": "to_celery.py", **REDIS}
CELERY_WORKER = "-m celery -A on_celery worker --concurrency 2 --without-gossip --without-mingle"
RQ = {"needs": ("rq", "redis"), "ready": "Listening on", "client": "to_rq.py", **REDIS}
RQ_WORDS = "--url redis://127.0.0.1:BESIDE/0 --path ."
HUEY = "-m huey.bin.huey_consumer on_huey.huey --workers 2"
CLOSED = fault(
    "a worker that reads from Redis as it closes the connection ends with 1, else with 0",
    "status",
    sometimes=True,
)

ROWS = [
    Row(
        "Celery prefork",
        CELERY_WORKER,
        workers=3,
        columns=("term", "worker", "group", "reload"),
        reload=Reload("max-tasks-per-child", "--max-tasks-per-child 1", one=True),
        write="`graceexit.shutdown()` in `worker_process_shutdown`: `examples/06_celery.py`",
        **CELERY,
    ),
    Row(
        "Celery solo",
        f"{CELERY_WORKER} --pool solo",
        columns=("term", "group"),
        **CELERY,
    ),
    *[
        Row(
            f"Celery {pool}",
            f"{CELERY_WORKER} --pool {pool}",
            columns=("term", "group"),
            **{**CELERY, "needs": (*CELERY["needs"], *needs)},
        )
        for pool, needs in (("threads", ()), ("gevent", ("gevent",)), ("eventlet", ("eventlet",)))
    ],
    Row(
        "rq worker",
        f"-m rq.cli worker {RQ_WORDS} --worker-class on_rq.Worker",
        workers=0,
        columns=("term", "worker", "group", "reload"),
        reload=Reload("max-jobs", "--max-jobs 1", ends=True),
        lone=True,
        write="`graceexit.shutdown()` at the end of a job: `examples/07_rq.py`",
        **RQ,
    ),
    Row(
        "rq worker-pool",
        f"-m rq.cli worker-pool {RQ_WORDS} --worker-class on_rq.Worker --num-workers 2",
        workers=0,
        lone=True,
        write="the same",
        **RQ,
    ),
    Row(
        "rq SimpleWorker",
        f"-m rq.cli worker {RQ_WORDS} --worker-class rq.SimpleWorker",
        workers=0,
        columns=("term", "group", "reload"),
        reload=Reload("max-jobs", "--max-jobs 1", ends=True),
        **RQ,
    ),
    Row(
        "dramatiq",
        "-m dramatiq on_dramatiq --processes 2 --threads 1",
        "^imported ",
        ("dramatiq", "redis"),
        workers=2,
        columns=("term", "group"),
        client="to_dramatiq.py",
        **REDIS,
    ),
    Row(
        "taskiq",
        "-m taskiq worker on_taskiq:broker --workers 2",
        "^imported ",
        ("taskiq", "taskiq-redis", "redis"),
        workers=2,
        columns=("term", "group"),
        client="to_taskiq.py",
        faults=dict.fromkeys(("term", "group"), CLOSED),
        **REDIS,
    ),
    *[
        Row(
            f"huey, {kind}",
            f"{HUEY} --worker-type {word}",
            "^imported ",
            ("huey", "redis"),
            workers=workers,
            columns=("term", "group"),
            client="to_huey.py",
            write=write,
            **REDIS,
        )
        for kind, word, workers, write in (
            ("threads", "thread", 1, "nothing"),
            ("threads, --graceful-signal TERM", "thread --graceful-signal TERM", 1, "nothing"),
            ("processes", "process", 3, "registrations in `on_startup`"),
        )
    ],
    *[
        Row(
            name,
            "-m arq on_arq.Worker",
            "^imported ",
            ("arq", "redis"),
            columns=("term", "group"),
            client="to_arq.py",
            venv="arq",
            **{**REDIS, "env": {**REDIS["env"], "PATIENCE": seconds}},
        )
        for name, seconds in (("arq", "0"), ("arq, job_completion_wait", "10"))
    ],
]
