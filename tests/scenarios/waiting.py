"""Somebody else's work is in progress as the main thread ends: whose, is the first argument."""

import sys
import threading
import time

what, ends = sys.argv[1:]
if what == "executor first":
    from concurrent.futures import ThreadPoolExecutor
import graceexit
import graceexit._ender

if ends == "signal":
    graceexit._ender.PATIENCE = 0  # which is not for a process that is being ended
graceexit.install(linger=60)
graceexit.on_exit(lambda: print("closed"))


# From then on the others work; a handler may raise before anything that comes after "ready".
begun = graceexit.exiting if ends == "signal" else threading.Event()


def work():
    begun.wait()
    time.sleep(0.3)
    print("worked")


def poll():
    while threading.main_thread().is_alive():
        time.sleep(0.01)
    print("the main thread has ended")


class Client:
    """Owns a thread, as many clients do."""

    def __init__(self):
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.closing.wait)
        self.thread.start()

    def close(self):
        self.closing.set()
        self.thread.join()
        print("client closed")


if what == "client":
    graceexit.on_exit(Client().close, order=-1)
elif what.startswith("executor"):
    from concurrent.futures import ThreadPoolExecutor

    ThreadPoolExecutor().submit(work)
else:
    threading.Thread(target={"thread": work, "poller": poll}[what]).start()
print("ready")
while ends == "signal":
    time.sleep(0.01)
begun.set()
