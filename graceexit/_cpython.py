"""
What is known of Python's own insides, as far as the end of a process needs it.

Each function answers for every version that is supported; tests/test_facts.py holds the facts
behind them, and fails on a Python that is different.
"""

import sys
import threading
from time import sleep

from graceexit._items import is_running
from graceexit._latch import LOOK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from typing import Any

# multiprocessing, and the copy of it that comes with dill.
MULTIPROCESSING = ("multiprocessing", "multiprocess")
LOOKS = 0.05  # seconds between two looks at a thread that cannot be joined

# Frames, by module and name, that have asyncio's main task, and what it is called there.
TASKS = {
    ("asyncio.runners", "run"): "task",
    ("anyio._backends._asyncio", "run"): "task",
    ("asyncio.base_events", "run_until_complete"): "future",
}
CLOSING = {
    ("asyncio.runners", "close"),
    ("asyncio.runners", "_cancel_all_tasks"),
    ("uvloop", "_cancel_all_tasks"),  # up to Python 3.10
}


# Functions that take a lock or give it back, or wake who waits for one. A `with` whose `__enter__`
# raises gives nothing back.
LOCKING = {
    *("__enter__", "__exit__", "acquire", "release", "notify"),
    *("_acquire_restore", "_release_save", "_acquireLock", "_releaseLock"),
}
# Methods of locks: those that are written in C have no frame, and what follows them may be a `try`
# in whose `finally` the lock is given back. Those of `threading` and the like may wait for long.
LOCKS = {"acquire", "acquire_lock", "_release_save"}
if sys.version_info < (3, 11):  # looks for signals between any two instructions
    LOCKS.add("release")
LOCKS_THAT_WAIT = {"_release_save"}
PATIENT = {"threading", *(f"{name}.synchronize" for name in MULTIPROCESSING)}
# LOAD_ATTR, and up to 3.11 LOAD_METHOD, whose argument is the index of a name; from 3.12 on twice.
LOADS = {(3, 13): {82}, (3, 14): {80}, (3, 15): {79}}.get(sys.version_info[:2], {106, 160})
ENTERING = {("contextlib", "__enter__"), ("contextlib", "__exit__")}
# Functions that start a thread or a process: whoever is to end it knows it when they have returned.
# And that which asks a manager: cut off, its answer would be that of the next call.
STARTING = {
    ("threading", "start"),
    ("concurrent.futures.thread", "submit"),
    ("concurrent.futures.process", "submit"),
    ("subprocess", "__init__"),
    *((f"{name}.{of}", "start") for name in MULTIPROCESSING for of in ("process", "managers")),
    *((f"{name}.managers", "_callmethod") for name in MULTIPROCESSING),
}
BOOTSTRAPS = {(f"{name}.process", "_bootstrap") for name in MULTIPROCESSING}
LOAD_SPECIAL = 95  # of Python 3.14: finds the `__enter__` of a `with`, which is called next


# The main thread: where it is, and whether it unwinds.


def stack(frame: "FrameType | None") -> "list[FrameType]":
    """Return *frame* and its callers, of a child of multiprocessing those that are its own."""
    frames = []
    while frame is not None:
        frames.append(frame)
        # A forked child has the frames of its parent, which began it.
        frame = None if name_of(frame) in BOOTSTRAPS else frame.f_back
    return frames


def whole_stack(frame: "FrameType | None") -> "list[FrameType]":
    """Return *frame*, its callers, and those of the greenlets that have switched to this one."""
    frames = stack(frame)
    for greenlet in above():
        frames += stack(greenlet.gr_frame)
    return frames


def above() -> "list[Any]":
    """Return the greenlets that go on when the one that calls this has ended."""
    found = []
    greenlet = getattr(sys.modules.get("greenlet"), "getcurrent", lambda: None)()
    while (greenlet := getattr(greenlet, "parent", None)) is not None:
        found.append(greenlet)
    return found


def hub_of_gevent() -> "Any":
    """Return the hub that has switched to the greenlet that calls this, None without one."""
    return next((one for one in above() if hasattr(one, "handle_system_error")), None)


def name_of(frame: "FrameType") -> tuple[str, str]:
    """Return the module and the function that *frame* runs."""
    return str(frame.f_globals.get("__name__")), frame.f_code.co_name


def is_in_join(frame: "FrameType | None") -> bool:
    """Return whether *frame* itself waits for the other threads."""
    return frame is not None and name_of(frame) == ("threading", "_shutdown")


def is_joining(frame: "FrameType | None") -> bool:
    """Return whether *frame* belongs to Python's end: to its join, or to the hook of another."""
    return any(is_in_join(one) for one in stack(frame))


