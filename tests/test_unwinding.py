"""The main thread unwinds as it would at Ctrl-C, has time for it, and goes on with nothing."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import sys
import time
from contextlib import suppress
from textwrap import dedent, indent

import pytest
from wording import (
    GRACE,
    LINGER,
    MAIN_THREAD,
    ON_CTRL_C,
    ON_SIGTERM,
    assert_one_says,
    own,
    place,
    said,
    steps,
)

SIGTERM, SIGINT = signal.SIGTERM, signal.SIGINT
SIGNALS = {"SIGTERM": SIGTERM, "SIGINT": SIGINT}
# Python 3.12 and later warn of a fork where there are threads.
FORKS = {"PYTHONWARNINGS": "ignore:This process:DeprecationWarning"}
KEYBOARD = {"SIGTERM": [], "SIGINT": ["KeyboardInterrupt"]}
VERSION = sys.version_info


def at_depth(depth, source):
    """Return *source* so that it can stand in a program at that depth."""
    return indent(dedent(source), "    " * depth).strip()


# Loops

SENT = ["sent 1", "sent 2", "main unwinds"]
NURSERY = ["child unwinds", "main unwinds"]
needs_runner = pytest.mark.skipif(VERSION < (3, 11), reason="asyncio.Runner came with 3.11")


def needs(*modules):
    """Skip by name what needs somebody else's loop, where that is missing."""
    missing = [name for name in modules if not importlib.util.find_spec(name)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


LOOPS = {
    "asyncio.run": (SENT, ()),
    "Runner": (SENT, needs_runner),
    "run_until_complete": (SENT, ()),
    "uvloop.run": (SENT, needs("uvloop")),
    "uvloop's run_until_complete": (SENT, needs("uvloop")),
    "anyio": (SENT, needs("anyio")),
    "anyio on trio": (NURSERY, needs("anyio", "trio")),
    "trio": (NURSERY, needs("trio")),
    "trio without a nursery": (["main unwinds"], needs("trio")),
}
PARAMETERS = [pytest.param(*(name, lines), marks=marks) for name, (lines, marks) in LOOPS.items()]
of_asyncio = [one for one in PARAMETERS if one.values[1] is SENT]


@pytest.fixture
def loop(scenario, tmp_path):
    """Start a service on a loop; return it when it is ready."""

    def start(runs, sigint="Python's", then="ends"):
        worker = scenario("loops", runs, sigint, then, tmp_path / "go")
        worker.wait_for("ready")
        return worker

    return start


@pytest.mark.field(kind="SIGTERM in asyncio")
@pytest.mark.field(kind="SIGTERM in trio")
@pytest.mark.field(kind="SIGTERM in a nursery")
@pytest.mark.parametrize("sigint", ["Python's", "ignored", "the program's"])
@pytest.mark.parametrize(("runs", "unwinds"), PARAMETERS)
def test_sigterm_unwinds_the_main_task_while_the_others_live(loop, runs, unwinds, sigint):
    """Its `finally` has the other tasks to work with; what follows the loop is not run."""
    if "trio" in runs and sigint != "Python's":
        pytest.skip("trio unwinds by its handler of SIGINT, which has been replaced in this case")
    worker = loop(runs, sigint)
    worker.send(SIGTERM)
    lines, status = worker.finish()
    # A nursery puts KeyboardInterrupt into a group.
    raised = "BaseExceptionGroup" if unwinds is NURSERY else "KeyboardInterrupt"
    keyboard = [raised] * ("trio" in runs)
    assert sorted(lines[: len(unwinds)]) == sorted(unwinds)
    assert steps(lines[len(unwinds) :]) == ["unwound", *keyboard, "closed"]
    assert status == -SIGTERM


@pytest.mark.field(kind="SIGTERM in asyncio")
@pytest.mark.parametrize(
    ("runs", "unwinds"), [one for one in PARAMETERS if "run_until_complete" not in one.values[0]]
)
def test_ctrl_c_unwinds_it_as_without_graceexit(loop, runs, unwinds):
    """The handlers that the loops have for it stay in place."""
    if VERSION < (3, 11) and unwinds is SENT:
        pytest.skip("asyncio of Python 3.10 cancels every task at once at Ctrl-C")
    worker = loop(runs)
    worker.send(SIGINT)
    lines, status = worker.finish()
    assert sorted(lines[: len(unwinds)]) == sorted(unwinds)
    # A nursery puts KeyboardInterrupt into a group, of which no process dies.
    raised, expected = "KeyboardInterrupt", -SIGINT
    if unwinds is NURSERY:
        raised, expected = "BaseExceptionGroup", 1
    assert steps(lines[len(unwinds) :]) == ["unwound", raised, "closed"]
    assert status == expected


@pytest.mark.parametrize(("runs", "unwinds"), of_asyncio)
def test_a_repeated_sigterm_does_not_cut_the_main_task(loop, tmp_path, runs, unwinds):
    """Orchestrators and parents send two."""
    worker = loop(runs, then="waits")
    worker.send(SIGTERM)
    worker.wait_for("waits")
    for _ in range(20):
        worker.send(SIGTERM)
    (tmp_path / "go").touch()
    lines, status = worker.finish()
    assert (steps(lines), status) == (["main unwinds", "unwound", "closed"], -SIGTERM)


@pytest.mark.parametrize(("runs", "unwinds"), of_asyncio)
def test_a_main_task_that_fails_as_it_is_cancelled_is_logged(loop, runs, unwinds):
    """Nobody else would say so: what leaves the loop is the exit."""
    worker = loop(runs, then="raises")
    worker.send(SIGTERM)
    lines, status = worker.finish()
    assert (own(lines), status) == (["sent 1", "sent 2", "unwound", "closed"], -SIGTERM)
    assert_one_says(lines, ON_SIGTERM)
    assert [line for line in lines if "OSError: the broker is gone" in line]


@pytest.mark.parametrize(("runs", "unwinds"), of_asyncio)
def test_a_main_task_may_end_by_an_exit_of_its_own(loop, runs, unwinds):
    """Nothing more is raised, and the process dies of the signal all the same."""
    worker = loop(runs, then="exits")
    worker.send(SIGTERM)
    lines, status = worker.finish()
    assert not [line for line in lines if "main task failed" in line]
    # From 3.14 on Python has more to say of the task that nobody has cancelled then.
    lines = [line for line in lines if line in {"sent 1", "sent 2", "unwound", "closed"}]
    assert (lines, status) == (["sent 1", "sent 2", "unwound", "closed"], -SIGTERM)


def test_a_gather_that_is_the_main_task_is_cancelled_and_has_not_failed(script):
    """`run_until_complete` takes any future, and that of a gather raises where it was cancelled."""
    worker = script("""
        import asyncio
        import graceexit

        graceexit.on_exit(lambda: print("closed"))

        async def work():
            try:
                await asyncio.sleep(60)
            finally:
                print("unwinds")

        async def make():
            return asyncio.gather(work(), work())

        loop = asyncio.new_event_loop()
        future = loop.run_until_complete(make())
        loop.call_soon(print, "ready")
        loop.run_until_complete(future)
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["unwinds", "unwinds", "closed"], -SIGTERM)


# Where the signal comes: in a task, or in a greenlet of it, as in the sync part of SQLAlchemy's.
SENDS = [
    pytest.param("os.kill(os.getpid(), signal.SIGTERM)", id="task"),
    pytest.param(
        "__import__('greenlet').greenlet(os.kill).switch(os.getpid(), signal.SIGTERM)",
        marks=needs("greenlet"),
        id="greenlet",
    ),
]


@pytest.mark.parametrize("sends", SENDS)
def test_a_signal_that_comes_in_another_task_unwinds_the_main_task(script, sends):
    """The task that runs as it comes goes on, for the main task may need it."""
    lines, status = script(f"""
        import asyncio, os, signal
        import graceexit

        graceexit.on_exit(lambda: print("closed"))

        async def other(stop):
            {sends}
            await stop.wait()
            print("the other one has ended")

        async def main():
            stop = asyncio.Event()
            task = asyncio.create_task(other(stop))
            try:
                await asyncio.sleep(60)
            finally:
                stop.set()
                await task
                print("main unwinds")

        asyncio.run(main())
    """).finish()
    assert (steps(lines), status) == (
        ["the other one has ended", "main unwinds", "closed"],
        -SIGTERM,
    )


@pytest.mark.parametrize("sends", SENDS)
@pytest.mark.parametrize("run", ["asyncio", pytest.param("uvloop", marks=needs("uvloop"))])
def test_sigterm_does_not_cut_the_tasks_that_the_end_of_the_loop_has_cancelled(script, run, sends):
    """The main task is over; `asyncio.run` waits for what it has left."""
    lines, status = script(
        f"""
        import asyncio, importlib, os, signal, sys, time
        import graceexit

        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))

        async def left():
            try:
                await asyncio.sleep(60)
            finally:
                {sends}
                await asyncio.sleep(0.1)
                print("cleaned")

        async def main():
            task = asyncio.create_task(left())
            await asyncio.sleep(0.01)

        importlib.import_module(sys.argv[1]).run(main())
        time.sleep(1)  # under uvloop the exit comes a moment later
        print("never")
        """,
        run,
    ).finish()
    assert (steps(lines), status) == (["cleaned", "closed"], -SIGTERM)


WAITS = {
    "a queue that is never empty": "messages.get()",
    "a short job": "job()",
    "a job in a job": "asyncio.wait_for(job(), 5)",
}


@pytest.mark.field(kind="a wait_for that is always served")
@pytest.mark.parametrize("waits", WAITS)
def test_a_wait_for_that_is_always_served_does_not_keep_the_main_task(script, waits):
    """Up to Python 3.11 it takes a cancellation for its own."""
    busy = script(f"""
        import asyncio
        import graceexit

        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))

        async def feed(messages):
            while True:
                await messages.put("message")

        async def job():
            for _ in range(3):
                await asyncio.sleep(0)
            return sum(range(3000))

        async def main():
            messages = asyncio.Queue(10)
            feeding = asyncio.create_task(feed(messages))
            print("ready")
            try:
                while True:
                    await asyncio.wait_for({WAITS[waits]}, 5)
            finally:
                await asyncio.sleep(0.1)
                print("main unwinds")

        asyncio.run(main())
    """)
    lines, status = busy.end_by(SIGTERM)
    assert (steps(lines), status) == (["main unwinds", "closed"], -SIGTERM)


@pytest.mark.field(kind="a loop that does not turn")
@pytest.mark.parametrize(("runs", "unwinds"), of_asyncio)
def test_a_loop_that_does_not_turn_is_left_by_the_exit(loop, runs, unwinds):
    """The main task would never see that it is cancelled."""
    worker = loop(runs, then="blocks")
    worker.send(SIGTERM)
    lines, status = worker.finish()
    assert (steps(lines), status) == (["main unwinds", "unwound", "closed"], -SIGTERM)


@pytest.mark.field(kind="a main task that calls sys.exit")
def test_a_generator_of_the_main_task_is_closed(script):
    """Asyncio closes those that are left, also where the task ends by SystemExit."""
    worker = script("""
        import asyncio, sys
        import graceexit

        graceexit.on_exit(lambda: print("closed"))

        async def numbers():
            try:
                while True:
                    yield 1
            finally:
                print("the generator is closed")

        async def main():
            global kept
            kept = numbers()
            await kept.__anext__()
            try:
                print("ready")
                while True:
                    await asyncio.sleep(0.01)
            finally:
                sys.exit(0)

        asyncio.run(main())
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["the generator is closed", "closed"], -SIGTERM)


