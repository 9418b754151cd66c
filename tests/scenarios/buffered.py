"""Print into a buffer, from the main thread and an item, while a signal is on its way."""

import os
import signal
import sys
import time

import graceexit

name, *again = sys.argv[1:]
signum = getattr(signal, name)
graceexit.on_exit(lambda: print("closed"))
print("serving")
if again:  # as a server does that has drained
    signal.signal(signum, signal.SIG_DFL)
    signal.raise_signal(signum)
os.kill(os.getpid(), signum)
while True:
    time.sleep(0.01)
