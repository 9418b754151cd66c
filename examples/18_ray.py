"""
Ray: what actors have accepted is written, for the program asks them to end and waits for it.

python 18_ray.py FOLDER
"""

import signal
import sys
from itertools import cycle
from pathlib import Path

import ray

import graceexit


@ray.remote
class Writer:
    """It keeps what it is given, and writes it when its process ends."""

    def __init__(self, path):
        self.rows = []
        graceexit.on_exit(lambda: path.write_text("\n".join(self.rows)))

    def write(self, number):  # noqa: D102
        self.rows.append(str(number))


if __name__ == "__main__":
    writers = [Writer.remote(Path(sys.argv[1], name)) for name in "ab"]

    @graceexit.on_exit(order=-1, timeout=None)
    def end_writers():
        """Have them end, after what they were asked before, and not be killed by Ray."""
        signal.alarm(0)  # Ray has set it, to abort the program 3 s after SIGTERM
        ray.wait([one.__ray_terminate__.remote() for one in writers], num_returns=2)

    for number, writer in enumerate(cycle(writers)):
        ray.get(writer.write.remote(number))
        print("accepted", number, flush=True)
