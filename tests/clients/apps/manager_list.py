"""multiprocessing: a Manager is a process, which has what the others share."""

import os
from multiprocessing import Manager
from pathlib import Path

import graceexit

address = Path(os.environ["ADDRESS"])
manager = Manager()
items = manager.list()


def write():
    """Write what is shared."""
    address.write_text("\n".join(items), encoding="utf-8")


graceexit.on_exit(manager.shutdown)
graceexit.on_exit(write)


def send(item):
    """Share an item."""
    items.append(item)
