# Written by `make stub`: the functions of __init__.py as checkers and editors are to see them.
from collections.abc import Callable, Iterable
from os import PathLike
from types import EllipsisType
from typing import Final, TypeVar, overload

from graceexit._hold import Hold
from graceexit._items import Greenlet, Joinable, Settable, Waitable
from graceexit._items import Item as Item
from graceexit._latch import Latch as Latch
from graceexit._registry import Registry as Registry
from graceexit._report import Report as Report
from graceexit._report import Result as Result

_F = TypeVar("_F", bound=Callable[[], object])

__version__: Final[str]
exiting: Final[Latch]

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

@overload
def register(
    thread: Joinable | Waitable | Greenlet,
    /,
    *,
    stop: Settable | Callable[[], object],
    timeout: float | None = 5.0,
    order: int = 0,
    name: str | None = None,
) -> Item:
    """
    Stop a thread, or call a function, when the process exits.

    A thread is anything with `join(timeout)` and `is_alive()`: `threading.Thread`, `Timer`,
    `multiprocessing.Process`. A `subprocess.Popen` and a greenlet of gevent count as threads.
    It may be registered before it is started. One that has ended is forgotten.

    The threads of one `order` are told to stop all together, the last registered first, and
    then joined. After them its callbacks run one at a time, the last registered first. They run
    on a helper thread, and an `async def` by `asyncio.run`.

    The same thread or callback may be registered more than once. Safe from any thread, from
    items, from finalizers and signal handlers. What is registered while the items run is run
    with them, unless it has already run. What an exit function (`atexit`) registers may come
    too late. The first call installs handlers and hooks, as `install` does.

    Args:
        subject: The thread, or a callable without arguments (use `functools.partial`).
        stop: What tells the thread to stop: a callable, or an object with `set()`.
        timeout: Seconds that it may take, above zero; None for no limit. A thread's count from
            being told to stop. When they are over, the log names it, and it is left behind.
        order: Items run by ascending order. A negative order runs as soon as the main thread
            has ended, before other threads are waited for.
        name: Its name in the log and in reports.
        each_process: Whether a forked child runs the callback too.

    Returns:
        The item, which `unregister` takes.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: The timeout is not above zero, or GRACEEXIT_GRACE gives no seconds.
    """

@overload
def register(
    callback: Callable[[], object],
    /,
    *,
    stop: None = None,
    timeout: float | None = 5.0,
    order: int = 0,
    name: str | None = None,
    each_process: bool = False,
) -> Item:
    """
    Stop a thread, or call a function, when the process exits.

    A thread is anything with `join(timeout)` and `is_alive()`: `threading.Thread`, `Timer`,
    `multiprocessing.Process`. A `subprocess.Popen` and a greenlet of gevent count as threads.
    It may be registered before it is started. One that has ended is forgotten.

    The threads of one `order` are told to stop all together, the last registered first, and
    then joined. After them its callbacks run one at a time, the last registered first. They run
    on a helper thread, and an `async def` by `asyncio.run`.

    The same thread or callback may be registered more than once. Safe from any thread, from
    items, from finalizers and signal handlers. What is registered while the items run is run
    with them, unless it has already run. What an exit function (`atexit`) registers may come
    too late. The first call installs handlers and hooks, as `install` does.

    Args:
        subject: The thread, or a callable without arguments (use `functools.partial`).
        stop: What tells the thread to stop: a callable, or an object with `set()`.
        timeout: Seconds that it may take, above zero; None for no limit. A thread's count from
            being told to stop. When they are over, the log names it, and it is left behind.
        order: Items run by ascending order. A negative order runs as soon as the main thread
            has ended, before other threads are waited for.
        name: Its name in the log and in reports.
        each_process: Whether a forked child runs the callback too.

    Returns:
        The item, which `unregister` takes.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: The timeout is not above zero, or GRACEEXIT_GRACE gives no seconds.
    """

