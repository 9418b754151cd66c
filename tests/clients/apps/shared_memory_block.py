"""multiprocessing: a block of shared memory."""

import itertools
import os
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import graceexit

address = Path(os.environ["ADDRESS"])
memory = SharedMemory(create=True, size=1 << 16)
places = itertools.count(step=16)


def save():
    """Write what is in the block."""
    address.write_bytes(bytes(memory.buf))


graceexit.on_exit(memory.unlink)
graceexit.on_exit(save)


def send(item):
    """Put an item into the block."""
    place = next(places)
    memory.buf[place : place + len(item)] = item.encode()
