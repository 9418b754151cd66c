"""
Granian: whatever a request has queued is in the database once the worker has ended.

granian --interface asgi --workers 2 --workers-kill-timeout 27 03_granian:app
"""

import os
import queue
import sqlite3
import threading

import graceexit

# Callbacks run on a helper thread, not on the one that opens the database here.
database = sqlite3.connect(os.environ.get("DATABASE", "visits.db"), check_same_thread=False)
database.execute("CREATE TABLE IF NOT EXISTS visit (path)")
visits = queue.SimpleQueue()


def write_for_ever():
    """Write what is queued, up to the None that is the stop."""
    for path in iter(visits.get, None):
        with database:
            database.execute("INSERT INTO visit VALUES (?)", [path])


thread = threading.Thread(target=write_for_ever, name="writer")
thread.start()
graceexit.register(thread, stop=lambda: visits.put(None))
graceexit.on_exit(database.close)


async def app(scope, receive, send):
    """Queue the path, and answer."""
    if scope["type"] == "http":
        visits.put(scope["path"])
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body"})
