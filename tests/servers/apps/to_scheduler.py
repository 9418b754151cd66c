"""Put a coroutine in flight on the loop of Dask's scheduler; nobody is told what comes of it."""

import os
import sys

from distributed import Client


async def answer():
    """Answer, in the scheduler."""
    await __import__("service").answer_async()


if sys.argv[1] == "put":
    with Client(os.environ["SCHEDULER"]) as client:
        client.run_on_scheduler(answer, wait=False)