@pytest.mark.parametrize("limit", ["linger", "grace"])
def test_an_unwinding_that_hangs_is_bounded_and_named(script, limit):
    """The main task waits for ever in its `finally`; the items run, and it is named."""
    worker = script(f"""
        import asyncio
        import graceexit

        graceexit.install({limit}=1)
        graceexit.on_exit(lambda: print("closed"))

        async def main():
            try:
                print("ready")
                while True:
                    await asyncio.sleep(0.01)
            finally:
                while True:
                    await asyncio.sleep(0.01)

        asyncio.run(main())
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (own(lines), status) == (["closed"], -SIGTERM)
    assert_one_says(lines, ON_SIGTERM, MAIN_THREAD, LINGER if limit == "linger" else GRACE)


@pytest.mark.field(kind="asyncio in a child")
def test_the_main_task_of_a_child_unwinds(script, start_method):
    """`terminate()` of a service on asyncio that multiprocessing has started."""
    lines, status = script(
        """
        import asyncio, multiprocessing, sys
        import graceexit

        async def main(ready):
            graceexit.on_exit(lambda: print("closed"))
            try:
                ready.set()
                while True:
                    await asyncio.sleep(0.01)
            finally:
                await asyncio.sleep(0.2)
                print("main unwinds")

        def child(ready):
            graceexit.install(linger=60)
            asyncio.run(main(ready))
            print("never")

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            ready = context.Event()
            process = context.Process(target=child, args=[ready])
            process.start()
            ready.wait()
            process.terminate()
            process.join()
            print("exit code", process.exitcode)
        """,
        start_method,
    ).finish()
    assert (lines, status) == (["main unwinds", "closed", f"exit code {-SIGTERM}"], 0)


AFTER_A_LOOP = """
    import asyncio, os, signal, time
    import graceexit

    graceexit.on_exit(lambda: print("closed"))

    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()

    asyncio.run(main())
    {after}
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        time.sleep(0.01)
"""


@pytest.mark.field(kind="a second SIGTERM after asyncio")
def test_install_brings_back_the_handler_that_a_loop_has_taken_away(script):
    """`add_signal_handler` leaves SIG_DFL behind, whatever was there: documented."""
    source = AFTER_A_LOOP.format(after="graceexit.install()")
    lines, status = script(source).finish()
    assert (steps(lines), status) == (["closed"], -SIGTERM)


def test_a_loop_s_own_handler_of_sigterm_is_called_and_decides(script):
    """A program that ends by itself when its handler is called has status 0, as it would."""
    worker = script("""
        import asyncio, signal
        import graceexit

        graceexit.on_exit(lambda: print("closed"))

        async def main():
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            print("ready")
            await stop.wait()
            print("drained")

        asyncio.run(main())
        print("after the loop")
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["drained", "after the loop", "closed"], 0)


def test_a_main_task_that_swallows_its_cancellation_is_the_last_that_runs(script):
    """What follows the loop is not run, though nothing is raised in it."""
    worker = script("""
        import asyncio
        import graceexit

        graceexit.on_exit(lambda: print("closed"))

        async def main():
            try:
                print("ready")
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("swallowed")

        asyncio.run(main())
        print("never: what follows it")
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["swallowed", "closed"], -SIGTERM)


def test_a_main_task_that_takes_its_time_is_not_cut(script):
    """A second is for a loop that does not turn, and this one does."""
    worker = script("""
        import asyncio
        import graceexit

        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))

        async def main():
            try:
                asyncio.get_running_loop().call_soon(print, "ready")
                await asyncio.sleep(60)
            finally:
                for _ in range(150):
                    await asyncio.sleep(0.01)
                print("unwound")

        asyncio.run(main())
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["unwound", "closed"], -SIGTERM)


def test_the_handler_of_a_loop_for_ctrl_c_is_left_where_it_is(script):
    """A first registration in it finds it; when it has ended Ctrl-C is Python's own again."""
    worker = script("""
        import asyncio, signal
        import graceexit

        async def main():
            graceexit.on_exit(lambda: print("closed"))

        asyncio.run(main())
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """)
    lines, status = worker.finish()
    assert (steps(lines), status) == (["True", "closed"], 0)


