"""The flush loop, ended properly: this is all that an application writes."""

import threading

import graceexit
from loop import flush_for_ever, messages, producer, stop

__all__ = ["messages"]

thread = threading.Thread(target=flush_for_ever, name="flush loop")
thread.start()
graceexit.register(thread, stop=stop, timeout=5)


@graceexit.on_exit(timeout=6)
def close_producer() -> None:
    """Close the client, once the thread that uses it is gone."""
    producer.close(timeout=5)
