"""Put a task in flight, or say what has come of it."""

import os
import sys

from celery import Celery

app = Celery(broker=os.environ["BROKER"], backend=os.environ["BROKER"])
if sys.argv[1] == "put":
    app.send_task("answer", task_id="task")
else:
    print(app.AsyncResult("task").state)
