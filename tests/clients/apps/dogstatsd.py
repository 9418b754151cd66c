"""DogStatsd: metrics are buffered."""

import os

from datadog.dogstatsd import DogStatsd

import graceexit

host, port = os.environ["ADDRESS"].split(":")
statsd = DogStatsd(host, int(port), disable_buffering=False, flush_interval=10)
graceexit.on_exit(statsd.flush)


def send(item):
    """Count an item."""
    statsd.increment("items", tags=[item])
