"""APScheduler 3: jobs run in a pool."""

import os
import threading
import time
from pathlib import Path

from apscheduler.schedulers.background import BackgroundScheduler

import graceexit

address = Path(os.environ["ADDRESS"])
begun = threading.Semaphore(0)


def work(item):
    """Take a while for a job, and write it down."""
    begun.release()
    time.sleep(0.2)
    with address.open("a", encoding="utf-8") as file:
        file.write(item)


scheduler = BackgroundScheduler()
scheduler.start()
graceexit.on_exit(scheduler.shutdown)


def send(item):
    """Add a job, and wait until it has begun."""
    scheduler.add_job(work, args=[item])
    begun.acquire()
