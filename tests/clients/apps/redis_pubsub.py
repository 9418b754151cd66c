"""redis: a subscriber in a thread of its own."""

import os
import time

import redis

import graceexit

host, port = os.environ["ADDRESS"].split(":")
client = redis.Redis(host, int(port))


def handle(message):
    """Take a while for a message."""
    time.sleep(0.005)
    client.rpush("handled", message["data"])


pubsub = client.pubsub()
pubsub.subscribe(items=handle)
thread = pubsub.run_in_thread(sleep_time=0.1)
graceexit.register(thread, stop=thread.stop)


def send(item):
    """Publish an item, and wait until it has been handled."""
    before = client.llen("handled")
    client.publish("items", item)
    while client.llen("handled") == before:
        time.sleep(0.001)
