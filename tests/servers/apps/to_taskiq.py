"""Put a task in flight, or say what has come of it."""

import asyncio
import os
import sys

from taskiq.kicker import AsyncKicker
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

results = RedisAsyncResultBackend(os.environ["BROKER"])
broker = ListQueueBroker(os.environ["BROKER"]).with_result_backend(results)


async def main():
    """Put or get."""
    await broker.startup()
    if sys.argv[1] == "put":
        await AsyncKicker("answer", broker, {}).with_task_id("task").kiq()
    else:
        print("done" if await results.is_result_ready("task") else "lost")
    await broker.shutdown()


asyncio.run(main())
