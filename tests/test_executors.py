"""What items need still works: pools, loops, threads, queues of a child. Nothing hangs on it."""

from __future__ import annotations

import importlib.util
import signal
import sys
from textwrap import dedent, indent

import pytest
from harness import NO_THREADS_AT_THE_END, needs_threads_at_the_end
from serving import need
from wording import INLINE, own, steps

SIGTERM, SIGINT = signal.SIGTERM, signal.SIGINT
VERSION = sys.version_info

# Python 3.12 and later warn of a fork where there are threads, which is what some programs do.
FORKS = {"PYTHONWARNINGS": "ignore:This process:DeprecationWarning"}

pools_work = needs_threads_at_the_end("pools are closed before items run")
forks_work = needs_threads_at_the_end("Python does not fork then either")

# How a program ends: the signal, what its unwinding prints, its status and that of a child.
ENDINGS = {
    "end": (None, [], 0, 0),
    "SIGTERM": (SIGTERM, [], -SIGTERM, -SIGTERM),
    "SIGINT": (SIGINT, ["KeyboardInterrupt"], -SIGINT, 5),
    "handler raises": (SIGTERM, ["the handler of the program"], 0, 0),
    "handler sets a flag": (SIGTERM, ["the handler of the program"], 0, 0),
}
IMPORTS = ["before", "after", "by items"]
ITEMS = [f"{kind} {n}:" for n in (-1, 0, 1) for kind in ("thread", "async callback", "callback")]
FOUND = [f"{item} 2 2 3 True" for item in ITEMS]


# Everything, in every kind of item


@pytest.mark.field(kind="a last batch that needs a pool")
@pytest.mark.field(kind="an async callback that needs names")
@pools_work
@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("imports", IMPORTS)
def test_pools_loops_names_and_threads_work_in_every_item(scenario, imports, how):
    """Whatever is imported when, however it ends, whether the order is negative or not."""
    signum, unwinding, status, _ = ENDINGS[how]
    worker = scenario("needs", imports, "script", how)
    worker.wait_for("ready")
    if signum:
        worker.send(signum)
    assert worker.finish() == (unwinding + FOUND, status)


@pytest.mark.parametrize(
    ("imports", "how"),
    [*(("before", how) for how in ENDINGS), ("after", "SIGTERM"), ("by items", "end")],
)
def test_they_work_in_the_items_of_a_child(scenario, start_method, imports, how):
    """A process that multiprocessing has started, as in a script."""
    _, unwinding, _, code = ENDINGS[how]
    unwinding = [line for line in unwinding if line != "KeyboardInterrupt"]
    lines, status = scenario("needs", imports, start_method, how).finish()
    assert (lines, status) == ([*unwinding, *FOUND, f"exit code {code}"], 0)


@pytest.mark.field(kind="a last batch that needs a pool")
@pytest.mark.field(kind="an async callback that needs names")
@pytest.mark.skipif(
    not NO_THREADS_AT_THE_END,
    reason="about Python 3.12.0 to 3.12.2, which start no thread at their end",
)
@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("imports", IMPORTS)
def test_where_no_thread_starts_at_the_end_each_item_is_still_run(scenario, imports, how):
    """The pools are closed as Python closes them, and one warning says so."""
    signum, unwinding, status, _ = ENDINGS[how]
    worker = scenario("needs", imports, "script", how)
    worker.wait_for("ready")
    if signum:
        worker.send(signum)
    lines, ended = worker.finish()
    said = [line.partition(":")[0] + ":" for line in lines]
    assert [item for item in said if item in ITEMS] == ITEMS
    # An import by an item, on the main thread, makes Python forget what it has to die of.
    assert ended in ({-SIGINT, 1} if signum == SIGINT else {status})
    assert len([line for line in lines if INLINE.search(line)]) == 1
    assert own(lines)[: len(unwinding)] == unwinding


LIMITED = """
    import refusing
    import threading
    from concurrent.futures import ThreadPoolExecutor
    import graceexit

    pool = ThreadPoolExecutor(1)
    pool.submit(len, "").result()
    graceexit.on_exit(lambda: print("closed"))
    refusing.allow(0)
"""


