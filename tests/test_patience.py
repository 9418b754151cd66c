"""How long is waited: linger, grace, and a person at the keyboard."""

from __future__ import annotations

import os
import re
import threading
import time
from signal import SIGINT, SIGTERM
from types import SimpleNamespace

import pytest
from harness import cut_off, needs_threads_at_the_end, said, steps
from pieces import exit_of

from graceexit._executors import Executors
from graceexit._limits import Limits
from graceexit._process import Process


def test_items_wait_for_a_hook_of_somebody_else_within_linger(script):
    """It may be draining what the items close."""
    working = script("""
        import threading, time
        import graceexit

        threading._register_atexit(lambda: (time.sleep(0.5), print("worked")))

        graceexit.install(linger=3600)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = working.end_by(SIGTERM)
    assert (steps(lines), status) == (["worked", "closed"], -SIGTERM)


@needs_threads_at_the_end("nobody can run the items beside the hook")
def test_a_hook_of_somebody_else_that_outlives_linger_is_finished_once(script):
    """The handler is the program's own: nothing but the waiting of the items is cut short."""
    lines, status = script("""
        import signal, sys, threading, time
        import graceexit

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
        graceexit.install(linger=0.2)
        graceexit.on_exit(lambda: print("closed"))
        threading._register_atexit(lambda: (time.sleep(1), print("worked")))
        signal.raise_signal(signal.SIGTERM)
    """).finish()
    assert (*cut_off(lines), status) == (["closed", "worked"], ["main thread"], 4)


def test_the_press_of_ctrl_c_that_has_ended_the_program_does_not_cut_the_items_short(script):
    """A terminal's process group gets it more than once, from a parent that passes it on."""
    lines, status = script("""
        import os, signal
        import graceexit
        from graceexit import _signals

        _signals.SAME_PRESS = 60

        @graceexit.on_exit
        def close():
            for _ in range(20):
                os.kill(os.getpid(), signal.SIGINT)
            print("closed")

        raise KeyboardInterrupt
    """).finish()
    assert (steps(lines)[-1], status) == ("closed", -SIGINT)


@needs_threads_at_the_end("nothing runs beside the main thread")
def test_the_exit_function_waits_until_the_ender_has_said_everything(script):
    """Without the hook it is what begins the exit, and no thread is joined after it."""
    lines, status = script("""
        import logging, threading, time
        import graceexit

        graceexit.install()
        threading._shutdown = lambda: None  # nobody calls ours

        class Slow(logging.Handler):
            def emit(self, record):
                time.sleep(0.2)
                print(record.getMessage())

        logger = logging.getLogger("graceexit")
        logger.addHandler(Slow())
        logger.setLevel(logging.INFO)
        graceexit.on_exit(lambda: None)
        graceexit._story.FLUSHING = 60
    """).finish()
    begins, complete = said(lines)
    assert begins == "exit begins, 1 to run"
    assert re.fullmatch(r"exit complete: 1 done in \d+\.\d\d s", complete)
    assert (len(lines), status) == (2, 0)


@needs_threads_at_the_end("Python itself waits for other threads")
def test_an_ignored_ctrl_c_stays_ignored_during_the_exit(script):
    """As under nohup and in the background of a shell."""
    ignoring = script("""
        import signal, threading, time
        import graceexit

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        graceexit.on_exit(lambda: (print("begun"), time.sleep(1), print("closed")))
        graceexit._signals.SAME_PRESS = 0
    """)
    lines, status = ignoring.end_by(SIGINT, after="begun")
    assert (lines, status) == (["closed"], 0)


def test_a_thread_that_cannot_be_joined_yet_is_tried_again():
    """It is being started at this moment."""
    ender = exit_of(Process()).ender
    asked = []
    ender.others = lambda: [] if asked[1:] else asked.append(1) or [threading.Thread()]
    ender._accompany()
    assert len(asked) == 2
    assert ender._bell.wait(0)


def test_the_first_signal_is_the_one_that_is_told():
    """A parent may send SIGTERM after the SIGHUP of a terminal."""
    process = Process()
    ending = exit_of(process)
    ending.notice(SIGTERM)
    ending.notice(SIGINT)
    assert (process.exiting.is_set(), process.exiting.signum) == (True, SIGTERM)


def test_ctrl_c_counts_from_the_press_before_and_no_more_once_it_ends_the_process(
    monkeypatch, capfd
):
    """Two within half a second are one, and a third does not begin the death anew."""
    monkeypatch.setattr("graceexit._signals.die", lambda signum: died.append(now[0]))
    died = []
    now = [100.0]
    ending = exit_of(Process(), clock=lambda: now[0])
    ending.end_by = lambda *_, **__: ending.limits.ask()
    ending.ender.hooks_over.set()
    ending.ender.phase = "waiting"
    for now[0] in (100.0, 100.4, 100.6, 102.0):
        ending.interrupt(SIGINT, None, SimpleNamespace(previous=None))
    ending.ender._jobs.end()
    assert died == [100.6]
    assert said(capfd.readouterr().err.splitlines()) == ["ended at once; still running: nothing"]


def test_ctrl_c_as_the_exit_begins_is_a_notice():
    """What stood there before would raise into Python's join, and skip the hooks of others."""
    process = Process()
    process.registry._attend = None
    process.registry.register(print)
    ending = exit_of(process)
    ending.ender.started = True
    ending.end_by = lambda *_: None
    python = SimpleNamespace(previous=lambda *_: pytest.fail("it has been raised"))
    ending._handlers.take_over = lambda interrupt, _: interrupt(SIGINT, None, python)
    ending.ender.main_ends = lambda _: None
    ending._begin()
    ending.ender.abandon()
    assert process.exiting.signum == SIGINT
    process.uninstall()


def test_the_grace_counts_from_the_first_sign_of_the_end():
    """The end of the main thread, which has taken some of it to unwind, begins no new one."""
    now = [100.0]
    limits = exit_of(Process(), grace=10.0, clock=lambda: now[0]).limits
    limits.begin()
    now[0] = 105.0
    limits.begin()
    limits.close()
    assert limits.left() == 5.0


@pytest.mark.parametrize(("grace", "limit"), [(2.0, 101.8), (60.0, 159.5)])
def test_some_of_the_grace_is_left_for_the_death(grace, limit):
    """A tenth of it, half a second at most: items and exit functions have to be over by then."""
    limits = exit_of(Process(), grace=grace, clock=lambda: 100.0).limits
    assert limits.limit is None
    limits.begin()
    limits.close()
    assert limits.limit == limit


def test_items_wait_until_the_main_thread_has_ended():
    """However long it unwinds."""
    ender, ran = exit_of(Process()).ender, []
    ender.run = lambda **_: ran.append(bool(ender.reached)) or []
    ender.others = list
    ender._finish = lambda: None
    thread = threading.Thread(target=ender._end, daemon=True)
    thread.start()
    while thread.is_alive() and not (ender.phase == "waiting" or ran):
        time.sleep(0.001)
    ender.reach(1)
    thread.join()
    assert ran == [True]


@pytest.mark.parametrize(("grace", "patience"), [(2.0, 0.5), (60.0, 1.0), (None, 1.0)])
def test_the_log_has_a_second_or_a_quarter_of_what_is_left(grace, patience):
    """It may be the very thing that is stuck."""
    process, waited = Process(), []
    process.registry._runs().log.flush = waited.append
    ending = exit_of(process, grace=grace, clock=lambda: 100.0)
    ending.limits.begin()
    ending.limits.close()
    ending.story.flush()
    assert waited == [patience]


def test_the_last_resort_is_not_armed_while_a_thread_forks():
    """The child would hang as it ends; the signal may come at any moment of the fork."""
    armed = []
    process = Process()
    process.exit = ending = exit_of(process, grace=10.0)
    ending.limits._timer = SimpleNamespace(
        dump_traceback_later=lambda *_, **__: armed.append(True),
        cancel_dump_traceback_later=lambda: None,
    )
    ending.limits.is_forking = lambda: bool(process._forking)
    process._before_fork()
    ending.limits.begin()
    assert armed == []
    process._after_fork_in_parent()
    ending.limits.close()
    assert armed == [True]


def test_an_exit_that_begins_while_a_thread_forks_knows_of_it():
    """The signal may come at any moment of the fork."""
    process = Process()
    process._installed, process._pid, process._executors = True, os.getpid(), Executors()
    process._before_fork()
    assert process.ending().limits.is_forking()
    process._after_fork_in_parent()
    assert not process.ending().limits.is_forking()


@pytest.mark.parametrize(
    ("asked", "left", "name"), [(0.0, 1.9, "linger=1.9 s"), (1.5, 0.5, "half of grace=4 s")]
)
def test_the_limit_that_is_over_first_is_named(asked, left, name):
    """`grace` begins with the signal, and `linger` with the end of a server's main thread."""
    now = 100.0
    limits = Limits(4.0, 1.9, clock=lambda: now)
    limits._timer = None
    limits.begin()
    now += asked
    limits.ask()
    limits.close()
    assert (round(limits.patience(), 3), limits.name) == (left, name)


def test_linger_counts_from_the_first_sign():
    """The end of the main thread, which has taken some of it to unwind, begins no new one."""
    times = [100.0]
    limits = Limits(linger=5.0, clock=lambda: times[-1])
    limits.ask()
    times.append(102.0)
    limits.ask()
    assert limits.patience() == 3.0
