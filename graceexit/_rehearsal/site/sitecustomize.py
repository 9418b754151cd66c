"""
What each Python of a rehearsal runs at its start, so that it can tell later where it hangs.

It has to work in any Python that the service starts, with graceexit or without, so it imports
nothing of it and keeps to plain words. At rest it costs one file descriptor and two handlers.

* The first signal has faulthandler print every stack, which needs neither the interpreter's lock
  nor the main thread. The file is opened for appending, and by number: a fork shares it, and the
  rehearsal asks one process after the other.
* The second signal has the names of the threads written. Before Python 3.14 faulthandler does not
  know them, and nothing outside of the process does. It needs a main thread that runs Python code
  or waits in a lock, which is what most processes do that hang at their end.
"""

import os
import sys


def _begin():
    import _signal  # without the enums of signal
    import faulthandler

    signum, folder = os.environ["GRACEEXIT_STACKS"].split(":", 1)

    def tell_names(*_):
        # A program may have ended `threading` or the tables in it by now.
        try:
            threading = sys.modules["threading"]
            told = [_tell(one, threading) for one in list(threading._active.values())]
        except Exception:
            told = []
        path = os.path.join(folder, "%d.names" % os.getpid())
        with open(path + ".part", "w") as file:
            file.write(ascii(told))
        os.rename(path + ".part", path)

    # Refused in a subinterpreter: the handlers of the process stand.
    _signal.signal(int(signum) + 1, tell_names)
    path = os.path.join(folder, "%d.stacks" % os.getpid())
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    faulthandler.register(int(signum), file=number, all_threads=True, chain=False)


def _tell(thread, threading):
    target = getattr(thread, "_target", None)  # threading takes it away when it has returned
    function = getattr(target, "__func__", target)
    run = type(thread).run
    if target is None and run is not threading.Thread.run:
        function = run
    code = getattr(function, "__code__", None)
    return (
        thread.ident,
        str(thread.name),
        bool(thread.daemon),
        thread is threading.main_thread(),
        str(getattr(function, "__qualname__", "")),
        str(code.co_filename) if code else "",
        code.co_firstlineno if code else 0,
    )


def _go_on():
    # The user's own sitecustomize is the next one on the path, and finds it as it would have been.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if entry != here]
    ours = sys.modules.pop(__name__)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault(__name__, ours)


try:
    _begin()
except Exception:  # noqa: S110 - without stacks the rehearsal goes on, and says so
    pass
_go_on()
