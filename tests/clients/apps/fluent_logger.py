"""fluent-logger: the asynchronous sender has a queue and a thread."""

import os

from fluent.asyncsender import FluentSender

import graceexit

host, port = os.environ["ADDRESS"].split(":")
sender = FluentSender("app", host, int(port))
graceexit.on_exit(sender.close)


def send(item):
    """Emit an item."""
    sender.emit("items", {"item": item})
