"""Put a task in flight, or say what has come of it."""

import os
import sys

from huey import RedisHuey

huey = RedisHuey(url=os.environ["BROKER"])


def answer():
    """Stand for the task, which the workers have."""


answer.__module__ = "service"
task = huey.task()(answer).s(id="task")
if sys.argv[1] == "put":
    huey.enqueue(task)
else:
    kept = [one.id for one in huey.pending()]
    print("kept" if kept else huey.result("task"))
