"""boto3: a thread uploads what has been collected, every minute."""

import io
import os
import queue
import threading

import boto3

import graceexit

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["ADDRESS"],
    region_name="us-east-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",  # noqa: S106
)
collected = queue.SimpleQueue()
stop = threading.Event()


def upload():
    """Upload once a minute, and at the end; boto3 does it in a pool of its own."""
    last = False
    while not last:
        last = stop.wait(60)
        rows = [collected.get() for _ in range(collected.qsize())]
        s3.upload_fileobj(io.BytesIO("\n".join(rows).encode()), "items", "part")


thread = threading.Thread(target=upload)
thread.start()
graceexit.register(thread, stop=stop)


def send(item):
    """Collect an item."""
    collected.put(item)
