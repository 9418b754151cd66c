"""Where no thread can be started the items run on the main thread."""

from __future__ import annotations

from signal import SIGTERM

import pytest
from harness import INLINE, needs_threads_at_the_end, said, without


def test_a_signal_while_the_join_goes_on_without_an_ender_ends_the_program(script):
    """Nobody else can make the main thread leave it."""
    joining = script("""
        import refusing, threading, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        other = threading.Thread(target=time.sleep, args=[60])
        other.start()
        graceexit.on_exit(lambda: print("begun"), order=-1)
        refusing.allow(0)
    """)
    joining.wait_for("begun")
    joining.send_until_it_ends(SIGTERM)  # it may not be in the join yet
    lines, status = joining.finish()
    assert without(lines, INLINE) == ["closed"]
    assert status == -SIGTERM


def test_a_main_thread_that_takes_a_lock_is_unwound_at_once(script):
    """Nobody else could have it raised a moment later."""
    lines, status = script("""
        import refusing, os, signal
        import graceexit

        class Lock:
            def __enter__(self):
                os.kill(os.getpid(), signal.SIGTERM)
                print("never")

            def __exit__(self, *_):
                print("never")

        graceexit.on_exit(lambda: print("closed"))
        refusing.allow(0)
        with Lock():
            print("never")
    """).finish()
    assert without(lines, INLINE) == ["closed"]
    assert status == -SIGTERM


def test_a_signal_while_the_items_run_on_the_main_thread_lets_them_end(script):
    """It is to leave the join and nothing else."""
    lines, status = script("""
        import refusing, os, signal
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        graceexit.on_exit(lambda: (os.kill(os.getpid(), signal.SIGTERM), print("closing")))
        refusing.allow(0)
    """).finish()
    assert without(lines, INLINE) == ["closing", "closed"]
    assert status == -SIGTERM


@pytest.mark.field(kind="a service at its memory limit")
@pytest.mark.parametrize(("ends", "status"), [("exit", 3), ("SIGTERM", -SIGTERM)])
def test_a_thread_that_has_no_memory_to_begin_is_not_waited_for(script, ends, status):
    """It is started, in the stack of one that has ended, and dies before its first line."""
    lines, ended = script(
        """
        import os, resource, signal, sys, threading, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        threads = [threading.Thread(target=time.sleep, args=[0.1]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize() + 20_000_000
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        leak = []
        try:
            while True:
                leak.append(bytes(2000))
        except MemoryError:
            if not getattr(sys, "_is_gil_enabled", lambda: True)():
                del leak[-200:]  # there nothing is left even for what is small
        if sys.argv[1] == "exit":
            sys.exit(3)
        os.kill(os.getpid(), signal.SIGTERM)
        """,
        ends,
    ).finish()
    assert (lines.count("closed"), ended) == (1, status)


ITEMS = {
    "callback": """
        graceexit.on_exit(lambda: print("ended"))
    """,
    "thread": """
        flag = threading.Event()
        thread = threading.Thread(target=lambda: (flag.wait(), print("ended")))
        thread.start()
        graceexit.register(thread, stop=flag, timeout=60)
    """,
}


@needs_threads_at_the_end("the exit knows it there, and holds no pool")
@pytest.mark.parametrize("kind", ITEMS)
def test_a_pool_and_a_thread_end_where_no_thread_begins(script, kind):
    """Python would join the worker of a pool that is held open, and a thread that nobody stops."""
    lines, status = script(f"""
        import refusing, threading
        from concurrent.futures import ThreadPoolExecutor
        import graceexit
        from graceexit import _latch

        pool = ThreadPoolExecutor()
        pool.submit(len, "abc").result()
        {ITEMS[kind].strip()}
        refusing.start_none()
        _latch.SPARE = 1 << 60  # bytes, which nobody has
    """).finish()
    assert (lines, status) == (["ended"], 0)


def test_a_child_without_threads_runs_its_items_before_the_join(script, start_method):
    """A child of multiprocessing may come to no exit function."""
    lines, status = script(
        """
        import multiprocessing
        import sys

        def work():
            import refusing
            import graceexit

            graceexit.on_exit(lambda: print("closed"))
            refusing.allow(0)

        if __name__ == "__main__":
            child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
            child.start()
            child.join()
            sys.exit(child.exitcode)
        """,
        start_method,
    ).finish()
    assert without(lines, INLINE) == ["closed"]
    assert status == 0


def test_the_log_says_once_that_the_exit_begins_and_is_complete(script):
    """As it does where threads can be started."""
    lines, status = script("""
        import logging
        import refusing
        import graceexit

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        graceexit.on_exit(lambda: print("closed"))
        refusing.allow(0)
    """).finish()
    ours = [line.partition(" in ")[0] for line in said(without(lines, INLINE))]
    assert ours == ["exit begins, 1 to run", "exit complete: 1 done"]
    assert (lines.count("closed"), status) == (1, 0)


def test_a_child_without_threads_dies_of_sigterm_after_its_items(script):
    """The handler runs them itself."""
    lines, status = script("""
        import multiprocessing, sys, time

        def work(begun):
            import refusing
            import graceexit

            graceexit.on_exit(lambda: print("closed"))
            refusing.allow(0)
            print("begun")
            begun.set()
            while True:
                time.sleep(0.01)

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            begun = context.Event()
            child = context.Process(target=work, args=[begun])
            child.start()
            begun.wait()
            child.terminate()
            child.join()
            print(child.exitcode)
    """).finish()
    assert without(lines, INLINE) == ["begun", "closed", "-15"]
    assert status == 0


@needs_threads_at_the_end("nothing runs beside the main thread")
@pytest.mark.parametrize("where", ["main", "fork", "spawn"])
def test_an_ender_alone_is_enough(script, where):
    """The limit is reached by the ender: it joins the others, and nothing joins it."""
    lines, status = script(
        """
        import multiprocessing, sys, threading, time

        def work():
            import refusing
            import graceexit

            other = threading.Thread(target=lambda: (time.sleep(0.5), print("other")))
            other.start()
            graceexit.on_exit(lambda: print("closed"))
            refusing.allow(1)

        if __name__ == "__main__":
            if sys.argv[1] == "main":
                work()
            else:
                child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
                child.start()
                child.join()
                sys.exit(child.exitcode)
        """,
        where,
    ).finish()
    assert without(lines, INLINE) == ["other", "closed"]
    assert status == 0
