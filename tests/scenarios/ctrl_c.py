"""The main thread has ended; Ctrl-C comes while that thread is waited for, or an item runs."""

import sys
import threading
import time

import graceexit
from graceexit import _ender, _signals

_ender.PATIENCE = 0.7  # longer than two presses of Ctrl-C count as one
what, linger, *same = sys.argv[1:]
if same:
    _signals.SAME_PRESS = 60


def works_on():
    while True:
        time.sleep(0.01)


graceexit.install(linger=float(linger))
graceexit.on_exit(lambda: print("closed"))
if what == "thread":
    thread = threading.Thread(target=works_on, name="backup")
    thread.start()
elif what == "stop":
    graceexit.on_exit(lambda: print("closing"), order=-1)
    for name in ("one", "two"):
        thread = threading.Thread(target=works_on, name=name)
        thread.start()
        graceexit.register(thread, stop=lambda: None, timeout=None)
else:
    graceexit.on_exit(lambda: (print("closing"), works_on()), name="slow one", timeout=None)
graceexit.on_exit(lambda: print("the main thread has ended"), order=-1)
print("ready")