@pytest.mark.field(kind="a limit of threads")
def test_a_program_at_its_limit_of_threads_ends(script):
    """Nothing is held back where no thread can be started."""
    lines, status = script(LIMITED).finish()
    assert [line for line in lines if INLINE.search(line)]
    assert (own(lines), status) == (["closed"], 0)


# Jobs that were submitted before, and later

JOBS = """
    import sys, threading, time
    {first}
    import graceexit
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    def job(seconds=0.2):
        time.sleep(seconds)
        ended.append(True)

    ended = []
    if __name__ == "__main__":
        graceexit.install(linger=60)
        {program}
        print("ready")
        while len(sys.argv) > 1:
            time.sleep(0.01)
"""
FIRST = ["", "import concurrent.futures.process, concurrent.futures.thread"]


@pytest.fixture(params=FIRST, ids=["graceexit is first", "pools are first"])
def jobs(script, request):
    """Run a program with jobs until it ends, by itself or by SIGTERM; both ways to import."""

    def run(program, signum=None):
        program = indent(dedent(program), " " * 8).strip()
        source = JOBS.format(first=request.param, program=program)
        worker = script(source, *["waits"] * bool(signum))
        worker.wait_for("ready")
        if signum:
            worker.send(signum)
        lines, status = worker.finish()
        assert status == -(signum or 0)
        return lines

    return run


BY = pytest.mark.parametrize("signum", [None, SIGTERM], ids=["end", "SIGTERM"])


@pytest.mark.field(kind="a job of the last line")
@BY
def test_jobs_that_were_submitted_by_the_last_line_end_before_the_items(jobs, signum):
    """To idle workers, too: one that has been handed a job looks idle for a moment."""
    lines = jobs(
        """
        pools = [ThreadPoolExecutor(1) for _ in range(10)]
        for pool in pools:
            pool.submit(len, "").result()
        graceexit.on_exit(lambda: print("jobs that have ended:", len(ended)))
        for pool in pools:
            pool.submit(job)
        """,
        signum,
    )
    assert steps(lines) == ["jobs that have ended: 10"]


@pytest.mark.field(kind="a pool of processes")
@pools_work
@BY
def test_jobs_of_a_pool_of_processes_end_before_the_items(jobs, signum):
    """Those that no process has begun with as well; and one that an item submits is done."""
    lines = jobs(
        """
        pool = ProcessPoolExecutor(2)
        futures = [pool.submit(time.sleep, 0.2) for _ in range(6)]
        done = lambda: [future.done() for future in futures]
        graceexit.on_exit(lambda: print(all(done()), pool.submit(len, "abc").result()))
        """,
        signum,
    )
    assert lines == ["True 3"]


@pytest.mark.field(kind="a job that submits itself")
@BY
def test_a_job_that_submits_itself_again_does_not_keep_the_items_from_running(jobs, signum):
    """Python ends it by refusing the next submit; that comes after the items."""
    lines = jobs(
        """
        def again():
            time.sleep(0.05)
            pool.submit(again)

        pool = ThreadPoolExecutor(2)
        pool.submit(again)
        graceexit.on_exit(lambda: print("closed"))
        """,
        signum,
    )
    assert steps(lines) == ["closed"]


@pytest.mark.field(kind="a thread that feeds a pool")
@pools_work
@BY
def test_a_registered_thread_that_feeds_a_pool_is_told_to_stop(jobs, signum):
    """It keeps the pool busy until then."""
    lines = jobs(
        """
        def feed():
            while not stop.is_set():
                [pool.submit(time.sleep, 0.05) for _ in range(4)][0].result()
            print("told to stop")

        pool, stop = ThreadPoolExecutor(2), threading.Event()
        thread = threading.Thread(target=feed)
        thread.start()
        graceexit.register(thread, stop=stop)
        """,
        signum,
    )
    assert lines == ["told to stop"]


