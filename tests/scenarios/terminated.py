"""A program with its own SIGTERM handler, and a job of nine seconds that must finish."""

import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import graceexit


def job():
    begun.set()
    time.sleep(9)
    print("the job is done")


def handler(*_):
    print("the handler of the program")
    sys.exit(4)


signal.signal(signal.SIGTERM, handler)
graceexit.on_exit(lambda: print("closed"))
begun = threading.Event()
pool = ThreadPoolExecutor()
pool.submit(job)
begun.wait()
print("ready")  # in the middle of `submit` a worker might get lost
while True:
    time.sleep(0.01)
