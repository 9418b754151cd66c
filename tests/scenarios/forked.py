"""Register, then fork; the child does what the arguments say, and the parent waits for it."""

import os
import sys
import threading
import time

import graceexit

words = sys.argv[1:]
if "logging" in words:
    import logging

    logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s")
parent = os.getpid()


def say(what):
    print("parent" if os.getpid() == parent else "child", what)


stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
graceexit.register(thread, stop=lambda: (say("stops the thread"), stop.set()))
graceexit.on_exit(lambda: say("closes"))
if "each" in words:
    graceexit.on_exit(lambda: say("closes its own"), each_process=True)
child = os.fork()
if child == 0:
    if "registers" in words:
        graceexit.on_exit(lambda: say("closes what it has opened"))
    print("ready", os.getpid())
    while "waits" in words:
        time.sleep(0.01)
    sys.exit(7)
_, status = os.waitpid(child, 0)
print("exit code", os.waitstatus_to_exitcode(status))