@pytest.mark.field(kind="a pool that is made later")
@BY
def test_a_job_is_told_to_end_by_an_item_of_negative_order(jobs, signum):
    """And the process ends then, whichever of the two is imported first."""
    lines = jobs(
        """
        stop = threading.Event()
        graceexit.on_exit(lambda: (print("told"), stop.set()), order=-1)
        graceexit.on_exit(lambda: print("closed"))
        ThreadPoolExecutor(1).submit(lambda: (stop.wait(), print("job ended")))
        """,
        signum,
    )
    assert steps(lines) == ["told", "job ended", "closed"]


@pytest.mark.field(kind="a bounded pool")
@BY
def test_a_bounded_pool_is_no_busy_one(jobs, signum):
    """The recipe with a queue.Queue of a length."""
    lines = jobs(
        """
        import queue

        class Bounded(ThreadPoolExecutor):
            def __init__(self):
                super().__init__(2)
                self._work_queue = queue.Queue(4)

        pool = Bounded()
        print(pool.submit(len, "abc").result())
        graceexit.on_exit(lambda: print("closed", len(ended)))
        for _ in range(4):
            pool.submit(job)
        """,
        signum,
    )
    assert steps(lines) == ["closed 4"]


@BY
def test_a_pool_whose_queue_is_full_ends(jobs, signum):
    """Whatever is put into the queue of a pool must not wait for a place in it."""
    lines = jobs(
        """
        import queue

        class Bounded(ThreadPoolExecutor):
            def __init__(self):
                super().__init__(1)
                self._work_queue = queue.Queue(1)

        pool = Bounded()
        pool.submit(job, 0.5)
        pool.submit(job)
        graceexit.on_exit(lambda: print("closed", len(ended)))
        """,
        signum,
    )
    assert steps(lines) == ["closed 2"]


@pytest.mark.field(kind="a pool with a worker of its own")
@BY
def test_a_pool_with_a_worker_of_its_own_is_no_busy_one(jobs, signum):
    """A subclass that makes known its threads as the standard ones do."""
    lines = jobs(
        """
        from concurrent.futures import thread as standard

        def work(queue):
            while (item := queue.get()) is not None:
                item.run()
                del item
            queue.put(None)

        class Pool(ThreadPoolExecutor):
            def _adjust_thread_count(self):
                if not self._threads:
                    thread = threading.Thread(target=work, args=[self._work_queue])
                    thread.start()
                    self._threads.add(thread)
                    standard._threads_queues[thread] = self._work_queue

        class Item:
            def run(self):
                job()

        pool = Pool(1)
        pool._adjust_thread_count()
        graceexit.on_exit(lambda: print("closed", len(ended)))
        pool._work_queue.put(Item())
        """,
        signum,
    )
    assert steps(lines) == ["closed 1"]


@pools_work
@BY
def test_a_job_that_an_item_submits_and_does_not_wait_for_is_done(jobs, signum):
    """Python's own hooks wait for it, once the items have run."""
    lines = jobs(
        """
        pool = ThreadPoolExecutor(1)
        pool.submit(len, "").result()
        graceexit.on_exit(lambda: pool.submit(lambda: (job(), print("the last job"))))
        graceexit.on_exit(lambda: print("closed"), order=1)
        """,
        signum,
    )
    assert sorted(lines) == ["closed", "the last job"]


@pools_work
def test_a_hook_that_fails_keeps_no_pool_open(jobs):
    """A library that an item imports has registered it; what a job has in hand is done."""
    lines = jobs(
        """
        pool = ThreadPoolExecutor(1)
        pool.submit(len, "").result()

        @graceexit.on_exit
        def fail():
            while not threading._SHUTTING_DOWN:
                time.sleep(0.01)
            threading._register_atexit(lambda: 1 / 0)
            pool.submit(lambda: (job(), print("the last job")))
        """,
        None,
    )
    assert lines == ["the last job"]


