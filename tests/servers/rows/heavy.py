"""Ray, torch and Spark: `make test-servers HEAVY=1` installs them."""

from servers.row import Reload, Row, fault

ALONE = ("term", "group")
RAY = {
    "ready": "^imported ",
    "needs": ("ray",),
    "workers": 2,
    "client": "",
    "restless": True,
    "venv": "heavy",
    "columns": ALONE,
    "env": {"RAY_USAGE_STATS_ENABLED": "0"},
}
SERVE = {
    **RAY,
    "needs": ("ray", "fastapi"),
    "workers": 3,
    "client": None,
    # Without it a program that has a handle of a deployment starts another Ray when it ends.
    "env": {**RAY["env"], "RAY_ENABLE_AUTO_CONNECT": "0"},
    "write": "`graceexit.shutdown()` in the deployment's `__del__`, an item of order -1 that calls"
    " `serve.delete()` and then `serve.shutdown()`",
    "configure": "`graceful_shutdown_timeout_s`, longer than requests and items take together",
}
TORCH = {
    "ready": "^imported ",
    "needs": ("torch",),
    "workers": 3,
    "client": "",
    "restless": True,
    "venv": "heavy",
    "columns": ALONE,
}
CUT = fault("without graceexit Ray kills what it does when the program ends", "answer")
JOB = fault("without graceexit Spark ends with the program, and the job in the middle", "answer")
PRESSED = fault(
    "Ctrl-C reaches Spark's JVM and its workers too, which then may end in the middle",
    *("answer", "lost", "items"),
    sometimes=True,
)
LEFT = fault(
    "without graceexit SIGTERM kills the main process, and its workers end later by themselves;"
    " with it they are told to end in the middle of a batch, and their items run",
    *("answer", "status"),
    sometimes=True,
)
TOLD = fault(
    "the main process tells its workers to end while their items run", "status", sometimes=True
)

ROWS = [
    Row(
        "Ray, a task",
        "on_ray.py task",
        write="`graceexit.shutdown()` in the task's `finally`, an item of order -1 that waits",
        faults=dict.fromkeys(ALONE, CUT),
        **RAY,
    ),
    Row(
        "Ray, an actor",
        "on_ray.py actor",
        write="an item of order -1 that waits for `actor.__ray_terminate__.remote()`",
        faults=dict.fromkeys(ALONE, CUT),
        **RAY,
    ),
    Row(
        "Ray Serve",
        "on_ray_serve.py PORT DIR redeploy",
        faults=dict.fromkeys(ALONE, CUT),
        reload=Reload("touch"),
        **{**SERVE, "columns": ("term", "worker", "group", "reload")},
    ),
    Row(
        "Ray Serve, autoscaling",
        "on_ray_serve.py PORT DIR 'scale down'",
        lone=True,
        reload=Reload("touch", one=True),
        **{**SERVE, "columns": ("reload",), "workers": 2},
    ),
    Row(
        "Ray Serve, `serve.delete()`",
        "on_ray_serve.py PORT DIR delete",
        lone=True,
        reload=Reload("touch"),
        **{**SERVE, "columns": ("reload",)},
    ),
    Row(
        "Ray Serve, `serve.shutdown()`",
        "on_ray_serve.py PORT DIR 'shut down'",
        reload=Reload("touch", ends=True),
        **{**SERVE, "columns": ("reload",)},
    ),
    Row(
        "Ray Serve, `serve run`",
        "-m ray.serve.scripts run on_ray_serve:build port=PORT",
        faults={"term": CUT},
        **SERVE,
    ),
    *[
        Row(
            f"torch DataLoader, {words}",
            f"on_dataloader.py {words}",
            faults={"term": LEFT, "group": TOLD},
            **TORCH,
        )
        for words in ("fork", "spawn", "fork persistent")
    ],
    Row(
        "torchrun",
        "-m torch.distributed.run --nproc-per-node 2 --master-port PORT on_torchrun.py",
        **{**TORCH, "workers": 2},
    ),
    Row(
        "PySpark, a worker",
        "on_pyspark.py",
        "^imported ",
        ("pyspark",),
        workers=2,
        columns=ALONE,
        client="",
        restless=True,
        venv="heavy",
        env={"PYSPARK_PYTHON": "PYTHON"},
        faults={"term": JOB, "group": PRESSED},
        write="`graceexit.shutdown()` at the end of a partition, and a thread around the job",
    ),
]
