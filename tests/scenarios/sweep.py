"""Signal one forked child after the other, each before the next line of graceexit that it runs."""

import atexit
import io
import linecache
import mmap
import os
import signal
import sys
import threading
import time
from pathlib import Path

import graceexit
import graceexit._exit
import graceexit._report
import graceexit._runner  # now, for the lines of a module are not what is swept

when, name, step = sys.argv[1:]
signum = signal.Signals[name]
PACKAGE = str(Path(graceexit.__file__).parent)
landed = mmap.mmap(-1, 1)
lines = number = 0


def trace(frame, event, arg):
    global lines
    code = frame.f_code
    if not code.co_filename.startswith(PACKAGE):
        return None
    # Python itself handles no signal at a `try`, nor where a `with` is left, which is traced too.
    line = linecache.getline(code.co_filename, frame.f_lineno).lstrip()
    if event == "line" and not line.startswith(("try:", "with ")):
        lines += 1
        if lines == number:
            sys.settrace(None)
            landed[0] = 1
            print(f"landed in {code.co_name}, {Path(code.co_filename).name}:{frame.f_lineno}")
            signal.raise_signal(signum)
    return trace


def swept(function):
    sys.settrace(trace)
    try:
        function()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        sys.settrace(None)


def work():
    stop.wait()
    print("stopped")


def register():
    graceexit.register(thread, stop=stop)
    graceexit.on_exit(lambda: print("closed"))


number = 1
while child := os.fork():
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("status", code)
    if not landed[0]:
        os._exit(0)
    landed[0] = 0
    number += int(step)

if signum == signal.SIGTERM and when != "dies":
    signal.signal(signum, lambda *_: sys.exit(5))  # as somebody's handler does
sys.stderr = io.StringIO()  # Python prints tracebacks by pieces, which get between the lines
atexit.register(print, "exit function")
stop = threading.Event()
thread = threading.Thread(target=work)
thread.start()
if when == "installs":
    swept(graceexit.install)
register()
if when == "shutdown":
    swept(graceexit.shutdown)
if when in ("ends", "dies"):
    sys.settrace(trace)
if when == "dies":
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        time.sleep(0.01)