def test_a_loop_that_runs_after_hold_has_its_own_handler_for_ctrl_c(script):
    """It looks for Python's own, which is where ours is; `uninstall` brings it back."""
    worker = script("""
        import asyncio, signal
        real = signal.default_int_handler
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        with graceexit.hold():
            pass

        async def main():
            try:
                other = asyncio.create_task(asyncio.sleep(60))
                asyncio.get_running_loop().call_soon(print, "ready")
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                print("cancelled alone" if not other.done() else "cancelled")
                raise

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            graceexit.uninstall()
            print(signal.default_int_handler is real is signal.getsignal(signal.SIGINT))
    """)
    lines, status = worker.end_by(SIGINT)
    cancelled = "cancelled alone" if VERSION >= (3, 11) else "cancelled"
    assert (own(lines), status) == ([cancelled, "True"], 0)


# An unwinding that is under way


@needs_runner
def test_sigterm_does_not_cut_the_main_task_that_ctrl_c_has_cancelled(loop, tmp_path):
    """To be cancelled once more would cut what its `finally` waits for."""
    worker = loop("asyncio.run", then="waits")
    worker.send(SIGINT)
    worker.wait_for("waits")
    worker.send(SIGTERM)
    worker.settle()
    (tmp_path / "go").touch()
    lines, status = worker.finish()
    assert (steps(lines)[0], steps(lines)[-1]) == ("main unwinds", "closed")
    assert status == -SIGTERM


HANDLES = """
            try:
                raise KeyError
            except KeyError:
                pass_on()
"""


@pytest.mark.field(kind="SIGTERM after Ctrl-C")
@pytest.mark.parametrize("unwinds", ["pass_on()", HANDLES.strip()], ids=["", "another error"])
def test_sigterm_does_not_cut_the_unwinding_of_ctrl_c(script, tmp_path, unwinds):
    """A parent that has caught KeyboardInterrupt itself sends it to its children."""
    worker = script(f"""
        import sys, time
        from pathlib import Path
        import graceexit

        def pass_on():
            print("unwinds")
            while not Path("go").exists():
                time.sleep(0.01)
            print("drained")

        sys.excepthook = lambda kind, *_: print(kind.__name__)
        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))
        try:
            print("ready")
            while True:
                time.sleep(0.01)
        finally:
            {unwinds}
    """)
    worker.wait_for("ready")
    worker.send(SIGINT)
    worker.wait_for("unwinds")
    for _ in range(20):
        worker.send(SIGTERM)
    (tmp_path / "go").touch()
    lines, status = worker.finish()
    assert steps(lines) == ["drained", "KeyboardInterrupt", "closed"]
    assert status in (-SIGINT, -SIGTERM)


LOST = {
    "__del__": """
        class Handle:
            def __del__(self):
                for _ in range(100):
                    pass

        make = Handle
    """,
    "a weakref callback": """
        import weakref

        class Handle:
            pass

        def finalize(_):
            for _ in range(100):
                pass

        def make():
            handle = Handle()
            references[:] = [weakref.ref(handle, finalize)]

        references = []
    """,
    "a C callback": """
        import ctypes

        @ctypes.CFUNCTYPE(None)
        def make():
            for _ in range(100):
                pass
    """,
}


@pytest.mark.field(kind="an exception that is lost in __del__")
@pytest.mark.parametrize("run", range(3))
@pytest.mark.parametrize("what", LOST)
def test_the_exit_is_not_lost_in_code_from_which_no_exception_gets_out(script, what, run):
    """Python ignores it there (h5py, torch and pyarrow have such objects): it is raised again."""
    worker = script(
        f"""
        import graceexit
        {at_depth(2, LOST[what])}
        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))
        try:
            print("ready")
            while True:
                make()
        finally:
            print("saved")
    """
    )
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["saved", "closed"], -SIGTERM)


LOCKED = """
    import os, signal, sys, threading, time
    import graceexit

    lock = threading.Lock()

    class Lock:
        def {take}(self, *_):
            lock.acquire()
            if sys.argv[1] == "takes":
                os.kill(os.getpid(), signal.SIGTERM)
            return True

        def {give}(self, *_):
            if sys.argv[1] == "gives":
                os.kill(os.getpid(), signal.SIGTERM)
            lock.release()

    @graceexit.on_exit
    def item():
        print("free", lock.acquire(timeout=10))

    {runs}
"""
RUNS_ON = """
    {uses}
    try:
        while True:
            time.sleep(0.01)
    finally:
        print("unwinds")
"""
IN_TRIO = """
    import trio

    async def main():
        {uses}
        try:
            await trio.sleep(60)
        finally:
            print("unwinds")

    sys.excepthook = lambda *_: None
    trio.run(main)
"""
USES = {
    "with": ("__enter__", "__exit__", "with Lock(): pass"),
    "calls": ("acquire", "release", "mine = Lock(); mine.acquire(); mine.release()"),
}


@pytest.mark.parametrize("moment", ["takes", "gives"])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "runs",
    [pytest.param(RUNS_ON, id="alone"), pytest.param(IN_TRIO, id="trio", marks=needs("trio"))],
)
def test_no_lock_is_left_taken_that_the_items_need(script, runs, use, moment):
    """Such as that of a queue, of a log or of an import: it is taken in Python."""
    take, give, uses = USES[use]
    runs = runs.format(uses=uses).strip()
    lines, status = script(LOCKED.format(take=take, give=give, runs=runs), moment).finish()
    assert (steps(lines), status) == (["unwinds", "free True"], -SIGTERM)


# The signal comes in these as the main thread waits for a thread that it has started.
STARTS = {
    "thread": """
        def stays():
            stop.wait()
            print("stopped")

        stop = threading.Event()
        threading.Event = Sending
        thread = threading.Thread(target=stays)
        thread.start()
        graceexit.register(thread, stop=stop)
    """,
    "pool": """
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor()
        threading.Event = Sending
        pool.submit(print, "stopped")
    """,
    "pool of processes": """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        pool = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
        threading.Event = Sending
        pool.submit(print, "stopped")
    """,
}


@pytest.mark.field(kind="a pool that the main thread fills")
@pytest.mark.parametrize("what", STARTS)
def test_whoever_is_being_started_has_an_owner(script, what):
    """A pool ends the workers that it knows, and is told of one when its thread has started."""
    lines, status = script(f"""
        import os, signal, threading, time
        import graceexit

        class Sending(threading.Event):
            def wait(self, timeout=None):
                threading.Event = Event
                os.kill(os.getpid(), signal.SIGTERM)
                super().wait(timeout)

        Event = threading.Event
        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))
        {at_depth(2, STARTS[what])}
        time.sleep(60)
    """).finish()
    assert (steps(lines), status) == (["stopped", "closed"], -SIGTERM)


# The signal comes in these before multiprocessing has been told what it has to end.
OF_MULTIPROCESSING = {
    "process": """
        multiprocessing.process._children = Sending()
        multiprocessing.get_context("fork").Process(target=work).start()
    """,
    "manager": """
        from multiprocessing import util

        def sending(obj, callback, *args, **kwargs):
            if callback.__name__ == "_finalize_manager":
                os.kill(os.getpid(), signal.SIGTERM)
            return finalize(obj, callback, *args, **kwargs)

        finalize, util.Finalize = util.Finalize, sending
        manager = multiprocessing.get_context("fork").Manager()
    """,
}


@pytest.mark.field(kind="a process that the main thread starts")
@pytest.mark.parametrize("what", OF_MULTIPROCESSING)
def test_a_process_that_is_being_started_is_waited_for(script, what):
    """Else it outlives the program, and the exit function that ends a manager waits for it."""
    lines, status = script(f"""
        import atexit
        atexit.register(lambda: print("left"))
        import multiprocessing, multiprocessing.managers, os, signal, time
        import graceexit

        class Sending(set):
            def add(self, child):
                os.kill(os.getpid(), signal.SIGTERM)
                super().add(child)

        def work():
            graceexit.uninstall()
            closed.wait()
            time.sleep(0.3)  # in which a parent that does not wait is gone
            print("worked", flush=True)

        closed = multiprocessing.get_context("fork").Event()
        graceexit.on_exit(lambda: (print("closed", flush=True), closed.set()))
        {at_depth(2, OF_MULTIPROCESSING[what])}
        time.sleep(60)
    """).finish()
    worked = ["worked"] * (what == "process")
    assert (steps(lines), status) == (["closed", *worked, "left"], -SIGTERM)


