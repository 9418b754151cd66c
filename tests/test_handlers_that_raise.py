"""A handler may raise between any two lines: the exit goes on."""

from __future__ import annotations

import signal
import sys
from signal import SIGTERM

import pytest
from harness import NO_THREADS_AT_THE_END, needs_threads_at_the_end, steps

OLD_JOIN = sys.version_info < (3, 13)  # `threading._shutdown` waits for locks, in Python


@pytest.mark.skipif(OLD_JOIN, reason="about how Python joins threads from 3.13 on")
def test_a_handler_that_swallows_an_exception_does_not_keep_the_main_thread_in_the_join(script):
    """It is asked to leave until the exit functions have begun."""
    lines, status = script("""
        import signal, threading, time
        import graceexit

        def hold(*_):
            try:
                time.sleep(60)
            except BaseException:
                print("held")

        signal.signal(signal.SIGUSR1, hold)
        main = threading.main_thread().ident
        graceexit.on_exit(lambda: signal.pthread_kill(main, signal.SIGUSR1))
        thread = threading.Thread(target=time.sleep, args=[3600])
        thread.start()
        graceexit.register(thread, stop=threading.Event(), timeout=0.1)
        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    ours = [line for line in lines if line in ("held", "closed")]
    assert (ours, status) == (["closed", "held"], 0)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this platform has no SIGUSR1")
def test_a_handler_that_raises_while_the_last_words_are_said_changes_no_status(script):
    """What it raises would leave the exit function, and the process would not die of the signal."""
    dying = script("""
        import signal, sys, time
        import graceexit

        def handler(signum, frame):
            raise ValueError("in a handler")

        class Slow:
            def write(self, text):
                return len(text)

            def flush(self):
                ending = graceexit._process.own.exit
                if ending and ending.ender.finished.is_set():
                    sys.stdout = real
                    real.write("flushing\\n")
                    real.flush()
                    time.sleep(60)

        signal.signal(signal.SIGUSR1, handler)
        graceexit.on_exit(lambda: None)
        graceexit._story.FLUSHING = 60
        real, sys.stdout = sys.stdout, Slow()
        real.write("ready\\n")
        while True:
            time.sleep(0.01)
    """)
    dying.wait_for("ready")
    dying.send(SIGTERM)
    dying.wait_for("flushing")
    dying.settle()  # as it begins to wait it could lose the signal
    dying.send(signal.SIGUSR1)
    lines, status = dying.finish()
    assert (steps(lines), status) == ([], -SIGTERM)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this platform has no SIGUSR1")
def test_a_handler_that_raises_does_not_cut_the_waiting_short(script):
    """Here the exit function waits for the ender: nothing is left to unwind."""
    waiting = script("""
        import signal, threading, time
        import graceexit

        graceexit.install()
        threading._shutdown = lambda: None  # nobody calls ours

        def handler(signum, frame):
            raise ValueError("in a handler")

        signal.signal(signal.SIGUSR1, handler)
        graceexit.on_exit(lambda: (print("begun"), time.sleep(3), print("closed")))
    """)
    waiting.wait_for("begun")
    if not NO_THREADS_AT_THE_END:  # there the item itself would be interrupted
        waiting.send(signal.SIGUSR1)
    lines, status = waiting.finish()
    assert (steps(lines), status) == (["closed"], 0)


@needs_threads_at_the_end("the item itself is interrupted")
def test_a_handler_that_raises_does_not_cut_the_run_of_the_exit_function_short(script):
    """It runs what a thread has registered after the ender had done its work."""
    late = script("""
        import signal, sys, threading, time
        import graceexit

        def handler(signum, frame):
            raise ValueError("in a handler")

        def job():
            closed.wait()
            while not graceexit._process.own.exit.ender.over.is_set():
                time.sleep(0.01)
            graceexit.on_exit(lambda: (print("begun"), time.sleep(1), print("registered late")))

        closed = threading.Event()
        signal.signal(signal.SIGUSR1, handler)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
        graceexit.install(linger=0.2)
        graceexit.on_exit(closed.set)
        threading.Thread(target=job).start()
        signal.raise_signal(signal.SIGTERM)
    """)
    assert late.end_by(signal.SIGUSR1, after="begun") == (["registered late"], 4)


def test_a_signal_in_a_hook_of_somebody_else_raises_nothing_there(script):
    """It would skip the other hooks, and be lost."""
    lines, status = script("""
        import os, signal, threading
        import graceexit

        def hook():
            os.kill(os.getpid(), signal.SIGTERM)
            print("worked")

        graceexit.on_exit(lambda: print("closed"))
        threading._register_atexit(hook)
    """).finish()
    assert (steps(lines), status) == (["worked", "closed"], -SIGTERM)


@pytest.mark.parametrize(
    "method",
    [
        "_begin",
        pytest.param(
            "_wait", marks=needs_threads_at_the_end("Python itself waits for other threads")
        ),
        "run",
    ],
)
def test_an_error_of_the_exit_itself_is_told_and_the_process_ends(script, method):
    """With the other hooks and exit functions, and with its status."""
    lines, status = script(
        """
        import atexit, sys
        import graceexit
        from graceexit._process import own

        atexit.register(print, "exit function")
        graceexit.on_exit(lambda: print("closed"))
        own = own.ending()
        own = own if hasattr(own, sys.argv[1]) else own.ender
        real = getattr(own, sys.argv[1])

        def fail(*args, **options):
            setattr(own, sys.argv[1], real)
            raise ValueError("a defect")

        setattr(own, sys.argv[1], fail)
        sys.exit(3)
        """,
        method,
    ).finish()
    assert "ValueError: a defect" in lines  # the last line of a traceback
    assert any(line.endswith("the exit itself failed: ValueError: a defect") for line in lines)
    assert lines.count("closed") == lines.count("exit function") == 1
    assert status == 3


def test_a_handler_that_raises_as_the_exit_begins_keeps_no_thread_from_being_stopped(script):
    """It has to be stopped before Python joins it, so the exit is begun again at once."""
    lines, status = script("""
        import sys, threading
        import graceexit
        from graceexit import _exit

        def fail(*_):
            _exit.Exit._begin = real
            raise ValueError("in a handler")

        real, _exit.Exit._begin = _exit.Exit._begin, fail
        stop = threading.Event()
        thread = threading.Thread(target=lambda: (stop.wait(), print("stopped")))
        thread.start()
        graceexit.register(thread, stop=stop)
        sys.exit(3)
    """).finish()
    assert "ValueError: in a handler" in lines
    assert (lines.count("stopped"), status) == (1, 3)
