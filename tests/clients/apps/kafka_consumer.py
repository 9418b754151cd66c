"""kafka-python: a thread consumes, passes on what it has handled, and commits."""

import os
import threading
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import graceexit

address = os.environ["ADDRESS"]
stop = threading.Event()


def consume():
    """Handle and commit, until it is told to stop."""
    consumer = KafkaConsumer(
        bootstrap_servers=address,
        group_id="app",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    consumer.assign([TopicPartition("messages", 0)])
    handled = KafkaProducer(bootstrap_servers=address)
    while not stop.is_set():
        for records in consumer.poll(timeout_ms=200, max_records=5).values():
            for record in records:
                time.sleep(0.005)
                handled.send("handled", record.value)
            handled.flush()
            consumer.commit()
    consumer.close()
    handled.close()


thread = threading.Thread(target=consume)
thread.start()
graceexit.register(thread, stop=stop)
producer = KafkaProducer(bootstrap_servers=address)


def send(item):
    """Produce an item, which is in the topic when this returns."""
    producer.send("messages", item.encode()).get()
