"""Print into a buffer, from the main thread and an item, while a signal is on its way."""

import os
import signal
import sys
import time

import graceexit

graceexit.on_exit(lambda: print("closed"))
print("serving")
os.kill(os.getpid(), getattr(signal, sys.argv[1]))
while True:
    time.sleep(0.01)
