"""A thread has ended when it has ended: not before, and not with its neighbour."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import time

import pytest
from harness import needs_threads_at_the_end
from wording import own, steps

from graceexit import Registry

SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}

JOINS = """
    import queue, sys, threading, time
    import graceexit

    sys.excepthook = lambda kind, *_: print(kind.__name__)
    how, whose = sys.argv[1:]
    jobs = queue.SimpleQueue()

    def work():
        while jobs.get() is not None:
            pass
        time.sleep(0.3)
        print("drained")

    def tell():
        print("told")
        jobs.put(None)

    thread = threading.Thread(target=work)
    thread.start()
    graceexit.install(linger=60)
    if whose == "registered":
        graceexit.register(thread, stop=tell)
    else:
        graceexit.on_exit(tell, order=-1)
    graceexit.on_exit(lambda: print("closed"))
    print("ready")
    while thread.is_alive():
        thread.join(*[60] * (how != "without a limit"))
"""


@pytest.mark.field(kind="a main thread that joins its worker")
@pytest.mark.parametrize("whose", ["registered", "somebody's"])
@pytest.mark.parametrize("how", ["without a limit", "with a limit"])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_thread_that_the_main_thread_joins_is_told_and_waited_for(script, name, how, whose):
    """Up to 3.12 a join that an exception leaves marks a running thread as stopped."""
    worker = script(JOINS, how, whose)
    worker.wait_for("ready")
    worker.settle()  # it joins
    worker.send(SIGNALS[name])
    lines, status = worker.finish()
    expected = ["KeyboardInterrupt"] * (name == "SIGINT") + ["told", "drained", "closed"]
    assert (steps(lines), status) == (expected, -SIGNALS[name])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_before_its_own_turn_has_failed():
    """One flag may stop many, and the stop of one may take its time."""
    flag, dead = threading.Event(), threading.Event()

    def die():
        try:
            flag.wait()
            raise OSError("cannot write")
        finally:
            dead.set()

    def tell():
        flag.set()
        dead.wait()
        victim.join()

    registry = Registry()
    victim = threading.Thread(target=die)
    other = threading.Thread(target=flag.wait)
    for thread, stop in ((victim, flag), (other, tell)):
        thread.start()
        registry.register(thread, stop=stop, timeout=60, name=stop.__class__.__name__)
    results = {result.name: result for result in registry.run().results}
    assert (results["function"].outcome, results["Event"].outcome) == ("done", "failed")
    assert str(results["Event"].error) == "cannot write"


DRAINS = """
    import asyncio, queue, sys, threading, time
    import graceexit

    jobs, accepted, written = queue.SimpleQueue(), list(range(20)), []

    def work():
        while (job := jobs.get()) is not None:
            time.sleep(0.01)
            written.append(job)

    def close():
        jobs.put(None)
        thread.join()
        time.sleep(0.3)
        print("committed", written == accepted)

    async def close_in_asyncio():
        jobs.put(None)
        await asyncio.to_thread(thread.join)
        await asyncio.sleep(0.3)
        print("committed", written == accepted)

    thread = threading.Thread(target=work)
    thread.start()
    graceexit.register(thread, stop=eval(sys.argv[1]))
    if sys.argv[2] == "with another":
        flag = threading.Event()
        another = threading.Thread(target=flag.wait)
        another.start()
        graceexit.register(another, stop=flag)
    graceexit.on_exit(lambda: print("closed"))
    for job in accepted:
        jobs.put(job)
    print("ready")
    while sys.argv[3] == "SIGTERM":
        time.sleep(0.01)
