"""
Finish what a pool of processes has in hand, at SIGTERM and at Ctrl-C.

python 20_pool.py   end it with Ctrl-C, or with kill and its pid
"""

import multiprocessing
import signal
import time

import graceexit


def leave_ctrl_c_to_the_parent():
    """Ctrl-C reaches every process of the terminal, and would end a worker in its task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def work(number):
    """Do what one of your tasks does."""
    time.sleep(0.2)
    return number


if __name__ == "__main__":
    pool = multiprocessing.Pool(2, initializer=leave_ctrl_c_to_the_parent)
    graceexit.on_exit(pool.join, timeout=30)  # waits for what has been handed in
    graceexit.on_exit(pool.close)  # takes no more: the callback registered last runs first

    for number in range(10):
        pool.apply_async(work, [number], callback=lambda done: print("done", done, flush=True))
    print("handed in 10 tasks", flush=True)
    while not graceexit.exiting.wait(1):
        pass  # hand in more
