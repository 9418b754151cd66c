"""
Ray, with work in a process of its own: `on_ray.py task` or `on_ray.py actor`.

A task cleans up at its end, for Ray kills the process when the program has ended. An actor is asked
to end, when it has done what it was asked before. The program waits for both.
"""

import os
import signal
import sys
import time

import ray

os.environ["OUTPUT"] = f"/proc/{os.getpid()}/fd/1"


def work():
    """Load the application in this process."""
    import elsewhere  # noqa: F401
    import service

    return service


@ray.remote(max_retries=0)
def task():
    """Do what takes a while."""
    service = work()
    try:
        return service.answer()
    finally:
        if not service.PLAIN:
            import graceexit

            graceexit.shutdown()


@ray.remote(max_restarts=0)
class Actor:
    """A process that stays."""

    def __init__(self):
        """Begin."""
        self.service = work()

    def answer(self):
        """Do what takes a while."""
        return self.service.answer()


if __name__ == "__main__":
    import service

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    if sys.argv[1] == "task":
        task = task.remote()

        def ends():
            """Return what ends when the work has ended."""
            return task
    else:
        actor = Actor.remote()
        actor.answer.remote()

        def ends():
            """Return what ends when the work has ended."""
            return actor.__ray_terminate__.remote()

    if not service.PLAIN:
        import graceexit

        @graceexit.on_exit(order=-1, timeout=10)
        def wait():
            """Have the work end before Ray does, which aborts 3 s after SIGTERM by an alarm."""
            signal.alarm(0)
            ray.wait([ends()], timeout=5)

    try:
        while True:
            time.sleep(0.05)
    finally:
        signal.alarm(0)  # by it Ray aborts a program that takes 3 s, as it may on a busy machine
