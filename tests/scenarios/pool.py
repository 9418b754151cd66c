"""A pool whose workers have something to close each, and how it ends."""

import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import graceexit

method, how = sys.argv[1:]


def initialize(both):
    global all_at_work
    all_at_work = both
    graceexit.on_exit(close)
    both.wait()


def close():
    time.sleep(0.5)  # for the main thread to hand its exception over, if there is one
    print("worker closed")


def spin(_):
    """Run Python code without end: Python may lose a signal that comes as the thread blocks."""
    all_at_work.wait()
    while True:
        pass


def work(_):
    print("busy", os.getpid())
    while how == "busy":
        time.sleep(0.01)


if __name__ == "__main__":
    graceexit.on_exit(lambda: print("parent closed"))
    context = multiprocessing.get_context(method)
    if how in ("busy", "idle"):
        with ProcessPoolExecutor(1, context, initialize, (context.Barrier(1),)) as executor:
            try:
                executor.submit(work, 0).result()
            except BrokenProcessPool:
                print("broken")
    else:
        both = context.Barrier(3)
        pool = context.Pool(2, initialize, (both,))
        both.wait()
        if how == "terminate":
            pool.map_async(spin, range(2), chunksize=1)
            both.wait()
        getattr(pool, how)()
        pool.join()
    print("joined")
