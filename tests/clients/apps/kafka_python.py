"""kafka-python: a producer sends in a thread of its own."""

import os

from kafka import KafkaProducer

import graceexit

producer = KafkaProducer(bootstrap_servers=os.environ["ADDRESS"], linger_ms=200)
graceexit.on_exit(producer.close)


def send(item):
    """Produce an item."""
    producer.send("messages", item.encode())
