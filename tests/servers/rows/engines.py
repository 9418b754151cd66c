"""Dask, joblib, and threads of others beside ours."""

from servers.row import Reload, Row, fault

DASK = {
    "needs": ("distributed",),
    "ready": "^imported ",
    "beside": "-m distributed.cli.dask_scheduler --host 127.0.0.1 --port BESIDE --no-dashboard",
    # A task whose worker has died has failed; else another worker would do it again.
    "env": {
        "SCHEDULER": "tcp://127.0.0.1:BESIDE",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    },
    "client": "to_dask.py",
    "restless": True,
}
DASK_WORKER = (
    "-m distributed.cli.dask_worker tcp://127.0.0.1:BESIDE --host 127.0.0.1 --nthreads 1"
    " --no-dashboard --local-directory DIR --preload on_dask"
)
CLUSTER = {
    "needs": ("distributed",),
    "ready": "^imported ",
    "client": "",
    "restless": True,
    "env": {"DASK_TEMPORARY_DIRECTORY": "DIR"},
}
LEFT = "without graceexit SIGTERM kills the main process, and nobody tells the workers"
WITH_IT = "without graceexit SIGTERM kills the main process, and its workers end with it"
RETIRES = (
    "without graceexit SIGTERM kills the worker during the task, and its nanny starts another; with"
    " it the worker closes, as at Ctrl-C, when the task has ended, and its nanny with it"
)
KILLED = "an exception that leaves Parallel, such as that of SIGTERM, has it kill its workers"
OTHERS = fault("joblib kills its other workers when one has died", "killed", "items")
PRESSED = fault(
    "Ctrl-C reaches its workers too, and joblib kills them when one has died",
    *("killed", "lost", "items", "status"),
    sometimes=True,
)

ROWS = [
    Row(
        "dask worker",
        f"{DASK_WORKER} --nworkers 2 --preload-nanny service",
        workers=3,
        columns=("term", "worker", "group", "reload"),
        reload=Reload("lifetime", "--lifetime 1h --lifetime-restart", seconds=60),
        retires=True,
        faults={"worker": fault(RETIRES, "answer", "status")},
        write="SIGINT ignored in workers: `examples/08_dask.py`",
        **DASK,
    ),
    Row(
        "dask worker --no-nanny",
        f"{DASK_WORKER} --no-nanny",
        columns=("term", "group", "reload"),
        reload=Reload("lifetime", "--lifetime 1h", ends=True, seconds=60),
        **DASK,
    ),
    Row(
        "dask scheduler",
        "-m distributed.cli.dask_scheduler --host 127.0.0.1 --port PORT --no-dashboard"
        " --preload service",
        "^imported ",
        ("distributed",),
        columns=("term", "group"),
        env={"SCHEDULER": "tcp://127.0.0.1:PORT"},
        client="to_scheduler.py",
        restless=True,
    ),
    Row(
        "dask LocalCluster, processes",
        "on_local_cluster.py processes",
        workers=3,
        retires=True,
        write='SIGINT ignored in workers: `preload=["08_dask"]`',
        faults={
            "term": fault(WITH_IT, "answer", "status"),
            "worker": fault(f"{RETIRES}; {WITH_IT}", "answer", "status"),
        },
        **CLUSTER,
    ),
    Row(
        "dask LocalCluster, threads",
        "on_local_cluster.py threads",
        columns=("term", "group"),
        faults={"term": fault("without graceexit SIGTERM kills it during the task", "answer")},
        **CLUSTER,
    ),
    Row(
        "joblib",
        "on_joblib.py",
        "^imported ",
        ("joblib",),
        workers=3,
        client="",
        restless=True,
        configure="nothing helps within a call; between calls, and with a thread, nothing is lost",
        faults={
            "term": fault(f"{KILLED}; {LEFT}", "killed", "lost", "items", "plain hangs"),
            "worker": OTHERS,
            "group": PRESSED,
        },
    ),
    Row(
        "joblib in a thread",
        "on_joblib.py thread",
        "^imported ",
        ("joblib",),
        workers=3,
        client="",
        restless=True,
        write="`ThreadPoolExecutor(1).submit(...).result()` around the call of Parallel",
        faults={"term": fault(LEFT, "plain hangs"), "worker": OTHERS, "group": PRESSED},
    ),
    Row(
        "APScheduler and prometheus_client",
        "on_apscheduler.py",
        "^imported ",
        ("apscheduler", "prometheus_client"),
        columns=("term", "group"),
        client="",
        restless=True,
        faults={"term": fault("without graceexit SIGTERM kills it during the job", "answer")},
    ),
]
