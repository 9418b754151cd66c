"""
The ways to have something run at the end of a process, behind the same few names.

Each class has its own loops, so that none pays for a wrapper. A way without `unregister_all`, or
with nothing but `run`, cannot do the rest. Every module is imported by the way that needs it: what
one imports, another does not find there.
"""

import contextlib
from itertools import repeat


class Graceexit:
    """A registry of graceexit: each callback has its timeout."""

    def __init__(self):
        import graceexit

        self.registry = graceexit.Registry()

    def register_all(self, functions):
        """Register each of *functions*; return what unregisters it."""
        register = self.registry.register
        return [register(function) for function in functions]

    def register_threads(self, threads, stop):
        """Register each of *threads*, which *stop* tells to end."""
        register = self.registry.register
        return [register(thread, stop=stop) for thread in threads]

    def unregister_all(self, handles):
        """Unregister what `register_all` has returned."""
        unregister = self.registry.unregister
        for handle in handles:
            unregister(handle)

    def run(self):
        """Run everything that is registered."""
        self.registry.run()


class Plain:
    """The floor: an object with six slots into a dict and out of it, and a loop of calls."""

    class Entry:
        """As many slots as an Item has."""

        __slots__ = ("each_process", "function", "name", "order", "stop", "timeout")

        def __init__(self, function, stop, timeout, order, name, each_process):
            self.function = function
            self.stop = stop
            self.timeout = timeout
            self.order = order
            self.name = name
            self.each_process = each_process

    def __init__(self):
        self.entries = {}

    def register_all(self, functions):
        """Put an entry for each of *functions* into the dict."""
        entries, new = self.entries, self.Entry
        handles = []
        for function in functions:
            entry = new(function, None, 5.0, 0, None, False)
            entries[entry] = True
            handles.append(entry)
        return handles

    def unregister_all(self, handles):
        """Take the entries out of the dict."""
        forget = self.entries.pop
        for handle in handles:
            forget(handle, None)

    def run(self):
        """Take out one entry after the other and call its function."""
        forget = self.entries.pop
        for entry in reversed(list(self.entries)):
            forget(entry)
            entry.function()


class Atexit:
    """`atexit`; a function is unregistered by comparing it with each one that is registered."""

    def __init__(self):
        import atexit

        self.atexit = atexit

    def register_all(self, functions):
        """Register each of *functions*."""
        register = self.atexit.register
        return [register(function) for function in functions]

    def unregister_all(self, handles):
        """Unregister the functions."""
        unregister = self.atexit.unregister
        for handle in handles:
            unregister(handle)

    def run(self):
        """Do what the interpreter does at its end."""
        self.atexit._run_exitfuncs()


class Finalize(Atexit):
    """`weakref.finalize` of an object that lives as long as the process."""

    def register_all(self, functions):
        """Have each of *functions* called at the latest at the exit."""
        from weakref import finalize

        return [finalize(owner, function) for owner, function in zip(repeat(self), functions)]

    def unregister_all(self, handles):
        """Detach the finalizers."""
        for handle in handles:
            handle.detach()

    def run(self):
        """Do what its exit function does, and let it be done again."""
        from weakref import finalize

        finalize._exitfunc()
        finalize._shutdown = False


class Stack:
    """`contextlib.ExitStack`; what is in it cannot be taken out by itself."""

    def __init__(self):
        self.stack = contextlib.ExitStack()

    def register_all(self, functions):
        """Push each of *functions*."""
        push = self.stack.callback
        return [push(function) for function in functions]

    def run(self):
        """Call what has been pushed."""
        self.stack.close()


class Executor:
    """`ThreadPoolExecutor` of one thread, and `result(timeout)` of each call."""

    def register_all(self, functions):
        """Only keep them: an executor has no list of what is to be run at the end."""
        self.functions = functions

    def run(self):
        """Run one after the other."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            for function in reversed(self.functions):
                pool.submit(function).result(timeout=5.0)


class Threads:
    """A thread for each call, and `join(timeout)`."""

    def register_all(self, functions):
        """Only keep them."""
        self.functions = functions

    def run(self):
        """Run one after the other."""
        from threading import Thread

        for function in reversed(self.functions):
            thread = Thread(target=function)
            thread.start()
            thread.join(timeout=5.0)


class Pyterminate(Atexit):
    """`pyterminate`: each registration is a handler in front of the one before, and an `atexit`."""

    def register_all(self, functions):
        """Register each of *functions*."""
        from pyterminate import register

        return [register(function) for function in functions]

    def unregister_all(self, handles):
        """Unregister the functions."""
        from pyterminate import unregister

        for handle in handles:
            unregister(handle)


class SafeExit(Atexit):
    """`safe_exit`: a list that one exit function walks through."""

    def register_all(self, functions):
        """Register each of *functions*."""
        from safe_exit import register

        return [register(function) for function in functions]

    def unregister_all(self, handles):
        """Unregister the functions."""
        from safe_exit import unregister

        for handle in handles:
            unregister(handle)

    def run(self):
        """Do what its exit function and its signal handler do."""
        import safe_exit

        safe_exit._call_exit_funcs()


class Multiexit:
    """`multiexit`: a list for each process, run by the signal handler; not at a usual end."""

    def __init__(self):
        import multiexit

        self.multiexit = multiexit
        if multiexit._MAIN_PROC is None:
            multiexit.install()

    def register_all(self, functions):
        """Register each of *functions*."""
        register = self.multiexit.register
        return [register(function) for function in functions]

    def unregister_all(self, handles):
        """Unregister the functions."""
        unregister = self.multiexit.unregister
        for handle in handles:
            unregister(handle)

    def run(self):
        """Do what its signal handler does; it forgets nothing that it has run."""
        with contextlib.suppress(SystemExit):
            self.multiexit.run_exitfuncs(0)
        self.multiexit._REGISTRY.clear()


WAYS = {
    "graceexit": Graceexit,
    "plain loop": Plain,
    "atexit": Atexit,
    "weakref.finalize": Finalize,
    "ExitStack": Stack,
    "executor": Executor,
    "thread each": Threads,
    "pyterminate": Pyterminate,
    "safe-exit": SafeExit,
    "multiexit": Multiexit,
}
