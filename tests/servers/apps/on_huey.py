"""huey: what the main process has, and what each process that it forks begins with."""

import os

import service
from huey import RedisHuey

loaded_by = os.getpid()
huey = RedisHuey(url=os.environ["BROKER"])
huey.task()(service.answer)


@huey.on_startup()
def begin():
    """Begin in a worker that is a process; with threads this comes in the main process."""
    if os.getpid() != loaded_by:
        service.begin()
