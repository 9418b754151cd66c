"""
Stop threads and call functions before the process exits: at SIGTERM, at Ctrl-C, at its end.

    graceexit.register(thread, stop=event)  # tells the thread to stop, and waits for it
    graceexit.on_exit(pool.close)           # calls this; also a decorator: @graceexit.on_exit

* Each item, a thread or a callback, runs once. SIGKILL and `os._exit` run nothing.
* At SIGTERM the main thread unwinds as at Ctrl-C, and other threads and jobs go on, for 5 s in all
  (`linger`). Then the items run, and the process dies of the signal. A server that has a handler of
  its own answers its requests first, and decides how the process ends.
* Threads come first: all are told to stop, then joined. Then callbacks, one at a time, the last
  registered first. `order` changes that: items run by ascending order, and a negative one as soon
  as the main thread has ended.
* Each item has 5 s (`timeout`). One that takes longer is left behind, and the log names it with the
  line where it is. `install(grace=25)` limits the whole exit.
* Callbacks run on a helper thread. What has to be closed on its own thread belongs into a `with`.
* `exiting` is set when the exit is asked for: for probes and endless streams, and for the loop of a
  main thread. It is never the stop flag of a registered thread.
* `with graceexit.hold():` finishes what the main thread has in hand before a signal unwinds it.
* Items belong to the process that registers them. A forked child has only the callbacks that were
  registered with `each_process=True`.

register(subject, /, *, stop=None, timeout=5.0, order=0, name=None, each_process=False)

    subject: a thread, a process or a greenlet; or a callable without arguments, also an `async def`
    stop: what tells the thread to stop: an object with `set()`, or a callable; not for callbacks
    timeout: seconds that it may take, None for no limit
    order: items run by ascending order
    name: its name in the log and in reports
    each_process: run the callback in forked children too
"""

from graceexit._items import Item
from graceexit._latch import Latch
from graceexit._process import own as _own
from graceexit._registry import Registry

__version__ = "1.0.0rc1"

__all__ = [
    "Item",
    "Latch",
    "Registry",
    "Report",
    "Result",
    "exiting",
    "hold",
    "install",
    "on_exit",
    "register",
    "shutdown",
    "uninstall",
    "unregister",
]

# Checkers and editors read __init__.pyi, where these are functions. Functions here, which would
# call the methods, would make a registration slower by a seventh.
register = _own.registry.register
on_exit = _own.registry.on_exit
unregister = _own.registry.unregister
exiting = _own.exiting
hold = _own.hold
install = _own.install
uninstall = _own.uninstall
shutdown = _own.shutdown


def __dir__() -> list[str]:
    """Return the public names, with those that are not imported yet."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def __getattr__(name: str) -> object:
    """Import what is needed at the exit only when somebody asks for it."""
    if name in ("Report", "Result"):
        from graceexit import _report

        return getattr(_report, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
