"""What a platform lacks: fork, signals to a thread, hooks of threading."""

from __future__ import annotations

import signal
import sys
from signal import SIGINT, SIGTERM

import pytest
from harness import needs_threads_at_the_end, steps

from graceexit._signals import Handlers

OLD_JOIN = sys.version_info < (3, 13)  # `threading._shutdown` waits for locks, in Python


LACKING = """
        import os, signal, sys, threading

        del signal.SIGURG, signal.pthread_kill, os.register_at_fork, os.O_NONBLOCK
        import graceexit
"""


def test_a_platform_without_fork_and_thread_signals_cleans_up(script):
    """What was registered runs at the end and on SIGTERM, and handlers come back."""
    lines, status = script(
        LACKING
        + """
        before = signal.signal(signal.SIGTERM, lambda *_: print("the program's"))
        before = signal.getsignal(signal.SIGTERM)
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        graceexit.register(thread, stop=stop)
        graceexit.on_exit(lambda: print("closed"))
        signal.raise_signal(signal.SIGTERM)
        graceexit.uninstall()
        print(signal.getsignal(signal.SIGTERM) is before)
        graceexit.install(grace=60)
        """
    ).finish()
    assert (steps(lines), status) == (["the program's", "True", "closed"], 0)


@needs_threads_at_the_end("nobody else can end the process")
@pytest.mark.parametrize(("ends", "status"), [("end", 1), ("signal", -SIGTERM)])
def test_a_process_that_cannot_leave_the_join_is_ended(script, ends, status):
    """A stuck thread, and no signal that reaches the main thread alone."""
    source = """
        import time

        def endless():
            while True:
                time.sleep(60)

        thread = threading.Thread(target=endless)
        thread.start()
        graceexit.register(thread, stop=threading.Event(), timeout=0.1)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while sys.argv[1] == "signal":
            time.sleep(0.01)
    """
    stuck = script(LACKING + source, ends)
    stuck.wait_for("ready")
    if ends == "signal":
        stuck.send(SIGTERM)
    lines, ended = stuck.finish()
    if OLD_JOIN:  # it was never in the join: the thread's lock was taken out of it
        status = status if ends == "signal" else 0
    assert "closed" in lines
    assert ended == status


@pytest.mark.parametrize("missing", ["", "import threading; del threading._register_atexit"])
def test_without_the_threading_hook_the_exit_function_does_it(script, missing):
    """`threading._shutdown` is private; registered threads are daemons then."""
    lines, status = script(f"""
        {missing}
        import sys, threading
        import graceexit

        graceexit.install()
        threading._shutdown = lambda: None  # nobody calls ours
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait, daemon=True)
        thread.start()
        graceexit.register(thread, stop=stop)
        graceexit.on_exit(lambda: print("closed", thread.is_alive()))
        exiting = graceexit.exiting.is_set
        graceexit.on_exit(lambda: print("first", thread.is_alive(), exiting()), order=-1)
        sys.exit(3)
    """).finish()
    assert (steps(lines), status) == (["first True True", "closed False"], 3)


@pytest.mark.skipif(not hasattr(signal, "SIGURG"), reason="this platform has no SIGURG")
def test_somebody_elses_sigurg_changes_nothing(script):
    """It makes the main thread leave a join only when the ender wants it to."""
    lines, status = script("""
        import os, signal, threading

        def hook():
            os.kill(os.getpid(), signal.SIGURG)
            print("worked")
            over.set()

        over = threading.Event()
        threading.Thread(target=over.wait).start()
        threading._register_atexit(hook)
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    assert (steps(lines), status) == (["worked", "closed"], 0)


def test_a_handler_that_was_there_before_python_stays(monkeypatch):
    """Python cannot put it back, so nothing goes in front of it and nothing takes its place."""
    handlers = Handlers(pytest.fail, pytest.fail, pytest.fail)
    monkeypatch.setattr("graceexit._signals.getsignal", lambda signum: None)
    before = signal.getsignal(SIGTERM), signal.getsignal(SIGINT)
    handlers.install([SIGTERM, SIGINT])
    handlers.take_over(pytest.fail, pytest.fail)
    assert (signal.getsignal(SIGTERM), signal.getsignal(SIGINT)) == before
    handlers.uninstall()
