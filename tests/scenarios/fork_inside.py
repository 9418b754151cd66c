"""An item forks, and its child ends in the way told: by `os._exit`, or by returning."""

import os
import sys

import graceexit

parent = os.getpid()


@graceexit.on_exit
def closes_last():
    print("closed", os.getpid() == parent)


@graceexit.on_exit
def forks():
    child = os.fork()
    if child == 0:
        if sys.argv[1] == "exits":
            os._exit(5)
        return
    print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


graceexit.on_exit(lambda: print("opened", os.getpid() == parent))
