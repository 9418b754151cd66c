"""sentry-sdk: events are sent by a thread."""

import os

import sentry_sdk

import graceexit

sentry_sdk.init(dsn=os.environ["ADDRESS"].replace("//", "//key@") + "/1")
graceexit.on_exit(sentry_sdk.flush)


def send(item):
    """Report an item."""
    sentry_sdk.capture_message(item)