@pytest.mark.field(kind="a program that the main thread starts")
def test_a_program_that_is_being_started_is_known_to_whoever_ends_it(script):
    """Python closes the pipes of one whose start is cut, and leaves it running."""
    lines, status = script("""
        import os, signal, subprocess, sys, time
        import graceexit

        class Program(subprocess.Popen):
            def _execute_child(self, *args):
                super()._execute_child(*args)
                os.kill(os.getpid(), signal.SIGTERM)

        @graceexit.on_exit
        def close():
            for program in programs:
                program.kill()
                print("ended", program.wait())

        programs = []
        programs.append(Program([sys.executable, "-c", "import time; time.sleep(60)"]))
        time.sleep(60)
    """).finish()
    assert (steps(lines), status) == ([f"ended {-signal.SIGKILL}"], -SIGTERM)


@pytest.mark.field(kind="a counter of multiprocessing")
def test_the_lock_of_a_value_is_not_left_taken(script):
    """It is taken in C, and given back in the `finally` of a `try` that comes after that."""
    lines, status = script("""
        import functools, multiprocessing, os, signal, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        value = multiprocessing.Value("i")
        value.acquire = functools.partial(os.kill, os.getpid(), signal.SIGTERM)
        value.release = lambda: print("given back")
        value.value
        time.sleep(60)
    """).finish()
    assert (steps(lines), status) == (["given back", "closed"], -SIGTERM)


def test_a_call_to_a_manager_has_its_answer(script):
    """All proxies of a thread share one connection: else the next call has that answer."""
    lines, status = script("""
        import multiprocessing, os, signal, time
        import graceexit

        class Sending:
            def __init__(self, real):
                self.real = real

            def send(self, what):
                self.real.send(what)
                os.kill(os.getpid(), signal.SIGTERM)

            def __getattr__(self, name):
                return getattr(self.real, name)

        manager = multiprocessing.get_context("fork").Manager()
        known = manager.dict(one=1, two=2)
        known["one"]  # which connects
        known._tls.connection = Sending(known._tls.connection)
        graceexit.on_exit(lambda: print("closed"))
        try:
            known["one"]
            time.sleep(60)
        finally:
            print("two:", known["two"])
    """).finish()
    assert (steps(lines), status) == (["two: 2", "closed"], -SIGTERM)


@pytest.mark.field(kind="a context manager that is a generator")
@pytest.mark.parametrize("moment", ["takes", "gives"])
def test_a_context_manager_that_is_a_generator_is_entered_and_left(script, moment):
    """It takes a lock, or begins a transaction, and comes to its `try` after that."""
    lines, status = script(
        """
        import contextlib, os, signal, sys, threading, time
        import graceexit

        def send(moment):
            if sys.argv[1] == moment:
                os.kill(os.getpid(), signal.SIGTERM)

        @contextlib.contextmanager
        def taken():
            lock.acquire()
            send("takes")
            try:
                yield
            finally:
                send("gives")
                lock.release()

        lock = threading.Lock()
        graceexit.on_exit(lambda: print("free", lock.acquire(timeout=10)))
        with taken():
            pass
        time.sleep(60)
        """,
        moment,
    ).finish()
    assert (steps(lines), status) == (["free True"], -SIGTERM)


TAKEN = {
    "own": """
        lock.acquire(False)
        try:
            pass
        finally:
            lock.release()
    """,
    "lines": """
        if lock.acquire(
            True
        ):
            try:
                pass
            finally:
                lock.release()
    """,
    "given back": """
        try:
            pass
        finally:
            lock.release(send())
    """,
    "poll": """
        child = subprocess.Popen(["true"])
        child._waitpid_lock = lock
        child.poll()
    """,
    "stack": """
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock)
            time.sleep(60)
    """,
    "condition": """
        condition = threading.Condition(lock)
        condition.wait()
    """,
}


@pytest.mark.field(kind="a program whose output is followed")
@pytest.mark.parametrize(
    "how",
    [
        pytest.param(
            how,
            marks=pytest.mark.skipif(
                how == "given back" and VERSION >= (3, 11),
                reason="Python 3.10 looks for signals between any two instructions",
            ),
        )
        for how in TAKEN
    ],
)
def test_no_lock_is_left_taken_that_has_no_frame(script, how):
    """It is taken in C, and given back in the `finally` of a `try` that comes after that."""
    head = """
        import collections, contextlib, functools, os, signal, subprocess, sys, threading, time
        import graceexit

        # Functions in C that send the signal, and return what is true.
        send = functools.partial(max, [signal.SIGTERM], key=functools.partial(os.kill, os.getpid()))

        class Lock:
            acquire = collections.defaultdict(send).__getitem__
            # From 3.15 on it is called without the object, which it is bound to.
            __enter__ = staticmethod(send) if sys.version_info >= (3, 15) else acquire
            _release_save = staticmethod(send)
            _is_owned = locked = lambda *_: True
            _acquire_restore = release = __exit__ = lambda *_: print("given back")

        lock = Lock()
        graceexit.on_exit(lambda: print("closed"))
    """
    lines, status = script(dedent(head) + dedent(TAKEN[how]) + "time.sleep(60)\n").finish()
    assert (steps(lines), status) == (["given back", "closed"], -SIGTERM)


def test_a_lock_that_does_not_come_is_waited_for_no_longer(script):
    """Whoever has got a lock goes on at once, so that whoever does not go on has none."""
    waiting = script("""
        import threading
        import graceexit
        from graceexit import _unwinding

        _unwinding.INSTANT = 60  # which is over when this test has failed
        lock = threading.Lock()
        lock.acquire()
        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        lock.acquire()
    """)
    waiting.wait_for("ready")
    waiting.settle()
    waiting.send(SIGTERM)
    lines, status = waiting.finish()
    assert (steps(lines), status) == (["closed"], -SIGTERM)


@pytest.mark.parametrize(
    "waits", ["threading.Event()", "graceexit.Latch()", "multiprocessing.Event()"]
)
def test_a_main_thread_that_waits_is_unwound_at_once(script, waits):
    """They wait for a lock, but for none that would have to be given back."""
    waiting = script(f"""
        import multiprocessing, threading
        import graceexit
        from graceexit import _unwinding

        _unwinding.INSTANT = _unwinding.BLOCKED = 60  # which are over when this test has failed
        graceexit.install(linger=None)  # of which it could be a fifth
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        {waits}.wait()
    """)
    waiting.wait_for("ready")
    waiting.settle()
    waiting.send(SIGTERM)
    lines, status = waiting.finish()
    assert (steps(lines), status) == (["closed"], -SIGTERM)


def test_what_was_put_off_does_not_cut_the_hook(script):
    """The program has ended meanwhile: then there is nothing to be unwound."""
    lines, status = script("""
        import atexit, os, signal
        import graceexit
        from graceexit import _hook
        from graceexit._ender import Ender

        def leave(*args):
            called.append(True)
            real_leave(*args)

        def late(action):  # what the hook begins with
            while not called:
                pass
            return insist(action)

        called, real_leave, Ender.leave = [], Ender.leave, leave

        class Lock:
            def acquire(self):
                os.kill(os.getpid(), signal.SIGTERM)

        graceexit.on_exit(lambda: print("item"))
        atexit.register(print, "exit function")
        insist, _hook.insist = _hook.insist, late
        Lock().acquire()
    """).finish()
    assert (steps(lines), status) == (["item", "exit function"], -SIGTERM)