"""


@pytest.mark.parametrize("ends", ["SIGTERM", "by itself"])
@pytest.mark.parametrize("threads", ["alone", "with another"])
@pytest.mark.parametrize(
    "stop",
    [
        "close",
        pytest.param(
            "close_in_asyncio", marks=needs_threads_at_the_end("asyncio has none to join in")
        ),
    ],
)
def test_a_stop_that_does_more_than_tell_is_waited_for(script, stop, threads, ends):
    """People register the `close` of a client, which ends its thread and then writes the rest."""
    worker = script(DRAINS, stop, threads, ends)
    worker.wait_for("ready")
    if ends == "SIGTERM":
        worker.send(signal.SIGTERM)
    lines, status = worker.finish()
    expected = -signal.SIGTERM if ends == "SIGTERM" else 0
    assert (own(lines), status) == (["committed True", "closed"], expected)


def result_of(stop, *, timeout=60.0):
    """Run a registry with a thread that ends as its *stop* begins; return the result."""
    begun = threading.Event()

    def tell():
        begun.set()
        thread.join()
        return stop()

    thread = threading.Thread(target=begun.wait)
    thread.start()
    registry = Registry()
    registry.register(thread, stop=tell, timeout=timeout)
    (result,) = registry.run().results
    return result


def test_what_a_stop_raises_when_its_thread_has_ended_fails_it():
    """What it was to write has not been written."""

    def fail():
        time.sleep(0.3)
        raise OSError("cannot write")

    result = result_of(fail)
    assert (result.outcome, str(result.error)) == ("failed", "cannot write")


def test_a_stop_that_does_not_return_is_left_behind_where_it_hangs():
    """Its thread has ended; the line does not send anybody there."""
    over = threading.Event()
    try:
        result = result_of(over.wait, timeout=0.3)
    finally:
        over.set()
    assert result.outcome == "overran"
    assert "in tell" in result.stack


def test_a_future_of_a_loop_that_ends_with_its_thread_is_not_waited_for():
    """As that of `run_coroutine_threadsafe` for a coroutine that stops its own loop."""
    result = result_of(concurrent.futures.Future)
    assert result.outcome == "done"
    assert result.seconds < 30


LOST = """
    import multiprocessing, signal, sys, time
    import graceexit

    def work():
        time.sleep(1000)

    if __name__ == "__main__":
        if sys.argv[2] == "nobody":
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        process = multiprocessing.get_context(sys.argv[1]).Process(target=work)
        process.start()
        graceexit.register(process, stop=process.terminate, timeout=60)
        graceexit.on_exit(lambda: print("closed"))
        if sys.argv[2] == "somebody":
            process.kill()
            os.waitpid(process.pid, 0)
"""


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="os.waitid came to macOS with 3.13")
@pytest.mark.parametrize("takes", ["nobody", "somebody"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_whose_end_somebody_else_has_noticed_has_ended(script, method, takes):
    """The kernel where SIGCHLD is ignored, or whoever a signal has kept from telling of it."""
    if (method, takes) == ("forkserver", "somebody"):
        pytest.skip("it is a child of the forkserver, which nobody else can wait for")
    begun = time.monotonic()
    lines, status = script("    import os\n" + LOST, method, takes).finish()
    assert (own(lines), status) == (["closed"], 0)
    assert not [line for line in lines if "did not end" in line]
    assert time.monotonic() - begun < 30


def test_a_thread_with_a_join_of_its_own_is_waited_for_all_the_same(script):
    """People write one that takes no timeout, or that raises where the thread is busy."""
    lines, status = script("""
        import queue, threading, time
        import graceexit

        class Writer(threading.Thread):
            def __init__(self):
                super().__init__()
                self.jobs = queue.SimpleQueue()

            def run(self):
                while (job := self.jobs.get()) is not None:
                    time.sleep(0.1)
                    print("wrote", job)

            def join(self):
                super().join()

        writer = Writer()
        writer.start()
        for job in range(3):
            writer.jobs.put(job)
        graceexit.register(writer, stop=lambda: writer.jobs.put(None))
        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    assert (steps(lines), status) == (["wrote 0", "wrote 1", "wrote 2", "closed"], 0)


@pytest.mark.field(kind="a processor beside a join")
def test_nothing_spins_beside_a_main_thread_that_joins(script):
    """Who is joined by nobody is looked at from time to time; a processor has other work."""
    worker = script("""
        import threading, time
        import graceexit

        def work():
            graceexit.exiting.wait()
            began.append(time.process_time())
            time.sleep(1.5)
            began.append(time.process_time())

        began = []
        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("spins:", began[1] - began[0] > 0.75))
        thread = threading.Thread(target=work)
        thread.start()
        print("ready")
        thread.join()
    """)
    worker.wait_for("ready")
    worker.settle()
    worker.send(signal.SIGTERM)
    lines, status = worker.finish()
    assert (steps(lines), status) == (["spins: False"], -signal.SIGTERM)


