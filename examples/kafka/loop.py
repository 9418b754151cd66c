"""A synchronous Kafka client in a web application: a queue, and a loop that sends what is in it."""

import os
import queue
import threading

from kafka import KafkaProducer

messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
stop = threading.Event()
producer = KafkaProducer(bootstrap_servers=os.environ["KAFKA"], linger_ms=0)


def flush_for_ever() -> None:
    """Send what is queued, twenty times a second; once told to stop, send the rest and return."""
    stopping = False
    while not stopping:
        stopping = stop.wait(0.05)
        while not messages.empty():
            producer.send(os.environ["TOPIC"], messages.get())
        producer.flush()