@pytest.mark.parametrize(
    "where", ["start", "context manager", "finally", "asyncio", "asyncio closes", "asyncio forks"]
)
def test_a_forked_child_has_the_frames_of_its_parent_for_no_reason_to_wait(script, where):
    """It is not being started, or entered, as long as it lives, and runs no loop."""
    lines, status = script(
        """
        import asyncio, contextlib, multiprocessing, os, signal, sys, time
        import graceexit
        from graceexit import _unwinding

        def work():
            # So that it is over when this test has failed.
            _unwinding.INSTANT, _unwinding.BLOCKED, _unwinding.SHARE = 60, 60, 0.01
            _unwinding.TURN = 60
            graceexit.install(linger=60)
            graceexit.on_exit(lambda: print("closed"))
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

        async def start():
            child.start()
            child.join()

        async def fork():
            if pid := os.fork():
                os.waitpid(pid, 0)
            else:
                try:
                    work()
                finally:  # the loop of its parent is not to get it
                    graceexit.shutdown()
                    os._exit(0)

        async def leave():
            async def other():
                try:
                    await asyncio.sleep(60)
                finally:
                    await start()

            task = asyncio.create_task(other())
            await asyncio.sleep(0)

        @contextlib.contextmanager
        def entered():
            child.start()
            child.join()
            yield

        child = multiprocessing.get_context("fork").Process(target=work)
        if sys.argv[1] == "start":
            child.start()
            child.join()
        elif sys.argv[1] == "finally":
            try:
                sys.exit(0)
            finally:
                child.start()
                child.join()
        elif sys.argv[1] == "asyncio":
            asyncio.run(start())
        elif sys.argv[1] == "asyncio closes":
            asyncio.run(leave())
        elif sys.argv[1] == "asyncio forks":
            asyncio.run(fork())
        else:
            with entered():
                pass
        """,
        where,
        env=FORKS,
    ).finish()
    assert (steps(lines), status) == (["closed"], 0)


def test_the_end_of_a_block_in_a_context_manager_is_one(script):
    """Nothing is put off there, into the next block."""
    lines, status = script("""
        import contextlib, os, signal, time
        import graceexit
        from graceexit import _unwinding

        @contextlib.contextmanager
        def drained():
            with graceexit.hold():
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
            yield

        _unwinding.INSTANT, _unwinding.BLOCKED, _unwinding.SHARE = 60, 60, 0.01
        graceexit.on_exit(lambda: print("closed"))
        try:
            with drained():
                pass
        finally:
            print("unwinds")
    """).finish()
    assert (steps(lines), status) == (["unwinds", "closed"], -SIGTERM)


def test_what_is_put_off_leaves_the_unwinding_its_time(script):
    """It is a share of `linger` at most: a program may do its work as it enters or leaves."""
    worker = script("""
        import contextlib, time
        import graceexit

        @contextlib.contextmanager
        def serving():
            try:
                print("ready")
                while True:
                    time.sleep(0.01)
                yield
            finally:
                print("saved")

        graceexit.install(linger=0.49)
        graceexit.on_exit(lambda: print("closed"))
        with serving():
            pass
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["saved", "closed"], -SIGTERM)


@pytest.mark.field(kind="a queue that the main thread fills")
@pytest.mark.parametrize("run", range(3))
@pytest.mark.parametrize("what", ["queue.Queue", "multiprocessing.Queue"])
def test_a_queue_that_the_main_thread_fills_is_drained(script, what, run):
    """The signal comes at any moment, most often as it takes or gives back the queue's lock."""
    filling = script(f"""
        import multiprocessing, queue, threading
        import graceexit

        def drain():
            while messages.get() is not None:
                pass
            print("drained")

        messages = {what}(100)
        thread = threading.Thread(target=drain)
        thread.start()
        graceexit.register(thread, stop=lambda: messages.put(None), timeout=60)
        messages.put("the first")  # which may start a thread
        print("ready")
        while True:
            messages.put("message")
    """)
    lines, status = filling.end_by(SIGTERM)
    assert (steps(lines), status) == (["drained"], -SIGTERM)


def test_no_lock_is_left_taken_that_a_with_takes(script):
    """Python 3.14 looks for signals when it is taken and the block has not begun."""
    lines, status = script("""
        import _thread, functools, signal, time
        import graceexit

        class Lock:
            __enter__ = staticmethod(functools.partial(_thread.interrupt_main, signal.SIGTERM))

            def __exit__(self, *_):
                print("given back")

        graceexit.on_exit(lambda: print("closed"))
        with Lock():
            while True:
                time.sleep(0.01)
    """).finish()
    assert (steps(lines), status) == (["given back", "closed"], -SIGTERM)


def test_a_lock_that_does_not_come_does_not_keep_the_main_thread(script):
    """It waits in a function that takes locks, and is unwound all the same."""
    waiting = script("""
        import threading
        import graceexit

        lock = threading.Lock()
        lock.acquire()

        class Lock:
            def __enter__(self):
                print("ready")
                lock.acquire()

            def __exit__(self, *_):
                pass

        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))
        try:
            with Lock():
                print("never")
        finally:
            print("unwinds")
    """)
    waiting.wait_for("ready")
    waiting.settle()
    waiting.send(SIGTERM)
    lines, status = waiting.finish()
    assert (steps(lines), status) == (["unwinds", "closed"], -SIGTERM)


def test_what_else_is_ignored_comes_to_the_programs_own_hook(script):
    """Nothing of others is hidden for it."""
    worker = script("""
        import sys, time
        import graceexit

        class Handle:
            def __del__(self):
                raise ValueError("of the program")

        sys.unraisablehook = lambda error: print("unraisable", error.exc_value)
        graceexit.on_exit(lambda: print("closed"))
        try:
            print("ready")
            while True:
                time.sleep(0.01)
        finally:
            Handle()
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["unraisable of the program", "closed"], -SIGTERM)


# Called by another handler


@pytest.mark.field(kind="a handler that calls ours")
def test_called_by_another_handler_ours_notes_the_signal_and_raises_nothing(script):
    """A framework that stands in front and calls the one that was there decides itself."""
    worker = script("""
        import signal, time
        import graceexit

        graceexit.on_exit(lambda: print("closed", graceexit.exiting.signum))
        before = signal.getsignal(signal.SIGTERM)
        asked = []

        def handler(signum, frame):
            asked.append(signum)
            before(signum, frame)

        signal.signal(signal.SIGTERM, handler)
        print("ready")
        while not asked:
            for _ in range(10):
                time.sleep(0.05)
        print("step done")
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["step done", f"closed {SIGTERM:d}"], 0)


# Ctrl-C is noticed

NOTICED = {
    "it dies of KeyboardInterrupt": ("pass", ["KeyboardInterrupt"], -SIGINT),
    "the program's handler": ("signal.signal(signal.SIGINT, lambda *_: sys.exit(3))", [], 3),
}


@pytest.mark.field(kind="Ctrl-C under grace")
@pytest.mark.parametrize("how", NOTICED)
def test_ctrl_c_is_the_signal_that_the_exit_names(script, how):
    """`exiting.signum`, and the log."""
    handler, keyboard, status = NOTICED[how]
    worker = script(f"""
        import logging, signal, sys, time
        import graceexit

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        sys.excepthook = lambda kind, *_: print(kind.__name__)
        {handler}
        graceexit.on_exit(lambda: print("closed", graceexit.exiting.signum))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, ended = worker.end_by(SIGINT)
    assert (own(lines), ended) == ([*keyboard, f"closed {SIGINT:d}"], status)
    assert said(lines)
    assert all(re.search(ON_CTRL_C, line) for line in said(lines))


HANGS = """
            while True:
                time.sleep(0.01)
"""
HANGS_IN_ANOTHER = """
            try:
                raise KeyError
            except KeyError:
                while True:
                    time.sleep(0.01)
"""


@pytest.mark.field(kind="Ctrl-C under grace")
@pytest.mark.parametrize("then", [HANGS, HANGS_IN_ANOTHER], ids=["", "another error"])
def test_grace_counts_from_ctrl_c(script, then):
    """A clean-up of the main thread that hangs is left when half of it is over, as at SIGTERM."""
    worker = script(f"""
        import time
        import graceexit

        graceexit.install(grace=4)

        @graceexit.on_exit
        def close():
            print("closed", graceexit.exiting.signum, time.monotonic() - pressed < 2.8)

        pressed = time.monotonic()
        try:
            print("ready")
            while True:
                pressed = time.monotonic()
                time.sleep(0.01)
        except KeyboardInterrupt:
            {then.strip()}
    """)
    lines, status = worker.end_by(SIGINT)
    assert f"closed {SIGINT:d} True" in lines
    assert status in (-SIGINT, 1)


def test_a_program_that_goes_on_after_ctrl_c_is_not_ended_by_its_grace(script):
    """A notebook, or a shell: it has handled it, and nothing has been asked of it."""
    worker = script("""
        import time
        import graceexit

        graceexit.install(grace=60)
        graceexit.on_exit(lambda: print("closed", graceexit.exiting.signum))
        try:
            print("ready")
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            print("goes on")
        for _ in range(150):
            time.sleep(0.01)
        print(graceexit.exiting.is_set())
    """)
    lines, status = worker.end_by(SIGINT)
    assert (steps(lines), status) == (["goes on", "False", "closed None"], 0)


def test_the_unraisable_hook_of_the_program_is_back_when_it_has_unwound(script):
    """Ours stands in front of it as long as the exit may be raised once more."""
    worker = script("""
        import sys, time
        import graceexit

        before = sys.unraisablehook
        graceexit.on_exit(lambda: print("closed", sys.unraisablehook == before))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["closed True"], -SIGTERM)


# To finish what is in hand

HOLD = """
    import sys, time
    from pathlib import Path
    import graceexit

    sys.excepthook = lambda kind, *_: print(kind.__name__)
    graceexit.install(linger=60)
    graceexit.on_exit(lambda: print("closed"))

    def step():
        print("began")
        while not Path("go").exists():
            time.sleep(0.01)
        print("done", graceexit.exiting.is_set(), graceexit.exiting.signum)

    {loop}
"""
SHAPES = {
    "steps": """
        while True:
            with graceexit.hold():
                step()
    """,
    "whole": """
        with graceexit.hold():
            while not graceexit.exiting.is_set():
                step()
        print("never")
    """,
    "nested": """
        with graceexit.hold():
            with graceexit.hold():
                step()
            print("the outer one")
        print("never")
    """,
}
SENT_BY = {
    "SIGTERM": [SIGTERM],
    "SIGINT": [SIGINT],
    "SIGTERM twice": [SIGTERM, SIGTERM],
    "SIGINT, then SIGTERM": [SIGINT, SIGTERM],
    "SIGTERM, then SIGINT": [SIGTERM, SIGINT],
}


@pytest.mark.field(kind="a message in hand")
@pytest.mark.parametrize("sent", SENT_BY)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_main_thread_finishes_what_it_has_in_hand(script, tmp_path, shape, sent):
    """The signal is noted at once, the block ends, and then it unwinds."""
    worker = script(HOLD.format(loop=at_depth(1, SHAPES[shape])))
    worker.wait_for("began")
    for signum in SENT_BY[sent]:
        worker.send(signum)
        worker.settle()  # each has been noted
    (tmp_path / "go").touch()
    lines, status = worker.finish()
    first = SENT_BY[sent][0]
    keyboard = ["KeyboardInterrupt"] * (first == SIGINT)
    outer = ["the outer one"] * (shape == "nested")
    assert steps(lines) == [f"done True {first:d}", *outer, *keyboard, "closed"]
    assert status in {-signum for signum in SENT_BY[sent]}


@pytest.mark.field(kind="an asyncio consumer that always has messages")
@pytest.mark.parametrize("strikes", ["in it", "before it"])
@pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=needs("uvloop"))])
def test_a_block_that_asyncio_does_not_leave_is_finished(script, strikes, loop):
    """What is awaited is there already, so that the task comes to the next block at once."""
    lines, status = script(f"""
        import asyncio, os, signal
        import {loop} as runs
        import graceexit

        def strike(where, number):
            if where == {strikes!r} and number == 3:
                os.kill(os.getpid(), signal.SIGTERM)

        async def main():
            messages = asyncio.Queue()
            for number in range(10_000):
                messages.put_nowait(number)
            while True:
                strike("before it", messages.qsize() - 9_990)
                with graceexit.hold():
                    taken.append(await messages.get())
                    strike("in it", taken[-1])
                    await asyncio.sleep(0.002)
                    handled.append(taken[-1])

        taken, handled = [], []
        graceexit.on_exit(lambda: print(taken == handled))
        runs.run(main())
    """).finish()
    assert (steps(lines), status) == (["True"], -SIGTERM)


