"""
What cannot be run is refused when it is registered, for at the exit nobody is there to mend it.

The code of the outermost callable is judged, not what it wraps; what cannot be told without
importing `inspect` is taken. The module is imported for what is not quite usual.
"""

import sys
from threading import Thread
from types import FunctionType, MethodType

from graceexit._latch import Latch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# As in inspect.
GENERATOR, COROUTINE, ITERABLE_COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


def callback_refused(
    subject: "Any", arguments: tuple[object, ...], others: "dict[str, Any]"
) -> TypeError:
    """Return the error of a wrong call of `on_exit`."""
    if "stop" in others or (is_thread(subject) and not callable(subject)):
        return TypeError("on_exit is for callbacks: write register(thread, stop=...)")
    if others:
        return TypeError(f"on_exit() got an unexpected keyword argument {next(iter(others))!r}")
    if arguments:
        return TypeError(
            f"on_exit takes one callback; got {arguments!r} too: use functools.partial for the"
            " arguments of a callback"
        )
    return TypeError(f"expected a callback; got {subject!r}{remedy_for(subject)}")


def check(subject: "Any", stop: "Any", each_process: object) -> None:
    """Refuse what can be neither a thread nor a callback, or is given what belongs to the other."""
    if isinstance(subject, type) and (stop is not None or hasattr(subject, "is_alive")):
        raise TypeError(f"expected a thread; got {subject!r}: give an instance of it")
    # Without stop=, what can be called is a callback, whatever else it can do: a Mock.
    is_callback = callable(subject) and stop is None
    joins = isinstance(subject, Thread) or (is_thread(subject) and not is_callback)
    if not joins and not callable(subject):
        raise TypeError(f"expected a thread or a callback; got {subject!r}{remedy_for(subject)}")
    if not joins and stop is not None:
        raise TypeError(f"stop= is for threads; {subject!r} is a callback: leave stop= out")
    if not joins:
        check_call(subject, "the callback")
    elif stop is None:
        remedy = "write register(process, stop=process.terminate)"
        if not hasattr(subject, "poll"):
            remedy = "a callable, or an object with set() such as a threading.Event"
        raise TypeError(f"{subject!r} needs stop=, which tells it to end: {remedy}")
    elif each_process:
        raise TypeError(f"each_process= is for callbacks; {subject!r} is not there after a fork")
    else:
        check_stop(stop)


def is_thread(subject: "Any") -> bool:
    """Return whether *subject* can do what a thread can."""
    return isinstance(subject, Thread) or any(
        callable(getattr(subject, verb, None)) and hasattr(subject, question)
        for verb, question in (("join", "is_alive"), ("wait", "poll"), ("join", "dead"))
    )


def check_stop(stop: "Any") -> None:
    """Refuse what cannot tell a thread to stop."""
    if isinstance(getattr(stop, "__self__", stop), Latch):
        raise TypeError(
            "graceexit.exiting is no stop flag: it can be set long before the server has drained;"
            " give the thread a threading.Event of its own"
        )
    if isinstance(stop, type):
        raise TypeError(f"stop must be an instance; got {stop!r}: write {stop.__name__}()")
    if getattr(stop, "__name__", None) == "is_set":
        raise TypeError(f"stop={stop!r} asks and does not tell: write event, or event.set")
    if callable(stop):
        check_call(stop, "stop")
    elif not callable(getattr(stop, "set", None)):
        raise TypeError(f"stop must be a callable or have set(); got {stop!r}")


def check_call(function: "Any", what: str) -> None:
    """Refuse what its own code shows to do nothing, or to fail, when it is called."""
    # Who has not imported functools has none of its objects.
    is_partial = type(function) is getattr(sys.modules.get("functools"), "partial", None)
    call, given = function.func if is_partial else function, 0
    if type(call) is MethodType:
        call, given = call.__func__, 1
    elif type(call) is not FunctionType and not isinstance(call, type):
        call, given = getattr(type(call), "__call__", None), 1  # noqa: B004
    if type(call) is not FunctionType:
        return
    code = call.__code__
    flags = code.co_flags
    if flags & COROUTINE:
        import asyncio  # noqa: F401  (now, for an import at the exit can change its status)
    if flags & ASYNC_GENERATOR or (flags & GENERATOR and not flags & ITERABLE_COROUTINE):
        raise TypeError(
            f"{what} {function!r} is a generator function: to call it runs nothing; write a"
            " function without yield"
        )
    count, named = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    needed = list(code.co_varnames[given : count - len(call.__defaults__ or ())])
    more = code.co_varnames[count:named]
    needed += [name for name in more if name not in (call.__kwdefaults__ or ())]
    if needed and not is_partial:  # whose arguments may be right
        raise TypeError(
            f"{what} {function!r} needs arguments ({', '.join(needed)}): use functools.partial, or"
            " a method of an instance"
        )


def remedy_for(subject: "Any") -> str:
    """Return what to write instead of *subject*, which cannot be called."""
    if hasattr(subject, "get_coro"):
        return ": a task belongs to its loop: cancel it in a `finally` of the main task"
    if subject is None or hasattr(subject, "__await__"):
        return ": write on_exit(f), not on_exit(f())"
    if all(callable(getattr(subject, verb, None)) for verb in ("close", "join", "terminate")):
        return ": write on_exit(x.join) and then on_exit(x.close), which runs first"
    for verb in ("shutdown", "close", "terminate"):
        if callable(getattr(subject, verb, None)):
            return f": write on_exit(x.{verb})"
    return ""
