"""End, and leave a child behind that has closed the output or keeps it: say which."""

import os
import sys
import time

if os.fork() == 0:
    if sys.argv[1] == "closed":
        os.close(1)
        os.close(2)
    while True:
        time.sleep(0.01)
print("the parent ends", flush=True)
os._exit(3)