@pytest.mark.parametrize(
    ("goes_on", "linger", "finished"),
    [("not graceexit.exiting.is_set()", 60, True), ("True", 0.3, False)],
    ids=["asks", "does not ask"],
)
@pytest.mark.parametrize(
    "run", ["asyncio.run(main())", pytest.param("trio.run(main)", marks=needs("trio"))]
)
def test_blocks_of_several_tasks_end_if_their_loops_ask(script, run, goes_on, linger, finished):
    """One of them is always in its block: the main thread has no moment to unwind."""
    library, _, _ = run.partition(".")
    start = {
        "asyncio": "await asyncio.gather(work(), work())",
        "trio": "async with trio.open_nursery() as tasks: [tasks.start_soon(work) for _ in '12']",
    }
    lines, status = script(f"""
        import os, signal, sys
        import {library}
        import graceexit

        async def work():
            while {goes_on}:
                with graceexit.hold():
                    taken.append(1)
                    if len(taken) == 6:
                        os.kill(os.getpid(), signal.SIGTERM)
                    await {library}.sleep(0.01)
                    handled.append(1)

        async def main():
            {start[library]}

        taken, handled = [], []
        sys.excepthook = lambda *_: None
        graceexit.install(linger={linger})
        graceexit.on_exit(lambda: print(taken == handled))
        {run}
    """).finish()
    assert str(finished) in lines
    assert any("linger=0.3 s is over" in line for line in lines) is not finished
    assert status == -SIGTERM


STRIKES = """
    import asyncio, os, signal, time
    import graceexit
    from graceexit import _unwinding
    from graceexit._ender import Ender

    def leave(*args):
        called.append(True)
        real_leave(*args)

    class Lock:
        def acquire(self):
            os.kill(os.getpid(), signal.SIGTERM)

    def work():
        graceexit._process.own.exit.ender.unwinding._put_off(0)
        while not called:  # that it is raised again
            pass
        print("finished")

    called, real_leave, Ender.leave = [], Ender.leave, leave
    _unwinding.AGAIN = _unwinding.TURN = 3600  # `work` says when

    graceexit.on_exit(lambda: print("closed"))
"""


def test_what_was_put_off_does_not_cut_a_block(script):
    """The signal came as a lock was taken, and a moment later the main thread is in the block."""
    lines, status = script(f"""{STRIKES}
    Lock().acquire()
    with graceexit.hold():
        work()
    time.sleep(60)
    """).finish()
    assert (steps(lines), status) == (["finished", "closed"], -SIGTERM)


def test_what_was_put_off_does_not_cut_what_unwinds(script):
    """Ctrl-C came meanwhile."""
    lines, status = script(f"""{STRIKES}
    try:
        Lock().acquire()
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        work()
    """).finish()
    assert (steps(lines), status) == (["finished", "closed"], -SIGTERM)


def test_a_loop_that_does_not_turn_does_not_cut_a_block(script):
    """The block ends, the main task is cancelled there, and the loop is left once."""
    lines, status = script(f"""{STRIKES}

    async def other():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            print("other")

    async def main():
        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        with graceexit.hold():
            work()
        await task

    asyncio.run(main())
    """).finish()
    assert (steps(lines), status) == (["finished", "other", "closed"], -SIGTERM)


