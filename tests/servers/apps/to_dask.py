"""Put a task in flight, or say what has come of it."""

import os
import sys

from distributed import Client

with Client(os.environ["SCHEDULER"]) as client:
    if sys.argv[1] == "put":
        task = client.submit(lambda: __import__("service").answer(), key="task")
        client.publish_dataset(task=task)
    else:
        print(client.get_dataset("task").status)
