"""Wait for a signal, or die of one as a server does that has restored the default action."""

import os
import signal
import sys
import time

import graceexit

graceexit.on_exit(lambda: print("closed"))
print("process", os.getpid())
if sys.argv[1] == "raises":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
    print("the kernel has dropped it")
    sys.exit(3)
while True:
    time.sleep(0.01)
