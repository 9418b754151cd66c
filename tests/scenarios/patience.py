"""End while a thread that nobody has registered works, until the log says who is waited for."""

import logging
import threading
import time

import graceexit
from graceexit import _ender

_ender.PATIENCE = 0.2
_ender.LOOK = 0.05  # it would have the time to say it again
complained = threading.Event()


def upload():
    complained.wait()
    time.sleep(0.5)
    print("uploaded")


class Complaint(logging.Handler):
    """Lets the thread go on once the warning has been given."""

    def emit(self, record):
        print(record.levelname, record.getMessage())
        complained.set()


logging.getLogger("graceexit").addHandler(Complaint())
graceexit.on_exit(lambda: print("closed"))
threading.Thread(target=upload, name="uploader").start()
