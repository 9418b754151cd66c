"""A thread has ended when it has ended: not before, and not with its neighbour."""

from __future__ import annotations

import signal
import time

import pytest
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
