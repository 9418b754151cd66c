"""Put a task in flight, or say what has come of it."""

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["BROKER"])
if sys.argv[1] == "put":
    broker.enqueue(
        dramatiq.Message(queue_name="default", actor_name="answer", args=(), kwargs={}, options={})
    )
else:
    print("kept" if broker.client.hlen("dramatiq:default.msgs") else "done")
