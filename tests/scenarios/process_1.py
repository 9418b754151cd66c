"""Wait for a signal, or die of one as a server does that has restored the default action."""

import os
import signal
import sys
import time

import graceexit

how = sys.argv[1]
graceexit.install(linger=0.2)
graceexit.on_exit(lambda: print("closed"))
if how == "raises":
    print("process", os.getpid())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
    print("the kernel has dropped it")
    sys.exit(3)
try:
    print("process", os.getpid())
    while True:
        time.sleep(0.01)
except SystemExit:
    while how == "swallows":
        time.sleep(0.01)
    raise