@pools_work
def test_a_pool_whose_jobs_an_item_cancels_is_shut_down(script):
    """In its queue is what the exit has put there, behind a job that outlives linger."""
    worker = script("""
        import threading, time
        from concurrent.futures import ThreadPoolExecutor
        import graceexit

        graceexit.install(linger=0.3)
        pool = ThreadPoolExecutor(1)
        stop = threading.Event()
        pool.submit(stop.wait)

        @graceexit.on_exit
        def close():
            pool.shutdown(wait=False, cancel_futures=True)
            print("closed")
            stop.set()

        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (own(lines), status) == (["closed"], -SIGTERM)


@pytest.mark.field(kind="a pool, and nothing registered")
def test_where_nothing_is_registered_a_pool_is_closed_when_the_main_thread_ends(script):
    """Nothing is held back for nobody."""
    lines, status = script("""
        import threading, time
        from concurrent.futures import ThreadPoolExecutor
        import graceexit

        def other():
            while threading.main_thread().is_alive():
                time.sleep(0.01)
            try:
                pool.submit(print, "never")
            except RuntimeError:
                print("refused")

        graceexit.install()
        pool = ThreadPoolExecutor(1)
        pool.submit(len, "").result()
        threading.Thread(target=other).start()
    """).finish()
    assert (steps(lines), status) == (["refused"], 0)


@pytest.mark.field(kind="a pool of greenlets")
@pytest.mark.skipif(not importlib.util.find_spec("gevent"), reason="gevent is not installed")
@BY
def test_pools_of_a_patched_process_end(script, signum):
    """With gevent a worker is a greenlet, whose queue and frame say nothing of it."""
    worker = script(
        """
        from gevent import monkey
        monkey.patch_all()
        import sys, time
        from concurrent.futures import ThreadPoolExecutor
        import graceexit

        graceexit.install(linger=60)
        pool = ThreadPoolExecutor(1)
        print(pool.submit(len, "abc").result())
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while len(sys.argv) > 1:
            time.sleep(0.01)
        """,
        *["waits"] * bool(signum),
    )
    worker.wait_for("ready")
    if signum:
        worker.send(signum)
    lines, status = worker.finish()
    assert (steps(lines), status) == (["closed"], -(signum or 0))


@pytest.mark.field(kind="a pool of greenlets")
@pytest.mark.skipif(not importlib.util.find_spec("gevent"), reason="gevent is not installed")
def test_a_signal_that_comes_in_a_job_of_a_patched_process_ends_it(script):
    """The job is a greenlet of the main thread, and its pool would keep SystemExit as a result."""
    lines, status = script("""
        from gevent import monkey
        monkey.patch_all()
        import os, signal, time
        from concurrent.futures import ThreadPoolExecutor
        import graceexit

        def job():
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            print("done")

        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))
        pool = ThreadPoolExecutor(1)
        pool.submit(len, "").result()
        pool.submit(job)
        try:
            time.sleep(60)
        finally:
            print("unwinds")
    """).finish()
    assert (steps(lines), status) == (["unwinds", "done", "closed"], -SIGTERM)


# The hooks of others


@pytest.mark.field(kind="a library that drains in a hook")
@BY
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_library_that_drains_in_a_hook_finds_what_an_item_closes(script, place, signum):
    """Items of order 0 wait for the hooks of others, whenever those were registered."""
    worker = script(
        f"""
        import sys, threading, time
        import graceexit

        def drain():
            for n in range(3):
                time.sleep(0.1)
                print("sends", n, "to", database)

        def close():
            database.clear()
            print("closed")

        graceexit.install(linger=60)
        database = ["open"]
        if {place == "before"}:
            threading._register_atexit(drain)
        graceexit.on_exit(close)
        if {place == "after"}:
            threading._register_atexit(drain)
        print("ready")
        while len(sys.argv) > 1:
            time.sleep(0.01)
        """,
        *["waits"] * bool(signum),
    )
    worker.wait_for("ready")
    if signum:
        worker.send(signum)
    lines, status = worker.finish()
    drained = [f"sends {n} to ['open']" for n in range(3)]
    assert (steps(lines), status) == ([*drained, "closed"], -(signum or 0))


@pytest.mark.field(kind="a hook with arguments")
@pools_work
def test_a_hook_that_comes_during_the_exit_is_called_with_its_arguments(script):
    """Python refuses it then; a library that an item imports has one."""
    lines, status = script("""
        import threading
        import graceexit

        def hook(*args, **kwargs):
            print("hook", args, kwargs)

        @graceexit.on_exit
        def close():
            threading._register_atexit(hook, 1, x=2)
            print("closed")
    """).finish()
    assert (lines, status) == (["closed", "hook (1,) {'x': 2}"], 0)


def test_a_library_registers_its_hook_with_its_arguments(script):
    """At any time, through whatever stands in the place of Python's function."""
    lines, status = script("""
        import threading
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        threading._register_atexit(lambda *args, **kwargs: print("hook", args, kwargs), 1, x=2)
    """).finish()
    assert (steps(lines), status) == (["hook (1,) {'x': 2}", "closed"], 0)