@pytest.mark.field(kind="a message in hand")
def test_ctrl_c_pressed_twice_quickly_does_not_end_the_block(script):
    """It is one press, as of a person who holds the keys down."""
    lines, status = script("""
        import os, signal, sys
        import graceexit

        sys.excepthook = lambda kind, *_: print(kind.__name__)
        graceexit.on_exit(lambda: print("closed"))
        with graceexit.hold():
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
            print("done")
        print("never")
    """).finish()
    assert (steps(lines), status) == (["done", "KeyboardInterrupt", "closed"], -SIGINT)


def test_ctrl_c_pressed_again_ends_the_block(script):
    """A person who wants out is not kept; presses within half a second are one."""
    worker = script(HOLD.format(loop=at_depth(1, SHAPES["steps"])))
    worker.wait_for("began")
    worker.send(SIGINT)
    time.sleep(0.6)  # what the rule is about
    worker.send(SIGINT)
    lines, status = worker.finish()
    assert (steps(lines), status) == (["KeyboardInterrupt", "closed"], -SIGINT)


def test_a_second_sigterm_does_not_cut_what_unwinds_after_a_block(script):
    """The block stands in the main task's `finally`; what follows it there is not cut either."""
    lines, status = script("""
        import asyncio, os, signal
        import graceexit

        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))

        def send():
            os.kill(os.getpid(), signal.SIGTERM)

        async def main():
            try:
                asyncio.get_running_loop().call_soon(send)
                while True:
                    await asyncio.sleep(0.01)
            finally:
                with graceexit.hold():
                    send()
                    await asyncio.sleep(0.01)
                    print("saved")
                await asyncio.sleep(0.01)
                print("uploaded")

        asyncio.run(main())
    """).finish()
    assert (steps(lines), status) == (["saved", "uploaded", "closed"], -SIGTERM)


def test_ctrl_c_is_held_where_somebody_has_set_pythons_own_handler_again(script):
    """A kernel of Jupyter does so before each cell, with the function that it has kept."""
    lines, status = script("""
        from signal import SIGINT, default_int_handler, getsignal, signal
        import os, time
        import graceexit

        layers = set()
        for cell in range(3):
            signal(SIGINT, default_int_handler)
            with graceexit.hold():
                layers.add(getsignal(SIGINT))
        print(len(layers))
        signal(SIGINT, default_int_handler)
        with graceexit.hold():
            os.kill(os.getpid(), SIGINT)
            print("finished")
    """).finish()
    assert (own(lines), status) == (["1", "finished"], -SIGINT)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
def test_a_block_that_somebody_else_ends_has_not_failed(script, how):
    """A generator that is closed, or a task that is cancelled, has nothing to say of an error."""
    lines, _ = script(
        """
        import asyncio, os, signal, sys
        import graceexit

        def batches():
            while True:
                with graceexit.hold():
                    yield

        async def work():
            with graceexit.hold():
                await asyncio.sleep(60)

        def send():
            os.kill(os.getpid(), signal.SIGTERM)

        async def main():
            task = asyncio.create_task(work())
            await asyncio.sleep(0.01)
            send()
            task.cancel()
            await asyncio.sleep(60)

        if sys.argv[1] == "closed":
            for batch in batches():
                send()
                break
        else:
            asyncio.run(main())
        """,
        how,
    ).finish()
    assert not [line for line in lines if re.search("in hand failed", line)]


@pytest.mark.parametrize("limit", ["linger", "grace"])
def test_a_block_that_does_not_end_is_cut_and_named(script, limit):
    """By `linger` and by `grace` alone; the line says where it is."""
    worker = script(f"""
        import time
        import graceexit

        def step():
            print("began")
            while True:
                time.sleep(0.01)

        graceexit.install({limit}=1)
        graceexit.on_exit(lambda: print("closed"))
        with graceexit.hold():
            step()
    """)
    lines, status = worker.end_by(SIGTERM, after="began")
    assert (own(lines), status) == (["closed"], -SIGTERM)
    limit = LINGER if limit == "linger" else GRACE
    assert_one_says(lines, ON_SIGTERM, MAIN_THREAD, place("step"), limit)


def test_without_a_signal_a_block_changes_nothing(script):
    """It lets through what is raised in it, also on another thread, also where nothing is there."""
    lines, status = script("""
        import threading
        import graceexit

        def block():
            try:
                with graceexit.hold():
                    raise KeyError("through")
            except KeyError as error:
                print(error)

        block()
        thread = threading.Thread(target=block)
        thread.start()
        thread.join()
        graceexit.on_exit(lambda: print("closed"))
        block()
    """).finish()
    assert (steps(lines), status) == (["'through'"] * 3 + ["closed"], 0)


def test_a_block_that_raises_as_a_signal_is_held_unwinds(script, tmp_path):
    """The error of the program is not hidden by the exit, nor the exit by the error."""
    worker = script("""
        import sys, time
        from pathlib import Path
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        try:
            with graceexit.hold():
                print("began")
                while not Path("go").exists():
                    time.sleep(0.01)
                raise KeyError("in hand")
        except BaseException as error:
            print(type(error).__name__, repr(error.__context__))
            raise
    """)
    worker.wait_for("began")
    worker.send(SIGTERM)
    worker.settle()
    (tmp_path / "go").touch()
    lines, status = worker.finish()
    assert own(lines) == ["SystemExit KeyError('in hand')", "closed"]
    assert status == -SIGTERM


def test_a_block_on_another_thread_holds_nothing(script):
    """It is for what the main thread has in hand."""
    worker = script("""
        import threading, time
        import graceexit

        def work():
            with graceexit.hold():
                print("began")
                while True:
                    time.sleep(0.01)

        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))
        threading.Thread(target=work, daemon=True).start()
        while True:
            time.sleep(0.01)
    """)
    lines, status = worker.end_by(SIGTERM, after="began")
    assert (steps(lines), status) == (["closed"], -SIGTERM)


RUN = """
    import os, signal, sys, time
    import graceexit

    sys.excepthook = lambda kind, *_: print(kind.__name__)
    noticed = []

    def press(*given):
        noticed.append(given)
        signal.default_int_handler(*given)

    signal.signal(signal.SIGINT, press)

    def item():
        for count, signum in enumerate(map(int, sys.argv[1:]), 1):
            os.kill(os.getpid(), signum)
            while len(noticed) < count and not graceexit.exiting.signum == signal.SIGTERM:
                time.sleep(0.01)
        print("done")

    graceexit.on_exit(lambda: print("closed"))
    registry = graceexit.Registry()
    registry.on_exit(lambda: print("last"))
    registry.on_exit(item)
    {run}
    print("never")
"""
OWN, SHARED = ["done", "last"], ["done", "closed"]
RUNS = {
    "registry.run()": (OWN, ["closed"]),
    "with registry: pass": (OWN, ["closed"]),
    "graceexit.on_exit(item); graceexit.shutdown()": (SHARED, []),
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("signum", [SIGTERM, SIGINT], ids=["SIGTERM", "SIGINT"])
def test_items_that_are_being_run_are_in_hand(script, run, signum):
    """All of them are run, and then the main thread unwinds."""
    lines, status = script(RUN.format(run=run), int(signum)).finish()
    before, after = RUNS[run]
    keyboard = ["KeyboardInterrupt"] * (signum == SIGINT)
    assert (steps(lines), status) == ([*before, *keyboard, *after], -signum)


def test_a_limit_that_the_program_has_set_leaves_a_run_of_items(script):
    """An exception of another kind, such as that of an alarm, is raised at once."""
    lines, status = script("""
        import signal, time
        import graceexit

        def over(*_):
            raise TimeoutError

        signal.signal(signal.SIGALRM, over)
        registry = graceexit.Registry()
        registry.on_exit(lambda: time.sleep(60), timeout=None)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            registry.run()
        except TimeoutError:
            print("over")
    """).finish()
    assert (steps(lines), status) == (["over"], 0)


def test_ctrl_c_pressed_again_leaves_a_run_of_items(script):
    """A person who wants out is not kept."""
    program = RUN.format(run="registry.run()").replace('print("done")', "time.sleep(60)")
    lines, status = script(program, int(SIGINT), int(SIGINT)).finish()
    assert (steps(lines), status) == (["KeyboardInterrupt", "closed"], -SIGINT)


# Children: nothing runs beside what it closes

BESIDE = """
    import multiprocessing, os, signal, sys, time
    from concurrent.futures import ProcessPoolExecutor
    import graceexit

    rows = []

    def close():
        before = len(rows)
        time.sleep(0.3)
        print("written meanwhile:", len(rows) - before)

    def write():
        try:
            print("begun", os.getpid())
            while True:
                rows.append(1)
                time.sleep(0.001)
        finally:
            print("unwinds")

    def register():
        graceexit.on_exit(close)

    def process():
        register()
        write()

    if __name__ == "__main__":
        method, how = sys.argv[1:]
        context = multiprocessing.get_context(method)
        if how == "Process":
            child = context.Process(target=process)
            child.start()
            child.join()
            print("exit code", child.exitcode)
        elif how == "executor":
            with ProcessPoolExecutor(1, context, register) as pool:
                print(type(pool.submit(write).exception()).__name__)
        else:
            pool = context.Pool(1, register)
            pool.apply_async(write)
            while not pool._pool[0].exitcode:
                time.sleep(0.01)
"""


@pytest.mark.field(kind="a child that writes")
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("Process", ["unwinds", "written meanwhile: 0", f"exit code {-SIGTERM}"]),
        ("executor", ["unwinds", "written meanwhile: 0", "BrokenProcessPool"]),
    ],
)
def test_the_main_thread_of_a_child_does_not_go_on_beside_its_items(
    script, start_method, how, expected
):
    """It unwinds; the worker of an executor stands still where it would tell its parent of it."""
    running = script(BESIDE, start_method, how)
    pid = int(running.wait_for(re.compile("^begun")).split()[1])
    os.kill(pid, SIGTERM)
    assert running.finish() == (expected, 0)