def is_shutting_down(frame: "FrameType | None") -> bool:
    """Return whether Python has begun to join the threads, or to run the hooks before that."""
    ours = getattr(getattr(threading, "_shutdown", None), "__code__", None)
    begun: bool = getattr(threading, "_SHUTTING_DOWN", False)
    return begun or any(one.f_code is ours for one in stack(frame))


def is_called_by_multiprocessing(frame: "FrameType") -> bool:
    """Return whether a child of multiprocessing goes on after this call, to which *frame* leads."""
    return any(name_of(one) in BOOTSTRAPS for one in stack(frame))


def is_under_way() -> bool:
    """Return whether the main thread, whose handler calls this, is unwinding already."""
    # A child that is forked in a `finally` has the exception of its parent too.
    parents, frame = [], stack(sys._getframe())[-1].f_back
    while frame is not None:
        parents.append(frame)
        frame = frame.f_back
    return is_handled((KeyboardInterrupt, SystemExit), sys.exc_info()[1], parents)


def is_interrupted(ident: int | None) -> bool:
    """Return whether the thread *ident* is handling a KeyboardInterrupt."""
    error: Any = sys._current_exceptions().get(ident or 0)  # up to 3.11 in a tuple
    return is_handled(KeyboardInterrupt, error[1] if isinstance(error, tuple) else error)


def is_handled(kinds: "Any", error: BaseException | None, parents: "Any" = ()) -> bool:
    """Return whether *error*, or one behind it, is of *kinds*, and of no frame of *parents*."""
    while error is not None:
        trace = error.__traceback__
        if isinstance(error, kinds) and (trace is None or trace.tb_frame not in parents):
            return True
        error = error.__context__
    return False


def main_task(frame: "FrameType | None") -> "Any":
    """Return the task that asyncio runs on the main thread until it ends, None without one."""
    asyncio: Any = sys.modules.get("asyncio")
    loop = getattr(asyncio, "_get_running_loop", lambda: None)()
    if loop is None:  # nor is there one in a forked child, which has the frames of its parent
        return None
    for one in whole_stack(frame):
        where = name_of(one)
        if where in TASKS and (task := one.f_locals.get(TASKS[where])) is not None:
            return None if task.done() else task
    # uvloop's `run_until_complete` is written in C, and has no frame. What is to be called when a
    # task is done is known by its text alone.
    tasks = asyncio.all_tasks(loop)
    return next((task for task in tasks if "run_until_complete." in repr(task)), None)


def waited_for(task: "Any") -> "Any":
    """
    Return the future for which *task* waits by `asyncio.wait_for`, None without one.

    Up to Python 3.11 that takes a cancellation for its own where the future is done by then
    (python/cpython#86296): then the task goes on. That future may be a task that waits in the same
    way; the innermost is returned.
    """
    coroutine, found = getattr(task, "get_coro", lambda: None)(), None
    while coroutine is not None and sys.version_info < (3, 12):
        frame = getattr(coroutine, "cr_frame", None)
        coroutine = getattr(coroutine, "cr_await", None)
        if frame is not None and name_of(frame) == ("asyncio.tasks", "wait_for"):
            found = frame.f_locals.get("fut")
            if hasattr(found, "get_coro"):
                coroutine = found.get_coro()
    return found if hasattr(found, "done") else None


def is_closing(frame: "FrameType | None") -> bool:
    """Return whether asyncio is ending what the main task has left, which it has cancelled."""
    return any(name_of(one) in CLOSING for one in whole_stack(frame))


def is_locking(frame: "FrameType | None") -> bool:
    """Return whether *frame* may have taken a lock that nobody gives back if it is left now."""
    if frame is None:
        return False
    module, name = name_of(frame)
    if name in LOCKING or module == "contextlib":  # an ExitStack has entered what it has not noted
        return True
    # Python 3.14 looks for signals between the call of `__enter__` and the block.
    before = frame.f_code.co_code[max(frame.f_lasti - 2, 0)]
    return sys.version_info[:2] == (3, 14) and before == LOAD_SPECIAL


def is_at_lock(frame: "FrameType | None") -> bool:
    """Return whether *frame* is at a line that calls a method of a lock."""
    if frame is None:
        return False
    module, _ = name_of(frame)
    if module == "graceexit._latch":  # a bell waits for whoever rings it
        return False
    code = frame.f_code
    wanted = LOCKS_THAT_WAIT if module in PATIENT else LOCKS
    places = {place for place, name in enumerate(code.co_names) if name in wanted}
    if not places:
        return False
    steps, shift = code.co_code, sys.version_info >= (3, 12)
    return any(
        steps[at] in LOADS and steps[at + 1] >> shift in places
        for begin, end, line in code.co_lines()
        for at in range(begin, end, 2)
        if line == frame.f_lineno
    )