@overload
def on_exit(callback: _F, /) -> _F:
    """
    Call a function when the process exits. It is returned unchanged.

    Write `@on_exit` above it, or `@on_exit(timeout=2, order=1)`; the options are those of
    `register`. A method of an object that is there is given directly: `on_exit(pool.close)`.

    Raises:
        TypeError: As `register`.
        ValueError: As `register`.
    """

@overload
def on_exit(
    *,
    timeout: float | None = 5.0,
    order: int = 0,
    name: str | None = None,
    each_process: bool = False,
) -> Callable[[_F], _F]:
    """
    Call a function when the process exits. It is returned unchanged.

    Write `@on_exit` above it, or `@on_exit(timeout=2, order=1)`; the options are those of
    `register`. A method of an object that is there is given directly: `on_exit(pool.close)`.

    Raises:
        TypeError: As `register`.
        ValueError: As `register`.
    """

def unregister(item: object, /) -> bool:
    """
    Forget *item*, so that it will not be run.

    Safe wherever `register` is. What has begun to run can no longer be forgotten.

    Args:
        item: What `register` has returned; or a thread or a callback, and then every
            registration of something equal to it is forgotten.

    Returns:
        Whether anything was still waiting to be run.

    Raises:
        TypeError: *item* could never have been registered.
    """

def install(
    *,
    grace: float | EllipsisType | None = ...,
    linger: float | EllipsisType | None = ...,
    signals: Iterable[int] | EllipsisType = ...,
    report: str | PathLike[str] | EllipsisType | None = ...,
) -> None:
    """
    Install the handlers and hooks, or change how they work. The first `register` does it too.

    Each call applies what it is given, keeps the rest, and goes in front of a handler that a
    server has installed meanwhile. Off the main thread and in a subinterpreter handlers cannot
    be set; there the hooks do the work, and the next call on the main thread sets them.

    Args:
        grace: Seconds after which the process is gone, whatever hangs, counted from when the
            signal is noticed, else from the end of the main thread. None, the default unless
            the variable GRACEEXIT_GRACE gives them, for no limit.
        linger: Seconds (5.0) that items wait for the rest of the program once the process is
            being ended; zero for not at all, None for no limit.
        signals: What ends the process: SIGTERM and SIGINT, on Windows SIGBREAK too.
        report: Where each process writes its report as a line of JSON as it ends; `{pid}` in
            the path gives each a file of its own. None, the default unless the variable
            GRACEEXIT_REPORT gives a path, for none.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A number is out of range, or no handler can be set for a signal.
    """

def uninstall() -> None:
    """
    Put back what `install` has changed: handlers, functions, hooks and settings.

    For test suites and notebooks; call it on the main thread. A handler that somebody has gone
    in front of only passes the signal on from now, and a hook that stays does nothing. Items
    stay registered, but nothing runs them at the end until the next `register` or `install`
    installs anew. A second call changes nothing.
    """

def hold() -> Hold:
    """
    Let the main thread finish what it has in hand before a signal unwinds it.

    For the loop of a main thread with a message, a batch or a step in hand:
    `with graceexit.hold(): ...`. A signal that would end the process, or Ctrl-C, is noted at
    once (`exiting`, `linger` and `grace` begin), and the main thread unwinds as the block ends;
    a second Ctrl-C unwinds it at once. The block may be one step, or the whole loop if that
    asks `exiting`. It nests, does nothing on other threads, and is cut only by `linger` and
    `grace`.

    Returns:
        A context manager, always the same one.
    """

def shutdown() -> Report:
    """
    Run every item now, whatever its order, without waiting for other threads.

    For a process that exits without a signal or a normal return, such as by `os._exit`, and
    for a server's own shutdown event: `await asyncio.to_thread(graceexit.shutdown)`. It sets
    `exiting`. A second call, from any thread, waits for the first and finds nothing left; a
    call from inside an item returns at once. Afterwards the registry is empty and open: what
    is registered later is run later.

    Returns:
        What was run, and how it went.
    """
