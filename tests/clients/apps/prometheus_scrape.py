"""prometheus_client: its HTTP server answers a scrape in a thread, here after a second."""

import os
import threading
import time

from prometheus_client import CollectorRegistry, Counter, start_http_server

import graceexit

registry = CollectorRegistry()
begun = threading.Event()


class Slow:
    """Take as long as a collector that asks a database."""

    def collect(self):
        """Say that a scrape has begun, and be slow."""
        begun.set()
        time.sleep(1)
        return []


registry.register(Slow())
counter = Counter("items", "items", ["item"], registry=registry)
port = int(os.environ["ADDRESS"])
server, thread = start_http_server(port, "127.0.0.1", registry)
server.daemon_threads = False
graceexit.on_exit(server.server_close)
graceexit.register(thread, stop=server.shutdown)


def send(item):
    """Wait until the next scrape has begun, and count an item."""
    begun.clear()
    begun.wait()
    counter.labels(item).inc()
