"""Fork while the process ends, at the place told; the child ends in the way told, as 5."""

import atexit
import os
import sys
import threading
import time

import graceexit

where, ends = sys.argv[1:]
parent = os.getpid()


def fork():
    child = os.fork()
    if child:
        print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return
    if ends == "registers":
        graceexit.on_exit(lambda: print("child closed"))
    elif ends == "os._exit":
        os._exit(5)
    sys.exit(5)


def fork_in_the_end():
    while threading.main_thread().is_alive():
        time.sleep(0.01)
    fork()


graceexit.install(linger=60)
graceexit.on_exit(lambda: print("closed", os.getpid() == parent))
if where == "hook":
    threading._register_atexit(fork)
elif where == "exit function":
    atexit.register(fork)
elif where == "thread":
    threading.Thread(target=fork_in_the_end).start()
try:
    print("ready")
    while True:
        time.sleep(0.01)
finally:
    if where == "finally" and os.getpid() == parent:
        fork()
