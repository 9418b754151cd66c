"""prometheus_client: what has been counted is pushed at the end of a job."""

import os
from functools import partial

from prometheus_client import CollectorRegistry, Counter, push_to_gateway

import graceexit

registry = CollectorRegistry()
counter = Counter("items", "items", ["item"], registry=registry)
push = partial(push_to_gateway, os.environ["ADDRESS"], "app", registry)
graceexit.on_exit(push)


def send(item):
    """Count an item."""
    counter.labels(item).inc()
