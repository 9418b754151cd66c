"""logging: a QueueListener writes in a thread of its own, here to a handler that takes 5 ms."""

import logging
import os
import queue
import time
from logging.handlers import QueueHandler, QueueListener

import graceexit


class Slow(logging.FileHandler):
    """Take as long as a handler that writes over the network."""

    def emit(self, record):
        """Write a line."""
        time.sleep(0.005)
        super().emit(record)


messages = queue.SimpleQueue()
listener = QueueListener(messages, Slow(os.environ["ADDRESS"]))
listener.start()
graceexit.on_exit(listener.stop, order=1000)
logger = logging.getLogger("app")
logger.addHandler(QueueHandler(messages))


def send(item):
    """Log an item."""
    logger.warning(item)