@pytest.mark.field(kind="a signal as a hook is registered")
@pytest.mark.parametrize("after", [1])
def test_a_signal_between_two_steps_of_a_registration_loses_no_hook(script, after):
    """A handler raises while a library is imported that registers its hook; ours stays known."""
    lines, status = script(
        """
        import sys, threading
        import graceexit

        class Hooks(list):
            left = int(sys.argv[1])

        def raising(name):
            def change(self, *args):
                getattr(list, name)(self, *args)
                Hooks.left -= 1
                if Hooks.left == 0:
                    raise SystemExit(143)

            return change

        for name in ("append", "insert", "remove", "pop", "__setitem__", "__delitem__"):
            setattr(Hooks, name, raising(name))
        graceexit.on_exit(lambda: print("closed"))
        threading._threading_atexits = Hooks(threading._threading_atexits)
        try:
            import concurrent.futures.thread
        except SystemExit:
            print("interrupted")
        """,
        after,
    ).finish()
    assert steps(lines) in (["interrupted", "closed"], ["closed"])
    assert "interrupted" in lines or after > 1
    assert status == 0


def test_uninstall_gives_the_hooks_back(script):
    """What the package has replaced is what it was."""
    lines, status = script("""
        import signal, threading
        from multiprocessing import util

        def replaced():
            of_threading = threading._register_atexit, threading._shutdown
            return *of_threading, signal.raise_signal, util._exit_function

        before = replaced()
        from concurrent.futures import ThreadPoolExecutor
        import graceexit

        graceexit.unregister(graceexit.on_exit(print))
        pool = ThreadPoolExecutor(1)
        pool.submit(len, "").result()
        graceexit.uninstall()
        print(replaced() == before)
    """).finish()
    assert (steps(lines), status) == (["True"], 0)


@pools_work
def test_uninstall_in_an_item_gives_back_what_the_exit_has_replaced(script):
    """The hooks that are held, the function that registers them, the class of the jobs."""
    lines, status = script("""
        import os, threading
        import concurrent.futures.thread as pools
        before = threading._register_atexit, pools._WorkItem, len(threading._threading_atexits)
        import graceexit

        pool = pools.ThreadPoolExecutor(1)
        pool.submit(len, "").result()

        @graceexit.on_exit
        def uninstall():
            held = [hook for hook in threading._threading_atexits if hasattr(hook, "graceexit")]
            graceexit.uninstall()
            left = [hook for hook in threading._threading_atexits if hasattr(hook, "graceexit")]
            print(len(held), len(left))
            print((threading._register_atexit, pools._WorkItem) == before[:2])
            os._exit(0)
    """).finish()
    assert (steps(lines), status) == (["1 0", "True"], 0)


@pytest.mark.field(kind="two copies with one pool")
@pools_work
@BY
def test_two_copies_of_the_package_do_not_close_the_pools_of_each_other(script, signum):
    """One vendored by a library, one installed: the pool works until both have run their items."""
    worker = script(
        """
        import sys, threading, time
        import graceexit as one

        for name in [name for name in sys.modules if name.startswith("graceexit")]:
            del sys.modules[name]
        import graceexit as two
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(1)
        say = lambda what: print(what, pool.submit(len, "abc").result())
        one.on_exit(lambda: say("one"))
        two.on_exit(lambda: (time.sleep(0.5), say("two")))
        pool.submit(len, "").result()
        print("ready")
        while len(sys.argv) > 1:
            time.sleep(0.01)
        """,
        *["waits"] * bool(signum),
    )
    worker.wait_for("ready")
    if signum:
        worker.send(signum)
    lines, status = worker.finish()
    assert (sorted(lines), status) == (["one 3", "two 3"], -(signum or 0))


