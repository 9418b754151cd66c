"""An item forks, on a helper or where none can be started; its child does what is told."""

import os
import signal
import sys

import refusing

import graceexit

what, where = sys.argv[1:]

parent = os.getpid()


@graceexit.on_exit
def closes_last():
    print("closed", os.getpid() == parent)


@graceexit.on_exit
def forks():
    child = os.fork()
    if child == 0:
        if what == "returns":
            return
        if what == "begins anew":
            print("exiting", graceexit.exiting.is_set())
            handler = signal.getsignal(signal.SIGINT)
            print("Python's handler", handler is signal.default_int_handler)
            graceexit.on_exit(lambda: print("cleaned up"))
            graceexit.shutdown()
        os._exit(5)
    print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


graceexit.on_exit(lambda: print("opened", os.getpid() == parent))
if where == "main":
    refusing.allow(0)
