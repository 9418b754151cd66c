"""
Dask: a program with a cluster of its own ends when the tasks that it has accepted are done.

python 19_dask_cluster.py FOLDER

SIGTERM leaves the loop as Ctrl-C does. Each worker writes what it has when its tasks are done.
"""

import signal
import sys
from pathlib import Path

from distributed import Client, LocalCluster, get_worker, wait

import graceexit


def dask_setup(worker):
    """Have a worker write at its end, and leave Ctrl-C to the program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker.rows, path = [], Path(sys.argv[1], str(worker.name))
    graceexit.on_exit(lambda: path.write_text("\n".join(worker.rows)))


def write(number):
    """Be a task."""
    get_worker().rows.append(str(number))


if __name__ == "__main__":
    graceexit.install(linger=30)  # the tasks may take so long
    options = {"n_workers": 2, "threads_per_worker": 1, "preload": [__file__]}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        tasks = []
        try:
            while True:
                tasks.append(client.submit(write, len(tasks)))
                print("accepted", len(tasks) - 1, flush=True)
        finally:
            wait(tasks)
