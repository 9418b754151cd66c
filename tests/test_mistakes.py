"""What cannot work is refused where it is written, with what to write instead."""

from __future__ import annotations

import functools
import io
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import graceexit
from graceexit import Registry


class Worker(threading.Thread):
    """A class of threads."""


class Service:
    """Something that is closed by a method."""

    def close(self):
        """Close it."""


def generator():
    """Yield, as a fixture of pytest does."""
    yield


async def async_generator():
    """Yield, as a lifespan does."""
    yield


def needs_an_argument(value):
    """Need an argument."""


def ended():
    """Return a thread that may be registered."""
    return threading.Thread(target=print)


MISTAKES = {
    "a generator function": (lambda r: r.on_exit(generator), "generator"),
    "an async generator function": (lambda r: r.on_exit(async_generator), "generator"),
    "a partial of a generator function": (
        lambda r: r.on_exit(functools.partial(generator)),
        "generator",
    ),
    "a class of threads": (lambda r: r.register(Worker, stop=threading.Event()), "class|instance"),
    "a function with an argument": (lambda r: r.on_exit(needs_an_argument), "partial"),
    "a lambda with an argument": (lambda r: r.on_exit(lambda x: x), "partial"),
    "a method without its object": (lambda r: r.on_exit(Service.close), "argument|instance"),
    "stop=event.is_set": (lambda r: r.register(ended(), stop=threading.Event().is_set), r"\bset\b"),
    "stop=threading.Event": (
        lambda r: r.register(ended(), stop=threading.Event),
        r"instance|Event\(\)",
    ),
    "stop=graceexit.exiting": (lambda r: r.register(ended(), stop=graceexit.exiting), "exiting"),
    "on_exit(f())": (lambda r: r.on_exit(None), r"None|\(\)"),
    "arguments, as atexit takes them": (lambda r: r.on_exit(print, "x"), r"functools\.partial"),
    "something with shutdown": (lambda r: r.on_exit(ThreadPoolExecutor()), r"\.shutdown"),
    "something with close": (lambda r: r.on_exit(io.StringIO()), r"\.close"),
    "a service": (lambda r: r.register(Service()), r"\.close"),
}


@pytest.mark.field(kind="mistakes")
@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_refused_with_what_to_write_instead(what):
    """A TypeError at once, not a line of the log when the process has ended."""
    registry = Registry()
    make, remedy = MISTAKES[what]
    with pytest.raises(TypeError) as caught:
        make(registry)
    assert re.search(remedy, str(caught.value))
    assert len(registry) == 0


@functools.wraps(needs_an_argument)
def wrapper():
    """Need none, whatever stands in `__wrapped__`."""


class Callable:
    """Something to call."""

    def __call__(self):
        """Take no argument."""

    def many(self, *args, key=1, **kwargs):
        """Take any."""


class CallableWithAnArgument:
    """Something to call with an argument."""

    def __call__(self, value):
        """Take one."""


async def asynchronous():
    """Be awaited."""


RIGHT = {
    "a function": generator.__class__(compile("0", "f", "eval"), {}),
    "a wrapper": wrapper,
    "an object to call": Callable(),
    "a bound method with defaults": Callable().many,
    "a partial": functools.partial(needs_an_argument, 1),
    "a partial of an object to call": functools.partial(CallableWithAnArgument(), 1),
    "a coroutine function": asynchronous,
    "a function in C": dict,
    "a lambda with a default": lambda x=1: x,
    "a class that makes something": Callable,
}


@pytest.mark.parametrize("what", RIGHT)
def test_what_needs_no_argument_is_taken(what):
    """The outermost callable's own code is judged, never what it wraps."""
    registry = Registry()
    registry.on_exit(RIGHT[what])
    report = registry.run()
    assert [result.outcome for result in report.results] == ["done"]


def test_a_popen_is_taken_with_a_stop():
    """It has `poll` and `wait`; without a stop it is refused as a thread is."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    registry = Registry()
    with pytest.raises(TypeError, match="stop"):
        registry.register(process)
    registry.register(process, stop=process.terminate)
    report = registry.run()
    process.stdin.close()
    assert [(r.kind, r.outcome) for r in report.results] == [("thread", "done")]
    assert process.wait() == -15


# What a callback returns


class Request:
    """An awaitable that is no coroutine, as a request of aiohttp is."""

    def __init__(self, awaited):
        self.awaited = awaited

    def __await__(self):
        """Note that it is awaited."""
        self.awaited.append(True)
        return iter(())


@pytest.mark.field(kind="an awaitable")
def test_any_awaitable_that_a_callback_returns_is_awaited():
    """Not coroutines alone."""
    registry, awaited = Registry(), []
    registry.on_exit(lambda: Request(awaited))
    report = registry.run()
    assert (awaited, [result.outcome for result in report.results]) == ([True], ["done"])


def test_an_awaitable_that_fails_fails_the_item():
    """With its error."""

    class Failing(Request):
        def __await__(self):
            raise OSError("refused")

    registry = Registry()
    registry.on_exit(lambda: Failing([]))
    (result,) = registry.run().results
    assert (result.outcome, str(result.error)) == ("failed", "refused")


def test_a_concurrent_future_that_a_callback_returns_is_waited_for():
    """It is done when the item is; its error is the item's."""
    with ThreadPoolExecutor(1) as pool:
        registry, ran = Registry(), []
        registry.on_exit(lambda: pool.submit(ran.append, True))
        registry.on_exit(lambda: pool.submit(int, "no number"))
        report = registry.run()
    outcomes = [(result.outcome, type(result.error)) for result in report.results]
    assert (outcomes, ran) == ([("failed", ValueError), ("done", type(None))], [True])
