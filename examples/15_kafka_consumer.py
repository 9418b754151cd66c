"""Consume from Kafka on the main thread: no message is lost, and none is processed twice."""

import os
import time

from kafka import KafkaConsumer, TopicPartition

import graceexit

consumer = KafkaConsumer(
    bootstrap_servers=os.environ["KAFKA"],
    group_id=os.environ["GROUP"],
    enable_auto_commit=False,
    auto_offset_reset="earliest",
)
consumer.assign([TopicPartition(os.environ["TOPIC"], 0)])
graceexit.on_exit(consumer.close)  # once the main thread has ended


def process(record):
    """Put a record where it belongs. A real one talks to a database here."""
    time.sleep(0.005)
    print("processed", record.value.decode(), flush=True)


# What has been polled is processed and committed before SIGTERM or Ctrl-C takes effect. It has
# five seconds for that: install(linger=60) gives it more.
with graceexit.hold():
    while not graceexit.exiting.is_set():
        for records in consumer.poll(timeout_ms=500, max_records=5).values():
            print("polled", len(records), flush=True)
            for record in records:
                process(record)
        consumer.commit()
        print("committed", flush=True)
