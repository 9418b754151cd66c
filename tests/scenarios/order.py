"""Threads and callbacks of several orders, registered in an order of their own."""

import functools
import sys
import threading
import time

import graceexit

stop = threading.Event()
worker = threading.Thread(target=stop.wait, daemon=True)
worker.start()


def thread(name, order):
    own_stop = threading.Event()
    own = threading.Thread(target=own_stop.wait)
    own.start()
    graceexit.register(own, stop=lambda: (print("stop", name), own_stop.set()), order=order)


def callback(name, order):
    graceexit.on_exit(lambda: print("call", name), order=order)


callback("first", -(10**9))
thread("a", 0)
callback("b", 0)
thread("c", 1)
callback("d", -1)
callback("e", 0)
thread("f", -1)
callback("g", 1)
thread("h", 0)
graceexit.on_exit(lambda: callback("late, now", 0), order=-2)
graceexit.on_exit(lambda: callback("late, of a past order", -5), order=0)
late = functools.partial(graceexit.register, worker, order=2)
graceexit.on_exit(lambda: late(stop=lambda: (print("stop late"), stop.set())), order=2)
callback("last", 10**9)
threading.Thread(target=lambda: (time.sleep(0.2), print("an ordinary thread ends"))).start()
print("ready")
while sys.argv[1] == "SIGTERM":
    time.sleep(0.01)
