"""watchdog: an observer's thread handles each new file."""

import os
import threading
import time
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

import graceexit

address = Path(os.environ["ADDRESS"])
folder = address.with_suffix(".d")
folder.mkdir()
begun = threading.Semaphore(0)


class Handler(FileSystemEventHandler):
    """Take a while for a file, and write down that it has come."""

    def on_created(self, event):
        """Handle a new file."""
        begun.release()
        time.sleep(0.2)
        with address.open("a", encoding="utf-8") as file:
            file.write(Path(event.src_path).name)


observer = Observer()
observer.schedule(Handler(), folder)
observer.start()
graceexit.register(observer, stop=observer.stop)


def send(item):
    """Make a file, and wait until its handling has begun."""
    (folder / item).touch()
    begun.acquire()
