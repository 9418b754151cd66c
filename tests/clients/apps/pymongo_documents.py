"""pymongo: a thread inserts what has been collected, every minute."""

import os
import queue
import threading

from pymongo import MongoClient

import graceexit

client = MongoClient(os.environ["ADDRESS"])
graceexit.on_exit(client.close)
collected = queue.SimpleQueue()
stop = threading.Event()


def insert():
    """Insert once a minute, and at the end."""
    last = False
    while not last:
        last = stop.wait(60)
        if documents := [{"item": collected.get()} for _ in range(collected.qsize())]:
            client.app.items.insert_many(documents)


thread = threading.Thread(target=insert)
thread.start()
graceexit.register(thread, stop=stop)


def send(item):
    """Collect an item."""
    collected.put(item)
