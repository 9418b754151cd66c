"""`shutdown()`: everything now, for a process whose end nothing announces."""

from __future__ import annotations

import re
import signal
import sys

import pytest
from harness import INLINE, needs_threads_at_the_end, said, steps, without


def test_it_runs_everything_whatever_its_order_and_waits_for_no_other_thread(script):
    """The report has each item in the order of its end; what comes later is run at the exit."""
    lines, status = script("""
        import sys, threading
        import graceexit

        stop = threading.Event()
        other = threading.Event()
        threading.Thread(target=other.wait, name="other").start()
        thread = threading.Thread(target=stop.wait, name="loop")
        thread.start()
        graceexit.on_exit(lambda: print("last"), order=3, name="last")
        graceexit.register(thread, stop=stop)
        graceexit.on_exit(lambda: print("first"), order=-1, name="first")
        report = graceexit.shutdown()
        print([(r.name, r.kind, r.outcome) for r in report.results])
        print(report.ok, report.signum)
        print(graceexit.exiting.is_set(), thread.is_alive(), len(graceexit._process.own.registry))
        print(graceexit.shutdown().results)
        graceexit.on_exit(lambda: print("later"))
        other.set()
        sys.exit(3)
    """).finish()
    assert steps(lines) == [
        "first",
        "last",
        "[('first', 'callback', 'done'), ('loop', 'thread', 'done'), ('last', 'callback', 'done')]",
        "True None",
        "True False 0",
        "[]",
        "later",
    ]
    assert status == 3


def test_a_job_that_ends_by_os_exit_has_been_cleaned_up(script):
    """Nothing else would run there: neither hooks nor exit functions."""
    lines, status = script("""
        import os, threading
        import graceexit

        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        graceexit.register(thread, stop=stop)
        graceexit.on_exit(lambda: os.write(1, b"closed\\n"))
        print(graceexit.shutdown().ok)
        os._exit(7)
    """).finish()
    assert (lines, status) == (["closed", "True"], 7)


def test_a_second_call_waits_for_the_first_and_one_inside_an_item_returns_at_once(script):
    """Whoever has called it knows afterwards that the items have ended."""
    lines, status = script("""
        import threading
        import graceexit

        begun, proceed = threading.Event(), threading.Event()

        @graceexit.on_exit
        def slow():
            print("inside:", graceexit.shutdown().results)
            begun.set()
            proceed.wait()
            print("slow has ended")

        def call(name):
            results = graceexit.shutdown().results
            print(f"{name}:", [(r.name, r.outcome) for r in results])

        first = threading.Thread(target=call, args=["first"])
        first.start()
        begun.wait()
        second = threading.Thread(target=call, args=["second"])
        second.start()
        second.join(0.2)
        print("the second waits:", second.is_alive())
        proceed.set()
        first.join()
        second.join()
    """).finish()
    assert lines[:3] == ["inside: []", "the second waits: True", "slow has ended"]
    assert sorted(lines[3:]) == ["first: [('slow', 'done')]", "second: []"]
    assert status == 0


@pytest.mark.parametrize("ends", ["SIGTERM", "by itself"])
def test_a_thread_that_is_told_to_stop_does_not_wait_for_itself(script, ends):
    """A job may call it in its `finally`, whoever has stopped it."""
    worker = script(
        """
        import sys, threading, time
        import graceexit

        def work():
            try:
                flag.wait()
            finally:
                graceexit.shutdown()
                print("ended")

        flag = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        graceexit.register(thread, stop=flag, timeout=60)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while sys.argv[1] == "SIGTERM":
            time.sleep(0.01)
        """,
        ends,
    )
    worker.wait_for("ready")
    if ends == "SIGTERM":
        worker.send(signal.SIGTERM)
    lines, status = worker.finish()
    expected = -signal.SIGTERM if ends == "SIGTERM" else 0
    assert (without(lines, INLINE), status) == (["ended", "closed"], expected)


@pytest.mark.skipif(sys.platform == "win32", reason="this platform has no SIGUSR1")
def test_a_handler_may_call_it_in_the_middle_of_it(script):
    """It runs on the thread that is waiting in the first call, and must not wait for that."""
    lines, status = script("""
        import os, signal, time
        import graceexit

        def handler(*_):
            print("handled", [result.name for result in graceexit.shutdown().results])

        @graceexit.on_exit(name="first")
        def item():
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.5)
            print("first")

        signal.signal(signal.SIGUSR1, handler)
        print(graceexit.shutdown().ok)
    """).finish()
    assert (lines, status) == (["first", "handled ['first']", "True"], 0)