def is_starting(frame: "FrameType | None") -> bool:
    """Return whether *frame* belongs to the start of a thread, a process or a job."""
    return belongs_to(frame, STARTING)


def is_entering(frame: "FrameType | None") -> bool:
    """
    Return whether *frame* belongs to a generator that is entered or left as a context manager.

    It may stand between what takes a lock, or begins a transaction, and the `try` that ends it.
    """
    return belongs_to(frame, ENTERING)


def belongs_to(frame: "FrameType | None", functions: set[tuple[str, str]]) -> bool:
    """Return whether *frame* is one of these *functions*, or has been called by one."""
    return any(name_of(one) in functions for one in stack(frame))


# The other threads, and Python's join.


def threads() -> list[threading.Thread]:
    """
    Return threading's threads, without a lock.

    Python freezes a thread that goes on as it finalizes, and one that is in `threading.enumerate`
    keeps its lock. From 3.13 on Python itself wants that then, and waits for ever (up to 3.14).
    """
    starting: list[threading.Thread] = list(threading._limbo)  # type: ignore[attr-defined]
    # Read last, for one that has been started goes from there to here.
    started = list(threading._active.values())  # type: ignore[attr-defined]
    return list({id(one): one for one in starting + started}.values())


def joined_at_exit() -> list[threading.Thread]:
    """Return the threads that Python waits for at its end."""
    main = threading.main_thread()
    return [
        thread
        for thread in threads()
        if not thread.daemon
        and thread is not main
        and type(thread).__name__ != "_MainThread"  # eventlet has a second one, which never ends
    ]


def wait_for(thread: threading.Thread) -> None:
    """Wait for one of threading's threads for a moment, whatever its class makes of it."""
    try:
        threading.Thread.join(thread, LOOK)
    except RuntimeError:  # it is being started at this moment
        sleep(LOOKS)
    if getattr(thread, "_tstate_lock", thread) is None and is_running(thread):
        sleep(LOOKS)  # up to 3.12 it may be marked as stopped: then it cannot be waited for


def take_out_of_the_join(threads: "Iterable[Any]") -> set[int]:
    """Have Python up to 3.12 not join these threads; return the ids of those taken out."""
    locks: set[object] = getattr(threading, "_shutdown_locks", set())
    taken_out = [one for one in threads if getattr(one, "_tstate_lock", None) in locks]
    locks.difference_update([one._tstate_lock for one in taken_out])
    return set(map(id, taken_out))


def can_start_threads() -> bool:
    """Return whether the end of the program is no reason for Python to start none any more."""
    # python/cpython#114570; children of multiprocessing end before the interpreter does.
    return not (3, 12) <= sys.version_info < (3, 12, 3) or in_child()


# Processes, and how they end.


def in_child() -> bool:
    """Return whether multiprocessing has started this process."""
    return any(one.parent_process() is not None for one in of_multiprocessing("process"))


def of_multiprocessing(part: str) -> "list[Any]":
    """Return the modules of that name that are in use, of multiprocessing and of its copy."""
    found = [sys.modules.get(f"{name}.{part}") for name in MULTIPROCESSING]
    return [module for module in found if module is not None]


def complete_main_thread() -> None:
    """
    Give a forked child the lock for which Python up to 3.12 looks in its join.

    A raw thread that forks is the main thread there; to `threading` it may be a stand-in, which has
    none, for it has called `threading.current_thread`, as each line of logging does.
    """
    main: Any = threading.main_thread()
    if getattr(main, "_tstate_lock", main) is None and not main._is_stopped:
        main._set_tstate_lock()  # pragma: no cover - up to 3.12


def hide(exception: type[BaseException]) -> None:
    """Keep the interpreter from printing that it has ignored *exception*, as up to 3.14 it does."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda arg: None if arg.exc_type is exception else hook(arg)


def is_ended_by_ctrl_c() -> bool:
    """Return whether the program has died of KeyboardInterrupt, and not a statement at a prompt."""
    if getattr(sys, "last_type", None) is not KeyboardInterrupt or hasattr(sys, "ps1"):
        return False
    trace = getattr(sys, "last_traceback", None)
    if trace is None:
        return True
    # From 3.13 on `code` leaves its own frame out.
    return name_of(trace.tb_frame)[0] != "code" and trace.tb_frame.f_code.co_filename != "<console>"


def die_of_ctrl_c_all_the_same() -> None:
    """Have Python die of the KeyboardInterrupt of which an import of an item makes it forget."""
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102
    except KeyboardInterrupt:
        pass
