"""
joblib, whose workers are loky's: `on_joblib.py` or `on_joblib.py thread`.

SIGTERM unwinds the main thread, and a call of Parallel that is left by an exception kills its
workers. In a thread of its own the call comes to its end.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import service
from joblib import Parallel, delayed


def task():
    """Do what takes a while, in a worker, which loads the application for it."""
    return service.answer()


def run():
    """Run two tasks at once."""
    Parallel(n_jobs=2)(delayed(task)() for _ in range(2))


if sys.argv[1:]:
    ThreadPoolExecutor(1).submit(run).result()
else:
    run()
while True:
    time.sleep(0.01)
