"""`grace`: so many seconds after the signal the process is gone, whatever hangs."""

from __future__ import annotations

import re
import sys
import time
from signal import SIGTERM

import pytest
from harness import NO_THREADS_AT_THE_END, steps

from graceexit import Registry

GRACE = 2.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nobody sends SIGTERM there")


@pytest.fixture
def ended(script):
    """Run a program to the end that SIGTERM brings; return its lines, status and seconds."""

    def run(source: str, *args: object, env: dict[str, str] | None = None):
        running = script(source, *args, env=env)
        running.wait_for("ready")
        began = time.monotonic()
        running.send(SIGTERM)
        lines, status = running.finish()
        return steps(lines), status, time.monotonic() - began

    return run


STUCK = r"""
import sqlite3, sys, time
import graceexit

graceexit.install(grace=2)

@graceexit.on_exit
def close():
    print("closed")

def python_code():
    while True:
        time.sleep(60)

def c_call():
    sqlite3.connect(":memory:").execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    )

try:
    print("ready")
    while True:
        time.sleep(0.01)
except:
    print("swallowed")
    globals()[sys.argv[1]]()
"""


@pytest.mark.parametrize("where", ["python_code", "c_call"])
def test_a_main_thread_that_never_ends_has_half_of_it(ended, where):
    """It has swallowed SystemExit; the items run, and the process dies of the signal."""
    lines, status, seconds = ended(STUCK, where)
    assert lines == ["swallowed", "closed"]
    assert status == -SIGTERM
    assert seconds >= GRACE / 2


def test_a_c_call_that_keeps_the_gil_is_ended_by_the_last_resort(ended):
    """It prints every stack and ends with status 1; nothing else can run."""
    lines, status, seconds = ended("""
        import re, time
        import graceexit

        graceexit.install(grace=2)
        graceexit.on_exit(lambda: print("closed"))
        try:
            print("ready")
            while True:
                time.sleep(0.01)
        finally:
            re.match("(a+)+b", "a" * 60)
    """)
    assert "closed" not in lines
    assert any(line.startswith("Timeout (0:00:0") for line in lines)
    assert status == 1
    assert seconds >= GRACE * 0.9


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="an item that hangs hangs there")
def test_hanging_items_have_half_of_what_is_left_each(ended):
    """Whatever their own timeouts are, so that one that hangs does not starve the rest."""
    lines, status, seconds = ended("""
        import threading, time
        import graceexit

        def hang():
            time.sleep(60)

        graceexit.install(grace=2)
        graceexit.on_exit(lambda: print("last"), order=2)
        for timeout in (None, 60):
            graceexit.on_exit(hang, timeout=timeout, order=1)
        graceexit.on_exit(lambda: print("first"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    assert lines[0] == "first"
    overran = re.findall(
        r"callback hang .* overran: left behind after ([\d.]+) s", "\n".join(lines)
    )
    assert len(overran) == 2
    first, second = map(float, overran)
    assert 0.5 < first < GRACE
    assert second < first
    assert "last" in lines
    assert status == -SIGTERM
    assert seconds < GRACE + 5


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="an item that hangs hangs there")
def test_thirty_hanging_items_do_not_keep_it_longer(ended):
    """Those for which nothing is left are reported, or the last resort comes first."""
    lines, status, seconds = ended("""
        import time
        import graceexit

        graceexit.install(grace=2)
        for _ in range(30):
            graceexit.on_exit(lambda: time.sleep(60), name="hanging")
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    assert sum("callback hanging" in line for line in lines) >= 3
    assert status in (-SIGTERM, 1)
    assert seconds < GRACE + 5


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="items run after Python's own join there")
def test_a_program_that_ends_by_itself_is_gone_when_it_is_over(script):
    """
    Counted from the end of the main thread, here with a task that hangs in an executor.

    Imported before graceexit: otherwise the executor's own hook comes first, and nothing says that
    the exit has begun.
    """
    began = time.monotonic()
    running = script(
        """
        import concurrent.futures.thread, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        executor = concurrent.futures.ThreadPoolExecutor()
        executor.submit(time.sleep, 60)
        print("ready")
        """,
        env={"GRACEEXIT_GRACE": "2"},
    )
    running.wait_for("ready")
    lines, status = running.finish()
    assert "closed" in lines
    assert any(line.startswith("Timeout (0:00:0") for line in lines)
    assert status == 1
    assert GRACE < time.monotonic() - began < GRACE + 5


def test_an_exit_function_that_hangs_is_ended_by_it(ended):
    """Of the signal, before the last resort."""
    lines, status, _ = ended("""
        import atexit, time
        import graceexit

        atexit.register(time.sleep, 60)
        graceexit.install(grace=2)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    assert lines[0] == "closed"
    assert status in (-SIGTERM, 1)


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="cannot fork once the main thread has ended")
def test_a_fork_while_it_is_armed_leaves_the_child_alone_and_arms_it_again(ended):
    """An armed one would make the child hang as it ends, and its parent would have none."""
    lines, status, seconds = ended("""
        import os, re, time
        import graceexit

        graceexit.install(grace=2)
        try:
            print("ready")
            while True:
                time.sleep(0.01)
        finally:
            if not (child := os.fork()):
                time.sleep(2.5)
                print("the child is done", flush=True)
                os._exit(0)
            re.match("(a+)+b", "a" * 60)
    """)
    assert "the child is done" in lines
    assert any(line.startswith("Timeout (0:00:0") for line in lines)
    assert status == 1
    assert seconds >= GRACE * 0.9


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="there is no ender there")
@pytest.mark.parametrize(
    ("grace", "expected"), [(30, ["drained", "closed"]), (2, ["closed", "drained"])]
)
def test_a_server_that_drains_longer_than_half_of_it_has_its_items_run_before(
    ended, grace, expected
):
    """It counts from the signal, which graceexit notices too; the handler decides how to end."""
    lines, status, _ = ended(
        """
        import signal, sys, threading, time
        import graceexit

        term = threading.Event()
        signal.signal(signal.SIGTERM, lambda signum, frame: term.set())
        graceexit.install(grace=int(sys.argv[1]))
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while not term.wait(0.1):
            pass
        time.sleep(1.5)
        print("drained")
        sys.exit(3)
        """,
        grace,
    )
    assert (lines, status) == (expected, 3)


def test_a_callback_for_which_nothing_is_left_is_reported_as_not_run():
    """The last resort is about to end the process."""
    registry = Registry()
    registry.register(print)
    [(item, how, *_)] = registry._advance(deadline=time.monotonic() - 1)
    assert (item.name, how) == ("print", "not run")