REPORT = """
    import threading, time
    import graceexit

    def run(stop, seconds):
        stop.wait()
        time.sleep(seconds)
        if seconds == 0:
            raise ConnectionError("the last batch is lost")

    def hook(args):
        print("the program's hook:", args.exc_value)

    threading.excepthook = hook
    threads = [("quick", 0.1), ("stuck", 3600), ("slow", 0.3), ("dies", 0)]
    for name, seconds in threads + [(f"quick {n}", 0.05) for n in range(20)]:
        stop = threading.Event()
        thread = threading.Thread(target=run, args=[stop, seconds], name=name, daemon=True)
        thread.start()
        graceexit.register(thread, stop=stop, timeout=2)
    report = graceexit.shutdown()
    for result in sorted(report.results, key=lambda result: result.name):
        print(result.name, result.outcome, result.seconds < 1.5, repr(result.error))
    print(report.ok, threading.excepthook is hook)
"""


@pytest.mark.field(kind="threads that end beside a stuck one")
def test_seconds_and_outcome_of_a_thread_are_its_own(script):
    """Not those of a stuck one that is joined before it; one that died of an exception failed."""
    lines, status = script(REPORT).finish()
    lost = "ConnectionError('the last batch is lost')"
    many = [f"quick {n} done True None" for n in range(20)]
    assert sorted(own(lines)) == sorted(
        [
            "the program's hook: the last batch is lost",
            "quick done True None",
            *many,
            "slow done True None",
            "stuck overran False None",
            f"dies failed True {lost}",
            "False True",
        ]
    )
    assert status == 0


@pytest.mark.parametrize("how", ["end", "SIGTERM"])
def test_a_thread_that_dies_at_the_exit_is_failed_in_the_log(script, how):
    """Its messages are lost, and the line has the exception."""
    worker = script(
        """
        import sys, threading, time
        import graceexit

        def work():
            stop.wait()
            raise ConnectionError("the last batch is lost")

        threading.excepthook = lambda _: None
        stop = threading.Event()
        thread = threading.Thread(target=work, name="sender")
        thread.start()
        graceexit.register(thread, stop=stop)
        print("ready")
        while sys.argv[1] == "SIGTERM":
            time.sleep(0.01)
        """,
        how,
    )
    worker.wait_for("ready")
    if how == "SIGTERM":
        worker.send(signal.SIGTERM)
    lines, status = worker.finish()
    assert any("'sender'" in line for line in lines)
    assert any("ConnectionError: the last batch is lost" in line for line in lines)
    assert status == (0 if how == "end" else -signal.SIGTERM)


class Ended:
    """What may be registered and has ended, and is none of threading's."""

    def join(self, timeout=None):
        """Return, as there is nothing to wait for."""

    def is_alive(self):
        """Return that it has ended."""
        return False


@pytest.mark.field(kind="many threads that have ended")
def test_threads_that_have_ended_are_forgotten_whoever_made_them():
    """A process that registers many short-lived ones does not grow."""
    registry = Registry()
    for _ in range(50_000):
        registry.register(Ended(), stop=print)
    assert len(registry) < 5_000


class Alive(Ended):
    """One that runs until it is told to stop."""

    def __init__(self):
        self.stopped = False

    def is_alive(self):
        """Return whether it has not been told to stop."""
        return not self.stopped

    def stop(self):
        """Stop it."""
        self.stopped = True


def seconds_for(count):
    """Return the processor time in which so many threads of one order are stopped."""
    registry = Registry()
    for _ in range(count):
        thread = Alive()
        registry.register(thread, stop=thread.stop, timeout=None)
    began = time.process_time()
    report = registry.run()
    assert (len(report.results), report.ok) == (count, True)
    return time.process_time() - began


@pytest.mark.field(kind="many threads of one order")
def test_many_threads_of_one_order_cost_each_what_one_costs():
    """Ten times as many take about ten times as long, not a hundred times."""
    assert seconds_for(60_000) < 30 * seconds_for(6_000)
