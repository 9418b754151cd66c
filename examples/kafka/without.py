"""The same with what the standard library has: a daemon thread or an ordinary one, and `atexit`."""

import atexit
import os
import threading

from loop import flush_for_ever, messages, producer, stop

__all__ = ["messages"]

thread = threading.Thread(target=flush_for_ever, daemon=os.environ["CLEANUP"] == "daemon")
thread.start()


@atexit.register
def close_producer() -> None:
    """Stop the thread and close the client, if anybody calls this."""
    stop.set()
    thread.join(5)
    producer.close(timeout=5)
