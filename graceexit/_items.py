"""
What an item is: a thread to stop, or a callback to call.

Both are one class, for they share all but the verb. A thread is recognised by what it can do
(`join` and `is_alive`), not by its type: `threading.Timer` and `multiprocessing.Process` are
threads here, and so is a class of the user's own.
"""

from threading import TIMEOUT_MAX, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Joinable(Protocol):
        """Something that can be joined: a thread, a timer, a process."""

        def join(self, timeout: float | None = ..., /) -> object: ...
        def is_alive(self) -> bool: ...

    class Settable(Protocol):
        """Something with `set()`, such as `threading.Event`."""

        def set(self) -> object: ...


NOBODYS = ("threading", "multiprocessing.process")  # the modules of a `run` that is everybody's
NEVER = float("inf")  # a time, or an order, that does not come


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
    __slots__ = ("_name", "each_process", "order", "stop", "subject", "timeout")

    def __init__(  # noqa: PLR0917  (by position it takes half the time)
        self,
        subject: "Any",
        stop: "Any",
        timeout: float | None,
        order: int,
        name: str | None,
        each_process: bool,  # noqa: FBT001
    ) -> None:
        # The quick ways are the usual ones: a function, and a float.
        if stop is not None or not callable(subject) or isinstance(subject, Thread):
            check(subject, stop, each_process)
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
        """
        Whether this is a thread that was started and is over.

        Takes no lock: `Thread.is_alive` of Python up to 3.12 takes one of `threading`'s, for which
        a finalizer that runs inside `Thread.start` would wait for ever.
        """
        thread = self.subject
        try:
            if self.stop is None or getattr(thread, "ident", None) is None:
                return False
            if hasattr(thread, "_tstate_lock"):  # pragma: no cover - threading up to 3.12
                lock, started = thread._tstate_lock, thread._started
                return bool(started.is_set() and (lock is None or not lock.locked()))
            return not thread.is_alive()
        except Exception:  # such as that of a Process that another process has started
            return False

    def is_for(self, subject: object) -> bool:
        """Return whether the subject is equal to *subject*, as two bound methods may be."""
        try:
            return self.subject is subject or bool(self.subject == subject)
        except Exception:  # comparing is anybody's code
            return False

    def tell(self) -> None:
        """Tell the thread to stop."""
        if callable(self.stop):
            self.stop()
        else:
            self.stop.set()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, *timeout* seconds at most; return whether it is over."""
        if not self.subject.is_alive():  # it may never have been started: join() would raise
            return True
        self.subject.join(None if timeout == NEVER else max(timeout, 0.0))
        return not self.subject.is_alive()


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


def check(subject: "Any", stop: "Any", each_process: object) -> None:
    """Refuse what can be neither a thread nor a callback, or is given what belongs to the other."""
    is_thread = isinstance(subject, Thread) or (
        callable(getattr(subject, "join", None))
        and callable(getattr(subject, "is_alive", None))
        # Without stop=, what can be called is a callback, whatever else it can do: a Mock, a class.
        and not (stop is None and callable(subject))
    )
    if not is_thread and not callable(subject):
        hint = "; write on_exit(p.terminate)" if hasattr(subject, "terminate") else ""
        raise TypeError(f"expected a thread (join, is_alive) or a callback; got {subject!r}{hint}")
    if not is_thread and stop is not None:
        raise TypeError(f"stop= is for threads; {subject!r} is a callback: leave stop= out")
    if is_thread and stop is None:
        raise TypeError(
            f"{subject!r} needs stop=, which tells it to end: a callable, or an object with set()"
            " such as threading.Event"
        )
    if is_thread and each_process:
        raise TypeError(f"each_process= is for callbacks; {subject!r} is not there after a fork")
    if stop is not None and not callable(stop) and not callable(getattr(stop, "set", None)):
        raise TypeError(f"stop must be a callable or have set(); got {stop!r}")


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
