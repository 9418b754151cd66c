"""A program with its own SIGTERM handler, and a job of nine seconds that must finish."""

import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import graceexit


def job():
    print("ready")
    time.sleep(9)
    print("the job is done")


def handler(*_):
    print("the handler of the program")
    sys.exit(4)


signal.signal(signal.SIGTERM, handler)
graceexit.on_exit(lambda: print("closed"))
pool = ThreadPoolExecutor()  # kept: an exception is lost where Python calls back as it is collected
pool.submit(job)
while True:
    time.sleep(0.01)
