"""
What an item is: a thread to stop, or a callback to call.

Both are one class, for they share all but the verb. A thread is recognised by what it can do, not
by its type: `join` and `is_alive` (`threading.Timer`, `multiprocessing.Process`, a class of the
user's own), `poll` and `wait` (`subprocess.Popen`), `join` and `dead` (a greenlet of gevent).

Whether a thread is over is not asked of `Thread.is_alive` up to Python 3.12: a `join` that an
exception leaves marks a running thread as stopped there (python/cpython#90882), and it takes a
lock of `threading`, for which a finalizer that runs inside `Thread.start` would wait for ever.

What tells it to stop may do more than that (`close` of a client, which flushes), so that a thread
has ended when that has returned as well.
"""

import _thread
import os
import sys
import threading
from threading import TIMEOUT_MAX, Event, Thread
from types import BuiltinMethodType, CoroutineType, FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Joinable(Protocol):
        """Something that can be joined: a thread, a timer, a process."""

        def join(self, timeout: float | None = ..., /) -> object: ...
        def is_alive(self) -> bool: ...

    class Waitable(Protocol):
        """A `subprocess.Popen`."""

        def poll(self) -> int | None: ...
        def wait(self) -> int: ...

    class Greenlet(Protocol):
        """A greenlet of gevent."""

        def join(self, timeout: float | None = ..., /) -> object: ...
        @property
        def dead(self) -> bool: ...

    class Settable(Protocol):
        """Something with `set()`, such as `threading.Event`."""

        def set(self) -> object: ...


# The modules of a `run` that is everybody's.
NOBODYS = ("threading", "multiprocessing.process", "multiprocess.process")
NEVER = float("inf")  # a time, or an order, that does not come
ENDED = object()  # what `Item.tell` returns where there is nobody to tell

Call = tuple[str, int, str]  # file; line; function
# item; how it ended; when it began; seconds; what it raised; where it was, the innermost call last;
# whose limit it was: "timeout" or "grace"
Outcome = tuple["Item", str, float, float, BaseException | None, list[Call] | None, str | None]

# As in inspect: the code of a generator, of an `async def`, of an asynchronous generator.
UNUSUAL = 0x20 | 0x80 | 0x200


class Item:
    """
    One registration: a subject, and how to end it.

    `register` returns it and `unregister` takes it. It is compared by identity and does not change.

    Attributes:
        subject: The thread or the callback.
        stop: What tells the thread to stop; None for a callback.
        timeout: Seconds that it may take, None for no limit.
        order: Its place; lower runs first.
        each_process: Whether forked children run it as well.
    """

    __module__ = "graceexit"
    __slots__ = ("_died", "_name", "_tells", "each_process", "order", "stop", "subject", "timeout")

    def __init__(  # noqa: PLR0917  (by position it takes half the time)
        self,
        subject: "Any",
        stop: "Any",
        timeout: float | None,
        order: int,
        name: str | None,
        each_process: bool,  # noqa: FBT001
    ) -> None:
        # The quick ways are the usual ones: a function without arguments, a thread with an event,
        # and a float.
        if stop is not None or type(subject) is not FunctionType:
            if type(stop) is not Event or not isinstance(subject, Thread) or each_process:
                refuse_misfits(subject, stop, each_process)
        else:
            code = subject.__code__
            if code.co_flags & UNUSUAL or code.co_argcount or code.co_kwonlyargcount:
                refuse_misfits(subject, stop, each_process)
        if type(timeout) is not float or not 0 < timeout < TIMEOUT_MAX:
            timeout = seconds(timeout, "timeout")
        if not isinstance(order, int) or isinstance(order, bool):
            raise TypeError(f"order must be an int; got {order!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a str or None; got {name!r}")
        if each_process is not False and each_process is not True:
            raise TypeError(f"each_process must be True or False; got {each_process!r}")
        self.subject: Any = subject
        self.stop: Any = stop
        self.timeout: float | None = timeout
        self.order: int = order
        self.each_process: bool = each_process
        self._name = name

    def __repr__(self) -> str:
        return f"<graceexit.Item {self.kind} {self.name} {self.where}>"

    @property
    def kind(self) -> str:
        """Either "thread" or "callback"."""
        return "callback" if self.stop is None else "thread"

    @property
    def name(self) -> str:
        """The name given, else the thread's, else the callback's `__qualname__`."""
        subject = self.subject
        name = self._name or (getattr(subject, "name", None) if self.stop else None)
        name = name or getattr(function_of(subject), "__qualname__", None)
        return str(name or type(subject).__qualname__)

    @property
    def where(self) -> str:
        """The place, as file:line, where the code of the subject is defined; "" if unknown."""
        return place(self.subject if self.stop is None else target_of(self.subject))

    @property
    def ended(self) -> bool:
        """Whether this is a thread that was started and is over."""
        thread = self.subject
        try:
            if self.stop is None or getattr(thread, "ident", 0) is None:
                return False
            if isinstance(thread, Thread) and not thread._started.is_set():  # type: ignore[attr-defined]
                return False
            return not self.is_alive()
        except Exception:  # such as that of a Process that another process has started
            return False

    @property
    def died(self) -> BaseException | None:
        """What the thread has died of since it was told to stop."""
        return getattr(self, "_died", None)

    @property
    def telling(self) -> int | None:
        """The thread in which `stop` is at work, None if that has returned."""
        return getattr(self, "_tells", None)

    @property
    def ident(self) -> int | None:
        """The thread that is waited for: this one, or once that is over the one telling it."""
        thread = self.subject
        if self.telling and isinstance(thread, Thread) and not is_running(thread):
            return self.telling
        return getattr(thread, "ident", None)

    def is_for(self, subject: object) -> bool:
        """Return whether the subject is equal to *subject*, as two bound methods may be."""
        try:
            return self.subject is subject or bool(self.subject == subject)
        except Exception:  # comparing is anybody's code
            return False

    def is_alive(self) -> bool:
        """Return whether the thread is still running."""
        thread = self.subject
        if isinstance(thread, Thread):
            return is_running(thread)
        if hasattr(thread, "is_alive"):
            return bool(thread.is_alive()) and not is_lost(thread)
        return thread.poll() is None if hasattr(thread, "poll") else not thread.dead

    def tell(self) -> object:
        """Tell the thread to stop; return what that returns, or ENDED if it is over already."""
        if self.ended and self.died is None:
            return ENDED
        self._tells: int | None = _thread.get_ident()
        result = self.stop() if callable(self.stop) else self.stop.set()
        if result is not None and type(result) is not CoroutineType:
            self.has_told()  # a Future may belong to a loop that ends with the thread
        return result

    def has_told(self) -> None:
        """Note that `stop` has returned, and that what it has raised has been noted."""
        self._tells = None

    def join(self, timeout: float) -> bool:
        """
        Wait for the thread, *timeout* seconds at most; return whether it is over.

        It may come back early, for not every kind of thread can be waited for.
        """
        if not self.is_alive():  # it may never have been started: join() would raise
            return not self.telling
        if hasattr(self.subject, "join"):
            limit = None if timeout == NEVER else max(timeout, 0.0)
            try:
                self.subject.join(limit)
            except Exception:
                if not isinstance(self.subject, Thread):
                    raise
                Thread.join(self.subject, limit)  # a class may have a join that takes no timeout
        return not (self.is_alive() or self.telling)

    def watch(self) -> None:
        """Keep what the thread dies of, which `threading.excepthook` gets as ever."""
        thread = self.subject
        tell = getattr(thread, "_invoke_excepthook", None)

        def invoke(*args: "Any") -> None:
            error = sys.exc_info()[1]
            if not isinstance(error, SystemExit):
                self._died = error
            tell(*args)  # type: ignore[misc]

        if isinstance(thread, Thread) and callable(tell):
            thread._invoke_excepthook = invoke  # type: ignore[attr-defined]


