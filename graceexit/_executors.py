"""
What items need is held open until they have run: pools, and multiprocessing's in a child.

`concurrent.futures`, and loky after its model, close every pool in a hook of
`threading._register_atexit`, before Python joins the threads; from then on `submit`,
`asyncio.to_thread` and host names in asyncio fail, and so does an import of a pool. So the exit
puts a stand-in into the place of these hooks as it begins, takes registrations that come too late
for Python, and calls all of them when the items have run.

Python waits there for the jobs of all pools. The exit waits for those that were submitted before
the other threads had ended, and for none that comes later, so that whoever keeps feeding a pool
cannot keep the items from running. A worker cannot be asked what it has in hand. But queues are
first in, first out: a worker that begins a job submitted later has ended all that was there before
it. So jobs submitted from then on are of a class that says when one begins, and each queue gets
*marks*, jobs that do nothing, for workers that are idle. (Not done: to look whether a worker waits
for its queue. From 3.13 on a job may be on its way to such a worker. Nor to read its frames, which
is not safe without the GIL.) A queue of another kind than the two of the standard library may give
out what it likes, when it likes: its workers are not waited for.

Up to 3.12 a child of multiprocessing runs its finalizers before everything else, and a queue, a
pool or a manager is closed by them: they are held in the same way.

Two copies of the package in one process know what the other one holds.
"""

import sys
import threading
from functools import partial
from time import sleep
from types import SimpleNamespace

from graceexit._cpython import can_start_threads, in_child, of_multiprocessing, threads
from graceexit._items import is_running
from graceexit._latch import StandIn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

POOLS = "concurrent.futures.thread"
# Those of processes; loky, which joblib has a copy of, is made after the first.
PROCESS_POOLS = (
    "concurrent.futures.process",
    "loky.process_executor",
    "joblib.externals.loky.process_executor",
)
QUEUES = ("SimpleQueue", "Queue")  # first in, first out; gevent has some of these names too
SHY = 0.05  # seconds for which a worker that has had a mark leaves the next one to another


class Held:
    """Stands for a hook, until nobody holds it any more."""

    graceexit = True

    def __init__(self, hook: "Callable[[], object]") -> None:
        self.hook = hook
        self.holders: set[Executors] = set()  # more than one where there are copies of the package

    def __call__(self) -> None:
        """Do nothing, for the hook is held."""


class Executors:
    """What is held open in one process, and the way back."""

    def __init__(self) -> None:
        self._held: list[Held] = []  # gevent takes those hooks out of the list that it calls
        self._meanwhile: list[Callable[[], object]] = []  # hooks that come too late for Python
        self._over: Callable[[], object] | None = None  # the hook that says that all have run
        self._wanted: Callable[[], bool] = lambda: False  # whether finalizers are to be held
        self._finalizers: Callable[[], object] | None = None  # those that are held
        self._registering = StandIn(threading, "_register_atexit", self._register_atexit)
        self._finalizing: list[StandIn] = []

    def hold(self, over: "Callable[[], object]") -> None:
        """Hold the hooks of the pools, and have *over* called when those of others have run."""
        hooks: list[Any] | None = getattr(threading, "_threading_atexits", None)
        if hooks is None or not hasattr(threading, "_register_atexit"):
            over()
            return
        # A handler may raise between any two lines: then it is done again.
        if can_start_threads():
            self._hold_pools(hooks)
            self._registering.put()
        if over not in hooks:
            hooks.insert(0, over)
        self._over = over

    def _hold_pools(self, hooks: "list[Any]") -> None:
        """Put stand-ins into the places of the hooks that close pools."""
        for place, hook in enumerate(hooks):
            if closes_pools(hook):
                hooks[place] = hook = Held(hook)  # noqa: PLW2901
            if hasattr(type(hook), "graceexit"):
                hook.holders.add(self)
                if hook not in self._held:
                    self._held.append(hook)

    def hold_finalizers(self, wanted: "Callable[[], bool]") -> None:
        """Hold those that multiprocessing calls in a child of its own, if *wanted()* then."""
        self._wanted = wanted
        known = [one.module for one in self._finalizing]
        for util in of_multiprocessing("util") if sys.version_info < (3, 13) else ():
            if util not in known:
                stand_in = StandIn(util, "_exit_function", None)
                stand_in.ours = partial(self._exit_function, stand_in)
                self._finalizing.append(stand_in)
        for one in self._finalizing:
            one.put()

    def release(self, *, dying: bool = False) -> None:
        """Call what was held; in a child that is *dying*, what multiprocessing has to do there."""
        for close in reversed(self._give_back()):
            try:
                close()
            except BaseException:  # noqa: S110
                pass  # as Python does not, for there are others behind it
        finalizers, self._finalizers = self._finalizers, None
        if dying:
            finalize()
        elif finalizers is not None:
            finalizers()

    def forget(self) -> None:
        """Give the hooks back as they were, and call none of them: uninstalled, or forked."""
        self._give_back()
        for one in self._finalizing:
            one.take_away()
        self._finalizers = None

    def _give_back(self) -> "list[Callable[[], object]]":
        """Put the hooks back into their places; return what has not been called meanwhile."""
        hooks: list[Any] = getattr(threading, "_threading_atexits", [])
        free = []
        for held in self._held:
            held.holders.discard(self)
            if not held.holders:
                free.append(held.hook)
                hooks[:] = [held.hook if hook is held else hook for hook in hooks]
        self._held = []
        # Python goes through them from behind: one would be called again.
        if self._over in hooks and not getattr(threading, "_SHUTTING_DOWN", False):
            hooks.remove(self._over)
        self._over = None
        self._registering.take_away()
        late, self._meanwhile = self._meanwhile, []
        return free + late

    def _register_atexit(self, func: "Any", *arg: "Any", **kwargs: "Any") -> None:
        """Register a hook; one that comes too late is called with those that are held."""
        try:
            self._registering.real(func, *arg, **kwargs)
            # An item may import a pool before Python has come to the hooks.
            self._hold_pools(getattr(threading, "_threading_atexits", []))
        except RuntimeError:
            self._meanwhile.append(partial(func, *arg, **kwargs))

    def _exit_function(self, stand_in: StandIn, *args: "Any", **kwargs: "Any") -> None:
        """Finalize what multiprocessing has, unless that is held."""
        finalizers = partial(stand_in.real, *args, **kwargs)
        if in_child() and self._wanted():
            self._finalizers = finalizers
        else:
            finalizers()