# Forks


@pytest.mark.field(kind="pools of a fork and of its parent")
def test_pools_of_a_fork_and_of_its_parent_work_in_the_items_of_each(script):
    """Each exits by itself, with pools of its own, as workers of gunicorn do."""
    lines, status = script(
        """
        import os
        from concurrent.futures import ThreadPoolExecutor
        import graceexit

        def close():
            who = "parent" if os.getpid() == parent else "child"
            print(who, pool.submit(len, "ab").result())

        parent = os.getpid()
        graceexit.on_exit(close, each_process=True)
        child = os.fork()
        pool = ThreadPoolExecutor(1)
        pool.submit(len, "").result()
        if child:
            print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        env=FORKS,
    ).finish()
    if NO_THREADS_AT_THE_END:
        assert (own(lines), status) == (["exit code 0"], 0)
    else:
        assert (lines, status) == (["child 2", "exit code 0", "parent 2"], 0)


@pytest.mark.field(kind="a fork by an item")
@pytest.mark.field(kind="a fork beside the items")
@forks_work
@pytest.mark.parametrize("by", ["an item", "a thread"])
def test_a_process_that_is_forked_while_pools_are_held_closes_its_own(script, by):
    """The child has the hooks of before the exit: it ends though its pool has not been closed."""
    lines, status = script(
        f"""
        import multiprocessing, threading, time
        from concurrent.futures import ThreadPoolExecutor
        import graceexit

        def child():
            global pool
            pool = ThreadPoolExecutor(1)
            print("job", pool.submit(len, "abc").result())

        def fork():
            while not graceexit.exiting.is_set():
                time.sleep(0.01)
            threading.current_thread()  # as each line of logging does
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            process.join()
            print("exit code", process.exitcode)

        if {by == "an item"}:
            graceexit.on_exit(fork, timeout=60)
        else:
            threading.Thread(target=fork).start()
        graceexit.on_exit(lambda: print("closed"), order=1)
        ThreadPoolExecutor(1).submit(len, "").result()
        """,
        env=FORKS,
    ).finish()
    assert (lines, status) == (["job 3", "exit code 0", "closed"], 0)


# What a child of multiprocessing sends and owns

CHILD = """
    import multiprocessing, queue, sys, threading, time
    import graceexit

    method, how = sys.argv[1:]

    {child}

    def target(results):
        child(results)
        results.put("first")
        while how == "SIGTERM":
            time.sleep(0.01)

    def rest(results):
        got = []
        while True:
            try:
                got.append(results.get(timeout=0.5))
            except queue.Empty:
                return got

    if __name__ == "__main__":
        context = multiprocessing.get_context(method)
        results = context.Queue()
        process = context.Process(target=target, args=[results])
        process.start()
        print(results.get())
        if how == "SIGTERM":
            process.terminate()
        {parent}
        print("exit code", process.exitcode)
"""
ENDS = pytest.mark.parametrize(("how", "code"), [("end", 0), ("SIGTERM", -SIGTERM)])


@pytest.fixture
def sends(script, start_method):
    """Run a child that sends "first", and what its items send; return the lines of both."""

    def run(how, child, parent="process.join(); print(rest(results))", of="multiprocessing"):
        child = indent(dedent(child), " " * 4).strip()
        source = CHILD.format(child=child, parent=parent).replace("multiprocessing", of)
        lines, status = script(source, start_method, how).finish()
        assert status == 0
        return lines

    return run


@pytest.mark.field(kind="a queue of a child")
@ENDS
def test_what_the_items_of_a_child_put_into_a_queue_arrives(sends, how, code):
    """What a thread puts that is being stopped, and what a callback does, in their order."""
    child = """
        def child(results):
            stop = threading.Event()
            work = lambda: (stop.wait(), results.put("of the thread"))
            thread = threading.Thread(target=work)
            thread.start()
            graceexit.register(thread, stop=stop)
            graceexit.on_exit(lambda: results.put("of the callback"))
    """
    arrived = "['of the thread', 'of the callback']"
    assert sends(how, child) == ["first", arrived, f"exit code {code}"]


@pytest.mark.field(kind="a queue of a child that is terminated")
@pytest.mark.field(kind="many messages of a child")
@ENDS
@pytest.mark.parametrize(
    ("count", "size", "of"),
    [
        (200, 1, "multiprocessing"),
        (30, 100_000, "multiprocessing"),
        (30, 100_000, "multiprocess"),  # dill's copy, which pathos and datasets use
    ],
)
def test_all_that_an_item_of_a_child_puts_arrives(sends, start_method, how, code, count, size, of):
    """Many small messages, and more than a pipe takes: no half of one is left in it."""
    need(of)
    if (of, start_method) == ("multiprocess", "forkserver") and sys.version_info >= (3, 13):
        pytest.skip("its forkserver loads the program without the arguments that this one needs")
    child = f"""
        def child(results):
            graceexit.on_exit(lambda: [results.put("x" * {size}) for _ in range({count})])
    """
    parent = "got = rest(results); process.join(); print(len(got), set(map(len, got)))"
    lines = sends(how, child, parent, of)
    assert lines == ["first", f"{count} {{{size}}}", f"exit code {code}"]


@pytest.mark.field(kind="a reader that comes late")
def test_what_an_item_of_a_child_puts_waits_for_a_reader_that_comes_late(sends):
    """A child that ends by itself waits for it without a limit, as in Python, not for `linger`."""
    child = """
        def child(results):
            graceexit.install(linger=0.2)
            graceexit.on_exit(lambda: results.put("x" * 5_000_000))
    """
    parent = "time.sleep(1.5); print(len(results.get())); process.join()"
    assert sends("end", child, parent) == ["first", "5000000", "exit code 0"]


@pytest.mark.field(kind="a child that has registered nothing")
@ENDS
@pytest.mark.parametrize(
    "registers",
    ["graceexit.install()", "graceexit.unregister(graceexit.on_exit(print))"],
    ids=["nothing", "nothing any more"],
)
def test_a_child_that_has_registered_nothing_sends_what_it_has_put(sends, how, code, registers):
    """And ends as it would."""
    child = f"""
        def child(results):
            {registers}
    """
    assert sends(how, child) == ["first", "[]", f"exit code {code}"]


@ENDS
def test_a_pool_and_a_manager_of_a_child_work_in_its_items(sends, how, code):
    """Up to 3.12 multiprocessing ends them before any hook of threading is called."""
    child = """
        def child(results):
            pool, manager = multiprocessing.Pool(1), multiprocessing.Manager()
            numbers = manager.list([1, 2])
            pool.apply(len, [""])
            use = lambda: results.put((pool.apply(len, ["abc"]), sum(numbers)))
            graceexit.on_exit(use)
    """
    assert sends(how, child) == ["first", "[(3, 3)]", f"exit code {code}"]


@pytest.mark.field(kind="a grandchild that a thread waits for")
@pytest.mark.skipif(
    VERSION >= (3, 13), reason="from 3.13 on Python itself waits for the grandchild first"
)
def test_a_daemonic_grandchild_that_a_thread_waits_for_does_not_keep_a_child(sends):
    """It is ended by multiprocessing, whose part of the end comes after the items."""
    child = """
        def child(results):
            graceexit.install(linger=0.5)
            graceexit.on_exit(lambda: results.put("closed"))
            context = multiprocessing.get_context(method)
            grandchild = context.Process(target=time.sleep, args=[3600], daemon=True)
            grandchild.start()
            threading.Thread(target=grandchild.join).start()
    """
    lines = own(sends("end", child))
    assert lines == ["first", "['closed']", "exit code 0"]


RAISED_AGAIN = """
    import multiprocessing, signal

    def child(queue):
        import graceexit

        graceexit.on_exit(lambda: [queue.put("x" * 100_000) for _ in range(100)])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)

    if __name__ == "__main__":
        queue = multiprocessing.Queue()
        process = multiprocessing.Process(target=child, args=(queue,))
        process.start()
        print(sum(len(queue.get()) for _ in range(100)))
        process.join()
        print(process.exitcode)