def test_a_handler_may_die_of_its_signal_in_the_middle_of_it(script):
    """What is being run is waited for, then the rest is run, and then it dies."""
    lines, status = script("""
        import os, signal, time
        import graceexit

        def handler(signum, frame):
            signal.signal(signum, signal.SIG_DFL)
            print("handled")
            handled.append(True)
            signal.raise_signal(signum)

        handled = []
        signal.signal(signal.SIGTERM, handler)
        graceexit.on_exit(lambda: print("closed"))

        @graceexit.on_exit
        def slow():
            os.kill(os.getpid(), signal.SIGTERM)
            while not handled:
                time.sleep(0.01)
            print("slow has ended")

        graceexit.shutdown()
        print("goes on")
    """).finish()
    assert lines == ["handled", "slow has ended", "closed"]
    assert status == -signal.SIGTERM


def test_it_can_be_awaited_in_a_thread_of_a_running_loop(script):
    """As in the shutdown event of a server, which goes on meanwhile."""
    lines, status = script("""
        import asyncio, threading
        import graceexit

        async def main():
            loop = asyncio.get_running_loop()
            turned = threading.Event()

            @graceexit.on_exit
            def close():
                loop.call_soon_threadsafe(turned.set)
                print("the loop goes on:", turned.wait(5))

            @graceexit.on_exit(order=-1)
            async def leave():
                await asyncio.sleep(0)
                print("in a loop of its own:", asyncio.get_running_loop() is not loop)

            print((await asyncio.to_thread(graceexit.shutdown)).ok)

        asyncio.run(main())
    """).finish()
    assert lines == ["in a loop of its own: True", "the loop goes on: True", "True"]
    assert status == 0


def test_the_report_names_the_signal_that_was_noticed(script):
    """A server's own handler is called as ever; `shutdown` comes when the server has drained."""
    lines, status = script("""
        import signal, threading
        import graceexit

        term = threading.Event()
        signal.signal(signal.SIGTERM, lambda signum, frame: term.set())
        graceexit.on_exit(print)
        signal.raise_signal(signal.SIGTERM)
        report = graceexit.shutdown()
        print(term.is_set(), report.signum == signal.SIGTERM, str(report).splitlines()[0])
    """).finish()
    assert lines[0] == ""
    assert lines[1].startswith("True True process ")
    assert ", SIGTERM: 1 done in " in lines[1]
    assert status == 0


@pytest.mark.skipif(
    sys.platform == "win32", reason="on Windows no process sends SIGTERM to another"
)
def test_a_signal_in_the_middle_of_it_lets_the_items_end_once(script):
    """The main thread leaves `shutdown`, the ender goes on with the run, the process dies of it."""
    lines, status = script("""
        import signal, threading, time
        import graceexit

        @graceexit.on_exit
        def second():
            print("second")

        @graceexit.on_exit
        def first():
            while not graceexit.exiting.signum:  # one that comes before the wait is noticed late
                signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
                time.sleep(0.01)
            time.sleep(0.5)  # the ender looks meanwhile
            print("first")

        try:
            graceexit.shutdown()
        finally:
            print("unwound")
    """).finish()
    assert sorted(steps(lines)) == ["first", "second", "unwound"]
    assert lines.index("first") < lines.index("second")
    assert status == -signal.SIGTERM


@pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="this platform sends no signal to one thread"
)
def test_a_signal_that_another_thread_has_taken_is_noticed_while_items_run(script):
    """Its handler runs on the main thread, which nobody wakes for that."""
    lines, status = script("""
        import signal, threading
        import graceexit

        def takes_the_signal():
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            print(handled.wait())

        handled = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: handled.set())
        graceexit.on_exit(takes_the_signal, timeout=None)
        graceexit.shutdown()
    """).finish()
    assert (lines, status) == (["True"], 0)


@needs_threads_at_the_end("no item has a timeout then")
def test_what_overran_in_it_holds_up_neither_the_caller_nor_the_exit(script):
    """A thread that ignores its stop is left behind, and the process ends all the same."""
    lines, status = script("""
        import threading, time
        import graceexit

        def endless():
            while True:
                time.sleep(60)

        thread = threading.Thread(target=endless, name="deaf")
        thread.start()
        graceexit.register(thread, stop=threading.Event(), timeout=0.1)
        graceexit.on_exit(lambda: print("closed"))
        report = graceexit.shutdown()
        print([(r.name, r.outcome) for r in report.results], report.ok)
        print("endless" in report.results[0].stack)
    """).finish()
    [line] = said(lines)
    limit = r"did not end within timeout=0\.1 s after its stop"
    left = r"left behind at \S+script\.py:7 in endless"
    assert re.fullmatch(rf"thread 'deaf' \(\S+script\.py:5\) {limit}; {left}", line)
    [index] = [index for index, one in enumerate(lines) if one.endswith(line)]
    assert ": in shutdown(): " in lines.pop(index)
    assert lines == ["closed", "[('deaf', 'overran'), ('<lambda>', 'done')] False", "True"]
    assert status == 0
