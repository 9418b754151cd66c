"""redis: a thread executes a pipeline of what has been collected, every minute."""

import os
import queue
import threading

import redis

import graceexit

host, port = os.environ["ADDRESS"].split(":")
client = redis.Redis(host, int(port))
collected = queue.SimpleQueue()
stop = threading.Event()


def execute():
    """Execute once a minute, and at the end."""
    last = False
    while not last:
        last = stop.wait(60)
        with client.pipeline() as pipeline:
            for _ in range(collected.qsize()):
                pipeline.rpush("handled", collected.get())
            pipeline.execute()


thread = threading.Thread(target=execute)
thread.start()
graceexit.register(thread, stop=stop)


def send(item):
    """Collect an item."""
    collected.put(item)
