"""asyncio: a loop in a thread, whose task writes what it has collected when it is cancelled."""

import asyncio
import os
import threading
from pathlib import Path

import graceexit

address = os.environ["ADDRESS"]
collected = []
started = threading.Event()


def write():
    """Write what has been collected."""
    Path(address).write_text("\n".join(collected))


async def collect():
    """Write once an hour, and at the end."""
    global loop, task
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    started.set()
    try:
        await asyncio.sleep(3600)
    finally:
        write()


def run():
    """Run the loop until its task has ended."""
    try:
        asyncio.run(collect())
    except asyncio.CancelledError:
        pass


loop = task = None
thread = threading.Thread(target=run)
thread.start()
started.wait()
graceexit.register(thread, stop=lambda: loop.call_soon_threadsafe(task.cancel))


def send(item):
    """Collect an item."""
    loop.call_soon_threadsafe(collected.append, item)
