"""
An application's own test of its clean-up, with a registry that has nothing to do with the process.

pytest 13_test_cleanup.py
"""

import queue
import threading

import graceexit


class Outbox:
    """What is put in is sent by a thread; its owner says which registry ends it."""

    def __init__(self, send, registry=graceexit):
        self.put = (messages := queue.SimpleQueue()).put
        self.thread = threading.Thread(target=lambda: [send(m) for m in iter(messages.get, None)])
        self.thread.start()
        registry.register(self.thread, stop=lambda: messages.put(None))
        registry.on_exit(lambda: send("closed"))


def test_the_rest_is_sent_before_the_connection_is_closed():
    """Leaving the `with` block is the exit."""
    sent = []
    with graceexit.Registry() as registry:
        outbox = Outbox(sent.append, registry)
        outbox.put("hello")
    assert sent == ["hello", "closed"]
    assert not outbox.thread.is_alive()


def test_a_connection_that_fails_to_close_is_reported():
    """The report names each item, and says how it went."""
    registry = graceexit.Registry()
    Outbox({"hello": print}.__getitem__, registry)
    report = registry.run()
    assert [result.outcome for result in report.results] == ["done", "failed"]
    assert isinstance(report.results[1].error, KeyError)