def refuse_misfits(subject: "Any", stop: "Any", each_process: object) -> None:
    """Look more closely at what is not quite usual."""
    from graceexit._refusals import check

    check(subject, stop, each_process)


def is_running(thread: "Any") -> bool:
    """Return whether *thread*, one of threading's, has been started and is not over."""
    if not hasattr(thread, "_tstate_lock"):  # from 3.13 on
        return Thread.is_alive(thread)
    lock = thread._tstate_lock  # pragma: no cover - up to 3.12
    known = threading._active.get(thread.ident) is thread  # type: ignore[attr-defined]
    return bool(thread._started.is_set() and (known or (lock is not None and lock.locked())))


def is_lost(process: "Any") -> bool:
    """
    Return whether a process of multiprocessing is gone and its object cannot know.

    A handler has raised where its end had just been taken note of, or the kernel does that itself,
    because SIGCHLD is ignored.
    """
    if getattr(getattr(process, "_popen", None), "method", "") not in ("fork", "spawn"):
        return False  # one of a forkserver, say, is no child of this process
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    except AttributeError:  # macOS up to 3.12, Windows
        pass
    return False


def seconds(value: object, what: str, *, zero: bool = False) -> float | None:
    """Return *value* if it is a number of seconds above zero, or None for no limit."""
    if value is None:
        return None
    rule = f"{what} must be seconds {'from' if zero else 'above'} zero, or None for no limit"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{rule}; got {value!r}")
    # Written so that NaN, of which every comparison is false, is refused too.
    if not 0 <= value < float("inf") or (value == 0 and not zero):
        raise ValueError(f"{rule}; got {value!r}")
    return float(min(value, TIMEOUT_MAX))


def key_of(subject: "Any") -> object:
    """Return what two registrations of one subject have in common, without running its code."""
    if type(subject) is MethodType:
        return id(subject.__self__), id(subject.__func__)
    if type(subject) is BuiltinMethodType:
        return id(subject.__self__), subject.__name__
    return id(subject)


def target_of(thread: "Any") -> "Any":
    """Return what *thread* runs; it drops its target as it ends, and a subclass has its own run."""
    return getattr(thread, "_target", None) or getattr(type(thread), "run", None)


def function_of(subject: "Any") -> "Any":
    """Return the function behind a partial, a bound method or a decorated function."""
    for attribute in ("func", "__func__", "__wrapped__"):
        subject = getattr(subject, attribute, subject)
    return subject


def place(subject: "Any") -> str:
    """Return where the code of *subject* is, as file:line; "" if that is not known."""
    function = function_of(subject)
    code = getattr(function, "__code__", None)
    if code is None or getattr(function, "__module__", None) in NOBODYS:
        return ""
    return f"{code.co_filename}:{code.co_firstlineno}"
