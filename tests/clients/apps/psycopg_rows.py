"""psycopg_pool: a thread inserts what has been collected, every minute."""

import os
import queue
import threading

from psycopg_pool import ConnectionPool

import graceexit

pool = ConnectionPool(os.environ["ADDRESS"], open=True)
graceexit.on_exit(pool.close)
collected = queue.SimpleQueue()
stop = threading.Event()


def insert():
    """Insert once a minute, and at the end."""
    last = False
    while not last:
        last = stop.wait(60)
        rows = [(collected.get(),) for _ in range(collected.qsize())]
        with pool.connection() as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO items VALUES (%s)", rows)


thread = threading.Thread(target=insert)
thread.start()
graceexit.register(thread, stop=stop)


def send(item):
    """Collect an item."""
    collected.put(item)