"""


def test_what_an_item_puts_before_the_signal_is_raised_again_arrives(script):
    """A server that a child runs restores the default action and sends itself the signal."""
    assert script(RAISED_AGAIN).finish() == (["10000000", str(-SIGTERM)], 0)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@forks_work
def test_an_item_finds_the_file_of_the_program_and_so_does_what_it_spawns(script, method):
    """Python deletes `__file__` as the program has come to its end."""
    lines, status = script(
        f"""
        import multiprocessing
        from pathlib import Path
        import graceexit

        def save():
            print("saved")

        def spawn():
            print(Path(__file__).name)
            process = multiprocessing.get_context("{method}").Process(target=save)
            process.start()
            process.join()
            print("exit code", process.exitcode)

        if __name__ == "__main__":
            graceexit.on_exit(spawn, timeout=60)
        """
    ).finish()
    assert (lines, status) == (["script.py", "saved", "exit code 0"], 0)


@pools_work
@pytest.mark.parametrize("kind", ["Thread", "Process"])
def test_the_job_of_a_worker_that_is_being_started_is_waited_for(script, kind):
    """The pool notes a worker, or the manager of its processes, only when that has begun."""
    table = {"Thread": "thread._threads_queues", "Process": "process._threads_wakeups"}[kind]
    lines, status = script(
        f"""
        import concurrent.futures.process, concurrent.futures.thread
        import threading, time, weakref
        from concurrent import futures
        import graceexit

        class Late(weakref.WeakKeyDictionary):
            def __setitem__(self, worker, queue):
                time.sleep(1)
                super().__setitem__(worker, queue)

        def job():
            print("job begins")
            time.sleep(2)
            print("job ends")

        if __name__ == "__main__":
            futures.{table} = Late()
            pool = futures.{kind}PoolExecutor(1)
            threading.Thread(target=pool.submit, args=[job], daemon=True).start()
            graceexit.on_exit(lambda: print("closed"), timeout=60)
            time.sleep(0.5)
        """,
        env=FORKS,
    ).finish()
    assert (lines, status) == (["job begins", "job ends", "closed"], 0)


@pytest.mark.field(kind="joblib in a thread")
@pools_work
def test_a_call_of_joblib_and_one_that_an_item_makes_come_to_their_end(script, tmp_path):
    """Its executors of processes, loky's, are held open as those of the standard library."""
    need("joblib")
    worker = script(
        """
        import pathlib, sys, time
        from concurrent.futures import ThreadPoolExecutor
        from joblib import Parallel, delayed
        import graceexit

        folder = pathlib.Path(sys.argv[1])

        def work(number):
            (folder / "began").touch()
            time.sleep(0.05)
            return number

        def run():
            print("a job", sum(Parallel(n_jobs=2)(delayed(work)(1) for _ in range(40))))

        def close():
            print("an item", sum(Parallel(n_jobs=2)(delayed(work)(1) for _ in range(10))))

        if __name__ == "__main__":
            graceexit.install(linger=60)
            graceexit.on_exit(close, timeout=60)
            ThreadPoolExecutor(1).submit(run)
            while not (folder / "began").exists():
                time.sleep(0.01)
            print("ready")
            while True:
                time.sleep(0.01)
        """,
        tmp_path,
    )
    lines, status = worker.end_by(SIGTERM)
    assert (own(lines), status) == (["a job 40", "an item 10"], -SIGTERM)


def test_an_idle_pool_of_joblib_is_cut_off_from_nothing(script):
    """Its thread ends a moment after the process has had its time, and has nothing to lose."""
    need("joblib")
    worker = script("""
        import time
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import _ExecutorManagerThread as Manager
        import graceexit

        def run(manager, ends=Manager.run):
            ends(manager)
            time.sleep(1)

        Manager.run = run
        if __name__ == "__main__":
            graceexit.install(linger=0)
            graceexit.on_exit(lambda: print("closed"))
            Parallel(n_jobs=2)(delayed(time.sleep)(0.3) for _ in range(2))  # both have begun
            print("ready")
            while True:
                time.sleep(0.01)
    """)
    lines, status = worker.end_by(SIGTERM)
    assert not [line for line in lines if "ExecutorManagerThread" in line]
    assert ("closed" in lines, status) == (True, -SIGTERM)