def test_the_worker_of_a_pool_does_not_go_on_beside_its_items(script, start_method):
    """It gets the signal from `terminate()`, like the others of its pool."""
    lines, status = script(
        """
        import multiprocessing, sys, time
        import graceexit

        rows = []

        def close():
            before = len(rows)
            time.sleep(0.3)
            print("written meanwhile:", len(rows) - before)

        def write(_):
            try:
                begun.set()
                while True:
                    rows.append(1)
                    time.sleep(0.001)
            finally:
                print("unwinds")

        def initialize(event):
            global begun
            begun = event
            graceexit.on_exit(close)

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            event = context.Event()
            pool = context.Pool(1, initialize, [event])
            pool.map_async(write, [0])
            event.wait()
            pool.terminate()
            pool.join()
        """,
        start_method,
    ).finish()
    assert (lines, status) == (["unwinds", "written meanwhile: 0"], 0)


def test_a_job_that_makes_an_error_of_its_exit_is_the_last_of_its_worker(script, start_method):
    """As those of duckdb do: the worker would wait for another one, with the lock of its queue."""
    lines, status = script(
        """
        import multiprocessing, sys, time
        import graceexit

        def work(_):
            try:
                begun.set()
                while True:
                    time.sleep(0.01)
            except SystemExit:
                raise RuntimeError("interrupted") from None

        def initialize(event):
            global begun
            begun = event
            graceexit.install(linger=60)
            graceexit.on_exit(lambda: print("closed"))

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            event = context.Event()
            pool = context.Pool(1, initialize, [event])
            pool.map_async(work, [0])
            event.wait()
            pool.terminate()
            pool.join()
            print("joined")
        """,
        start_method,
    ).finish()
    assert (steps(lines), status) == (["closed", "joined"], 0)


def test_a_child_whose_unwinding_hangs_is_cut_by_linger(script, start_method):
    """Then its items run, and it dies of the signal."""
    lines, status = script(
        """
        import multiprocessing, sys, time
        import graceexit

        def child(ready):
            graceexit.install(linger=0.5)
            graceexit.on_exit(lambda: print("closed"))
            while True:
                try:
                    ready.set()
                    while True:
                        time.sleep(0.01)
                except SystemExit:
                    print("swallowed")

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            ready = context.Event()
            process = context.Process(target=child, args=[ready])
            process.start()
            ready.wait()
            process.terminate()
            process.join()
            print("exit code", process.exitcode)
        """,
        start_method,
    ).finish()
    assert (own(lines), status) == (["swallowed", "closed", f"exit code {-SIGTERM}"], 0)
    assert_one_says(lines, ON_SIGTERM, MAIN_THREAD, LINGER)


def test_a_child_that_is_started_in_a_block_has_nothing_in_hand(script, start_method):
    """Its target runs inside the block of its parent, which never ends there."""
    lines, status = script(
        """
        import multiprocessing, sys, time
        import graceexit

        def child(ready):
            graceexit.install(linger=60)
            graceexit.on_exit(lambda: print("child closed"))
            try:
                ready.set()
                while True:
                    time.sleep(0.01)
            finally:
                print("child unwinds")

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            with graceexit.hold():
                ready = context.Event()
                process = context.Process(target=child, args=[ready])
                process.start()
                ready.wait()
                process.terminate()
                process.join()
            print("exit code", process.exitcode)
        """,
        start_method,
    ).finish()
    expected = ["child unwinds", "child closed", f"exit code {-SIGTERM}"]
    assert (steps(lines), status) == (expected, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_child_that_another_thread_forks_has_nothing_in_hand(script):
    """The block is that of the main thread of its parent, which is not there."""
    worker = script(
        """
        import os, threading, time
        import graceexit

        def work():
            if not (child := os.fork()):
                graceexit.on_exit(lambda: print("child closed"))
                try:
                    print("ready", os.getpid())
                    while True:
                        time.sleep(0.01)
                except SystemExit:
                    print("child unwinds")
                    raise
            print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        graceexit.install(linger=1)
        with graceexit.hold():
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        """,
        env={"PYTHONWARNINGS": "ignore:This process:DeprecationWarning"},
    )
    pid = int(worker.wait_for(re.compile("^ready")).split()[1])
    with suppress(ProcessLookupError):
        while True:  # from 3.13 on such a child does not notice each signal
            os.kill(pid, SIGTERM)
            time.sleep(0.05)
    lines, status = worker.finish()
    assert (own(lines), status) == (["child unwinds", "child closed", f"exit code {-SIGTERM}"], 0)


WRITES = """
    import asyncio, os, time
    import graceexit

    def opened():
        rows = open("rows", "w")
        rows.write("row")
        print("ready")
        return rows

    def write():
        rows = opened()
        while True:
            time.sleep(0.01)

    async def write_in_asyncio():
        rows = opened()
        while True:
            await asyncio.sleep(0.01)

    def write_in_blocks():
        rows = opened()
        while True:
            with graceexit.hold():
                time.sleep(0.01)

    graceexit.on_exit(lambda: print(os.path.getsize("rows") > 0))
"""


IN_ASYNCIO = pytest.param(
    "asyncio.run(write_in_asyncio())",
    marks=pytest.mark.skipif(
        VERSION[:2] == (3, 12),
        reason="Python 3.12 keeps the frames of a cancelled task, as at Ctrl-C",
    ),
)


@pytest.mark.parametrize("runs", ["write()", IN_ASYNCIO, "write_in_blocks()"])
def test_what_has_unwound_keeps_nothing_open(script, runs):
    """A file of a function that has ended is closed, though a signal has ended it."""
    worker = script(WRITES + f"    {runs}")
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == (["True"], -SIGTERM)


def test_a_statement_at_a_prompt_that_ctrl_c_has_ended_is_not_the_program(script):
    """As in the shell of a framework; what comes later ends the program."""
    lines, status = script("""
        import code
        import graceexit

        graceexit.on_exit(lambda: print("closed", graceexit.exiting.signum))
        code.InteractiveConsole().push("raise KeyboardInterrupt")
        print("goes on")
    """).finish()
    assert (steps(lines)[-2:], status) == (["goes on", "closed None"], 0)
