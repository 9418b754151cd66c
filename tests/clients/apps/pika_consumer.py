"""pika: a thread consumes from a blocking connection, and acknowledges what it has handled."""

import os
import threading
import time

import pika

import graceexit

host, port = os.environ["ADDRESS"].split(":")
parameters = pika.ConnectionParameters(host, int(port))
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
channel.basic_qos(prefetch_count=1)


def handle(channel, method, properties, body):
    """Take a while for a message, and pass it on."""
    time.sleep(0.005)
    channel.basic_publish("", "handled", body)
    channel.basic_ack(method.delivery_tag)


def consume():
    """Consume until somebody stops it; what is acknowledged by then is sent by `close`."""
    channel.start_consuming()
    connection.close()


channel.queue_declare("items")
channel.queue_declare("handled")
channel.basic_consume("items", handle)
thread = threading.Thread(target=consume)
thread.start()
graceexit.register(thread, stop=lambda: connection.add_callback_threadsafe(channel.stop_consuming))
publisher = pika.BlockingConnection(parameters).channel()
publisher.confirm_delivery()


def send(item):
    """Publish an item, which is in the queue when this returns."""
    publisher.basic_publish("", "items", item.encode())
