"""
Ray Serve: `on_ray_serve.py PORT FOLDER HOW`, or `serve run on_ray_serve:build port=PORT`.

Serve calls `__del__` of a replica when its requests have ended, and then kills its process. When
the driver touches its file, replicas end in the way HOW.
"""

import asyncio
import atexit
import os
import signal
import sys
import time
from pathlib import Path

import ray
from ray import serve

PLAIN = os.environ.get("PLAIN") == "1"
os.environ.setdefault("OUTPUT", f"/proc/{os.getpid()}/fd/1")
# As quick as can be: two replicas while there are two requests, and then one.
SCALE = {
    "min_replicas": 1,
    "max_replicas": 2,
    "target_ongoing_requests": 1,
    "upscale_delay_s": 0,
    "downscale_delay_s": 0,
    "metrics_interval_s": 0.1,
    "look_back_period_s": 0.2,
}


@serve.deployment(max_ongoing_requests=1, ray_actor_options={"num_cpus": 0})
class Replica:
    """A process that answers."""

    def __init__(self):
        """Begin."""
        import elsewhere  # noqa: F401
        import service

        self.service = service

    async def __call__(self, request):
        """Answer."""
        return await self.service.answer_async()

    async def keep_busy(self, told):
        """Take no request until the blow."""
        told.touch()
        while not self.service.is_struck():  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    if not PLAIN:

        def __del__(self):
            """Clean up, for Ray kills the process next."""
            import graceexit

            graceexit.shutdown()


def start(port):
    """Start Serve."""
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"port": int(port)})


def begin():
    """Load the application in the program, too."""
    import service  # noqa: F401

    if PLAIN:
        atexit.register(signal.alarm, 0)  # or it would abort, or not, depending on the instant
    else:
        import graceexit

        graceexit.on_exit(end_replicas, order=-1, timeout=None)


def end_replicas():
    """Have them end before Ray does, and only then what takes their answers to the clients."""
    signal.alarm(0)  # Ray has set it, to abort the program 3 s after SIGTERM
    for name in serve.status().applications:
        serve.delete(name)
    serve.shutdown()


def build(arguments):
    """Return the application: in the program, not in a replica."""
    start(arguments["port"])
    begin()
    return Replica.options(num_replicas=2).bind()


if __name__ == "__main__":
    port, folder, how = sys.argv[1:]
    touched = Path(folder, "touched.py")
    before = touched.stat().st_mtime
    if how == "scale down":  # ends the newest, so that the other is kept busy until it is there
        start(port)
        busy = Path(folder, "busy")
        serve.run(Replica.options(autoscaling_config=SCALE).bind()).keep_busy.remote(busy)
        while not busy.exists():
            time.sleep(0.05)
        begin()
    else:
        app = build({"port": port})
        serve.run(app)
    while touched.stat().st_mtime == before:
        time.sleep(0.05)
    if how == "redeploy":
        serve.run(app)
    elif how == "delete":
        serve.delete("default")
    elif how == "shut down":
        serve.shutdown()
    while how != "shut down":
        time.sleep(0.05)
