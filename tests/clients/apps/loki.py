"""python-logging-loki: a QueueListener posts each record."""

import logging
import os
from queue import Queue

from logging_loki import LokiQueueHandler

import graceexit

handler = LokiQueueHandler(Queue(-1), url=f"{os.environ['ADDRESS']}/loki/api/v1/push", version="1")
graceexit.on_exit(handler.listener.stop, order=1000)
logger = logging.getLogger("loki")
logger.addHandler(handler)


def send(item):
    """Log an item."""
    logger.warning(item)
