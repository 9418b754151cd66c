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
    graceexit.on_exit(lambda: print("worker closed"))
    both.wait()


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
        getattr(pool, how)()
        pool.join()
    print("joined")