class Jobs:
    """What the pools have to do when `left` is first asked."""

    def __init__(self, ring: "Callable[[], object]") -> None:
        self._ring = ring
        self._to_begin = threading.Lock()  # taken by whoever asks first
        self._begun = False
        self._workers: set[threading.Thread] = set()  # which may have such a job in hand
        self._unmarked: list[Any] = []  # queues that are to get a mark, once for each worker
        self._futures: list[Any] = []
        self._later: StandIn | None = None  # the class of the jobs that are submitted from now on

    def left(self) -> list[threading.Thread]:
        """Return the workers that may still have a job of that time in hand, or before them."""
        with self._to_begin:
            if not self._begun:
                self._begin()
            unmarked, self._unmarked = self._unmarked, []
            for queue in unmarked:
                self._mark(queue)
        left = [one for one in list(self._workers) if is_running(one)]
        if any(not future.done() for future in self._futures):
            left += managers()
        return left

    def _begin(self) -> None:
        """Note which jobs and workers there are."""
        self._begun = True
        pools: Any = sys.modules.get(POOLS)
        if hasattr(pools, "_WorkItem"):  # else it is being imported
            self._later = StandIn(pools, "_WorkItem", later(pools._WorkItem, self._begins))
            self._later.put()
            known = [(one(), queue) for one, queue in list(pools._threads_queues.data.items())]
            # One that is being started is not in there yet, but may have a job in hand.
            for one in threads():
                if getattr(one, "_target", None) is pools._worker:
                    known += [(one, given) for given in getattr(one, "_args", ())]
            queues = {one: queue for one, queue in known if type(queue).__name__ in QUEUES}
            queues.pop(None, None)  # those that have ended
            self._workers.update(queues)
            self._unmarked += queues.values()
        for manager in managers():
            pending = getattr(manager, "pending_work_items", {})
            self._futures += [job.future for job in list(pending.values())]
        for future in self._futures:
            future.add_done_callback(lambda _: self._ring())

    def end(self) -> None:
        """Wait no more: put back what was replaced."""
        self._workers = set()
        if self._later is not None:
            self._later.take_away()

    def _begins(self) -> None:
        """Note that the calling worker has ended what was there before."""
        worker = threading.current_thread()
        if worker in self._workers:
            self._workers.discard(worker)
            self._ring()

    def _mark(self, queue: "Any") -> None:
        """Put a job into *queue* that does nothing, for a worker that is idle."""

        def run(*_: object) -> None:
            # There is one for each worker, so that one that has had its own leaves this to another.
            workers = list(self._workers)
            if workers and threading.current_thread() not in workers:
                self._mark(queue)
                sleep(SHY)
            self._begins()

        future = sys.modules["concurrent.futures"].Future()  # which a pool that is closed cancels
        try:
            queue.put_nowait(SimpleNamespace(run=run, future=future))
        except Exception:  # it is full
            self._unmarked.append(queue)


def later(real: "Any", begins: "Callable[[], None]") -> "Any":
    """Return the class of the jobs that are submitted from now on."""

    class LaterJob(real):  # type: ignore[misc]
        def run(self, *context: "Any") -> object:
            begins()
            return super().run(*context)

    return LaterJob


def closes_pools(hook: "Any") -> bool:
    """Return whether *hook*, one of threading's, is the one that closes the pools."""
    try:
        func = hook.__closure__[hook.__code__.co_freevars.index("func")].cell_contents
    except (AttributeError, ValueError):  # up to 3.12 it is a partial; others may be anything
        func = getattr(hook, "func", None)
    modules = map(sys.modules.get, (POOLS, *PROCESS_POOLS))
    closers = [getattr(module, "_python_exit", None) for module in modules]
    return func is not None and any(func is close for close in closers)


def managers() -> "list[Any]":
    """Return the threads that manage the pools of processes."""
    modules = map(sys.modules.get, PROCESS_POOLS)
    found = [getattr(module, "_ExecutorManagerThread", None) for module in modules]
    kinds = tuple(kind for kind in found if kind is not None)
    return [one for one in threads() if isinstance(one, kinds)]


def is_idle(worker: "Any") -> bool:
    """Return whether that thread has nothing in hand, which a manager of processes knows."""
    return not getattr(worker, "pending_work_items", True)


def workers() -> set[int]:
    """Return the ids of the threads that belong to pools, and end when those are closed."""
    found = set()
    for name in (POOLS, *PROCESS_POOLS):
        table = "_threads_queues" if name == POOLS else "_threads_wakeups"
        known = getattr(sys.modules.get(name), table, None)
        found |= {id(one()) for one in list(known.data)} if known is not None else set()
    return found


def finalize() -> None:
    """Do what multiprocessing does at the end of a child, but wait for no process."""
    utils = of_multiprocessing("util")
    for util in utils:
        util._run_finalizers(0)
    for process in of_multiprocessing("process"):
        for child in process.active_children():
            if child.daemon:
                child._popen.terminate()
    for util in utils:
        util._run_finalizers()
