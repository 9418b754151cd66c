"""confluent-kafka: a producer sends in a thread of librdkafka."""

import os

from confluent_kafka import Producer

import graceexit

producer = Producer({"bootstrap.servers": os.environ["ADDRESS"], "linger.ms": 200})
graceexit.on_exit(producer.flush)


def send(item):
    """Produce an item."""
    producer.produce("messages", item.encode())
