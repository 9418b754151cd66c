"""Every checker finds an error on each line that says so, and on no other; nobody runs it."""

import threading

import graceexit

stop = threading.Event()
thread = threading.Thread(target=stop.wait)
registry = graceexit.Registry()


def close() -> None:
    """Close it."""


def close_one(number: int) -> None:
    """Close one."""
    print(number)


graceexit.register(thread)  # wrong: what tells it to stop?
graceexit.register(close, stop=stop)  # wrong: a callback needs no telling
graceexit.register(thread, stop=stop, each_process=True)  # wrong: no thread outlives a fork
graceexit.register(thread, stop=7)  # wrong: nothing that tells
graceexit.register(thread, stop)  # wrong: options have names
graceexit.register(close_one)  # wrong: it needs an argument
graceexit.register(close())  # wrong: called now
graceexit.register(close, tiemout=2)  # wrong: misspelt
graceexit.register(close, timeout="2")  # wrong: a string
graceexit.on_exit(thread)  # wrong: a thread is registered
graceexit.on_exit(close, timeout=2)  # wrong: options are for the decorator
graceexit.on_exit(stop=stop)  # wrong: a callback needs no telling
graceexit.on_exit(close_one, 7)  # wrong: use functools.partial
registry.register(thread)  # wrong: what tells it to stop?
registry.register(close, stop=stop)  # wrong: a callback needs no telling
registry.on_exit(close_one)  # wrong: it needs an argument
graceexit.install(25)  # wrong: options have names
graceexit.install(grace="25")  # wrong: a string
graceexit.shutdown(5)  # wrong: it takes nothing
graceexit.own  # wrong: not public  # noqa: B018
