"""Do to the exit what is told, until the file exists that is named last."""

import atexit
import os
import sys
import threading
import time
from pathlib import Path

import graceexit

what, how, go = sys.argv[1:]


def say_and_wait(text):
    print(text)
    while not Path(go).exists():
        time.sleep(0.01)


def stuck():
    while True:
        time.sleep(0.01)


atexit.register(say_and_wait if what == "exit function" else print, "exit function")
graceexit.install(linger=0.2 if what in ("swallow", "thread") else 3600)
if what == "exit function":
    graceexit._ender.EXIT_FUNCTIONS = 3600
if what == "stuck":
    thread = threading.Thread(target=stuck, name="stuck")
    thread.start()
    graceexit.register(thread, stop=lambda: print("told"), timeout=0.2)
if what == "thread":
    threading.Thread(target=stuck).start()
graceexit.on_exit(lambda: print("closed"))
graceexit.on_exit(lambda: say_and_wait("closing") if what == "callback" else print("closing"))
if how == "ends":
    print("ready")
    sys.exit(7)
while True:
    try:
        print("ready")
        while True:
            time.sleep(0.01)
    except SystemExit:
        if what != "swallow":
            raise
        print("swallowed")
    finally:
        if what == "finally":
            say_and_wait("unwinding")
            print("unwound")
        if what == "_exit":
            os._exit(9)
