"""Have a program say how each of its children has ended, as it is told itself."""

import os


def telling(wait):
    """Return *wait*, which also says what it returns."""

    def wait_and_tell(*args):
        result = wait(*args)
        if result[0]:
            status = os.waitstatus_to_exitcode(result[1])
            os.write(1, f"\nreaped {result[0]} {status}\n".encode())
        return result

    return wait_and_tell


for name in ("wait", "wait3", "wait4", "waitpid"):
    setattr(os, name, telling(getattr(os, name)))
