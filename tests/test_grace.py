"""`grace`: so many seconds after the signal the process is gone, whatever hangs."""

from __future__ import annotations

import re
import sys
import time
from signal import SIGTERM

import pytest
from harness import (
    NO_THREADS_AT_THE_END,
    WITHOUT_GIL,
    cut_off,
    needs_threads_at_the_end,
    said,
    steps,
)
from wording import ON_SIGTERM, assert_one_says, own

from graceexit import Registry

GRACE = 2.0

LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux gives a pipe a name to open it by"
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="on Windows no process sends SIGTERM to another"
)


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


def assert_last_resort(lines, status, seconds):
    """Assert that the last resort has ended the program, if a C call can keep the others out."""
    if not WITHOUT_GIL:
        assert any(line.startswith("Timeout (0:00:0") for line in lines)
        assert status == 1
        assert seconds >= GRACE * 0.9
    assert status in (1, -SIGTERM)


STUCK = r"""
import faulthandler, sqlite3, sys, time
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

def takes_the_timer():
    faulthandler.dump_traceback_later(3000, exit=True)
    python_code()

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
    assert cut_off(lines) == (["swallowed", "closed"], ["main thread"])
    assert status == -SIGTERM
    assert seconds >= GRACE / 2


def test_a_c_call_that_keeps_the_gil_is_ended_by_the_last_resort(ended):
    """
    It prints every stack and ends with status 1; nothing else can run.

    Where there is no such lock the items run after half of the grace, and the ender is in time.
    """
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
    assert ("closed" in lines) == WITHOUT_GIL
    assert_last_resort(lines, status, seconds)


@LINUX
@pytest.mark.parametrize(
    ("last", "code"),
    [
        pytest.param('re.match("(a+)+b", "a" * 60)', 1, id="a C call"),
        pytest.param("pass", 1 if NO_THREADS_AT_THE_END else -SIGTERM, id="a line of the log"),
    ],
)
def test_a_pipe_that_nobody_reads_does_not_hold_it_up(ended, last, code):
    """It prints the stacks to stderr, which takes nothing there, and still ends the process."""
    lines, status, seconds = ended(f"""
        import re, time
        from full_pipe import fill
        import graceexit

        graceexit.install(grace=3)
        graceexit.on_exit(lambda: 1 / 0)
        fill(2)
        try:
            print("ready")
            while True:
                time.sleep(0.01)
        finally:
            {last}
    """)
    assert (lines, seconds < 4) == ([], True)
    assert status == code or (WITHOUT_GIL and status in (1, -SIGTERM))


@LINUX
@pytest.mark.parametrize("then", ["pass", "os.closerange(3, 100)"])
def test_what_it_prints_to_is_closed_again(script, then):
    """By `uninstall`, and in a forked child, of which nobody may wait for the end of a pipe."""
    lines, status = script(f"""
        import os, signal, warnings
        import graceexit

        def opened():
            # That pipe alone: libffi, say, keeps a descriptor of its own once ctypes is imported.
            folder = "/proc/self/fd/"
            files = [os.path.realpath(folder + name) for name in os.listdir(folder)]
            return files.count(os.path.realpath(folder + "2"))

        def more():
            print(opened() - before, flush=True)

        warnings.simplefilter("ignore")  # 3.12 and later: there is a thread as it forks
        before = opened()
        signal.signal(signal.SIGTERM, lambda *_: None)
        graceexit.install(grace=60)
        signal.raise_signal(signal.SIGTERM)
        more()
        if not os.fork():
            more()
            os._exit(0)
        os.wait()
        more()
        {then}
        graceexit.uninstall()
        more()
    """).finish()
    assert (steps(lines), status) == (["1", "0", "1", "0"], 0)


def test_a_regular_expression_lets_the_signal_in(ended):
    """The one that has begun before it looks for signals from time to time, as it always does."""
    lines, status, _ = ended("""
        import re
        import graceexit

        graceexit.install(grace=60)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        re.match("(a+)+b", "a" * 60)
    """)
    assert (lines, status) == (["closed"], -SIGTERM)


def test_a_c_call_that_has_begun_before_the_signal_holds_it_up(script, tmp_path):
    """
    Python notices a signal between two instructions of the main thread, and no earlier.

    So neither the items nor the grace begin, though other threads run all the while.
    """
    running = script("""
        import sqlite3, threading, time
        from pathlib import Path
        import graceexit

        begun = threading.Lock()
        begun.acquire()
        database = sqlite3.connect(":memory:", check_same_thread=False)
        database.create_function("begun", 0, begun.release)  # in C, as the rest of the query
        first, more = "select begun()", "select 1 from n"
        endless = f"with recursive n(i) as ({first} union all {more}) select max(i) from n"

        def interrupt():
            begun.acquire()
            print("ready")
            while not Path("go").exists():
                time.sleep(0.01)
            print("noticed:", graceexit.exiting.is_set())
            database.interrupt()

        graceexit.install(grace=60)
        graceexit.on_exit(lambda: print("closed"))
        threading.Thread(target=interrupt, daemon=True).start()
        try:
            database.execute(endless).fetchall()
        except sqlite3.OperationalError:
            while True:
                time.sleep(0.01)
    """)
    running.wait_for("ready")
    running.send(SIGTERM)
    (tmp_path / "go").touch()
    lines, status = running.finish()
    assert (steps(lines), status) == (["noticed: False", "closed"], -SIGTERM)


@needs_threads_at_the_end("an item that hangs keeps the process")
def test_hanging_items_have_half_of_what_is_left_each(ended):
    """Whatever their own timeouts are, so that one that hangs does not starve the rest."""
    lines, status, _ = ended("""
        import threading, time
        import graceexit

        def hang():
            time.sleep(3600)

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
    overran = [
        re.sub(r" \(\S+\)|\d+\.\d+|\S+/", "", line)
        for line in said(lines)
        if line.startswith("callback 'hang'")
    ]
    hangs = (
        "callback 'hang' did not return within  s, its share of grace=2 s; left behind at"
        " script.py:6 in hang"
    )
    assert overran == [hangs, hangs]
    assert "last" in lines
    assert status == -SIGTERM


@needs_threads_at_the_end("an item that hangs keeps the process")
def test_thirty_hanging_items_do_not_keep_it_longer(ended):
    """Each is reported, those for which nothing is left too, and there is time for the death."""
    lines, status, _ = ended("""
        import time
        import graceexit

        graceexit.install(grace=2)
        for _ in range(30):
            graceexit.on_exit(lambda: time.sleep(3600), name="hanging")
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    assert sum(line.startswith("callback 'hanging'") for line in said(lines)) == 30
    assert status == -SIGTERM


@needs_threads_at_the_end("items run after Python has joined the threads")
def test_a_program_that_ends_by_itself_is_gone_when_it_is_over(script):
    """
    Counted from the end of the main thread, here with a task that hangs in an executor.

    Imported before graceexit: otherwise the executor's own hook comes first, and nothing says that
    the exit has begun. Nothing of graceexit runs as the last resort prints the stacks, which could
    crash over a thread that does.
    """
    began = time.monotonic()
    running = script(
        """
        import concurrent.futures.thread, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        executor = concurrent.futures.ThreadPoolExecutor()
        executor.submit(time.sleep, 3600)
        print("ready")
        """,
        env={"GRACEEXIT_GRACE": "2"},
    )
    running.wait_for("ready")
    lines, status = running.finish()
    assert "closed" in lines
    assert any(line.startswith("Timeout (0:00:0") for line in lines)
    assert status == 1
    assert time.monotonic() - began > GRACE


def test_a_program_that_has_registered_nothing_is_gone_as_well(script):
    """It has asked for a grace, and a thread that nobody has registered never ends."""
    began = time.monotonic()
    lines, status = script("""
        import threading, time
        import graceexit

        graceexit.install(grace=1)
        threading.Thread(target=time.sleep, args=[3600]).start()
    """).finish()
    assert lines[0].startswith("Timeout (0:00:0")
    assert status == 1
    assert time.monotonic() - began > 1


EXECUTOR = """
    import sys, time
    {first}
    import graceexit
    import concurrent.futures.thread

    graceexit.install({limits})
    graceexit.on_exit(lambda: print("closed"))
    executor = concurrent.futures.ThreadPoolExecutor()
    executor.submit(time.sleep, 3600)
    {signal}
    print("ready")
    while sys.argv[1] == "waits":
        time.sleep(0.01)
"""


@pytest.mark.parametrize(
    "ends",
    [
        "waits",
        pytest.param("ends", marks=needs_threads_at_the_end("nothing runs beside the main thread")),
    ],
)
@pytest.mark.parametrize("first", ["", "import concurrent.futures.thread"])
@pytest.mark.parametrize("limits", ["grace=3600, linger=0.5", "grace=2, linger=None"])
def test_the_hook_of_an_executor_does_not_hold_up_a_process_that_is_ended(
    ended, limits, first, ends
):
    """It joins a worker that hangs, before graceexit's own hook or behind it."""
    hook = 'import threading; threading._register_atexit(print, "ready")' * (ends == "ends")
    program = EXECUTOR.format(limits=limits, first=first, signal=hook)
    lines, status, _ = ended(program, ends)
    # Where nobody can hold the hook back, the main thread is in it.
    who = "main thread" if NO_THREADS_AT_THE_END else "ThreadPoolExecutor-0_0"
    assert cut_off([line for line in lines if line != "ready"]) == (["closed"], [who])
    assert status == -SIGTERM


def test_the_timer_of_the_program_gives_way_to_the_last_resort(ended):
    """Python has one `faulthandler.dump_traceback_later` in a process."""
    lines, status, seconds = ended("""
        import faulthandler, sqlite3, time
        import graceexit

        faulthandler.dump_traceback_later(3000, exit=True)
        graceexit.install(grace=2)

        def hold():
            sum(range(10**12))

        try:
            print("ready")
            while True:
                time.sleep(0.01)
        finally:
            hold()
    """)
    assert_last_resort(lines, status, seconds)


def test_a_timer_that_the_program_arms_during_the_exit_is_the_only_one(ended):
    """The last resort is gone then; the items have had their half of the grace all the same."""
    lines, status, _ = ended(STUCK, "takes_the_timer")
    assert (*cut_off(lines), status) == (["swallowed", "closed"], ["main thread"], -SIGTERM)


def test_an_exit_function_that_hangs_is_ended_before_the_grace_is_over(ended):
    """By the signal, and not by the last resort."""
    lines, status, _ = ended("""
        import atexit, time
        import graceexit

        atexit.register(time.sleep, 3600)
        graceexit.install(grace=2)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    assert (own(lines), status) == (["closed"], -SIGTERM)
    assert_one_says(lines, ON_SIGTERM, "exit functions have not returned")


@needs_threads_at_the_end("an item that hangs keeps the process")
def test_exit_functions_have_a_time_though_the_last_item_has_used_up_its_own(ended):
    """It is what the items had to leave of the grace."""
    lines, status, _ = ended("""
        import atexit, time
        import graceexit

        atexit.register(time.sleep, 3600)
        graceexit.install(grace=6)
        graceexit.on_exit(lambda: time.sleep(3600), timeout=None)
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    assert status == -SIGTERM
    line = assert_one_says(lines, ON_SIGTERM, r"exit functions have not returned within 0\.\d")
    assert "time.sleep" not in line  # a call in C has no frame


def test_uninstall_cancels_it(script):
    """A program that has gone on is not ended by what it has put back."""
    lines, status = script("""
        import signal, sys, time
        import graceexit

        signal.signal(signal.SIGTERM, lambda *_: print("handled"))
        graceexit.install(grace=0.5)
        graceexit.on_exit(lambda: print("closed"))
        signal.raise_signal(signal.SIGTERM)
        graceexit.uninstall()
        time.sleep(1)
        while len(sys._current_frames()) > 1:  # what would have ended it
            time.sleep(0.01)
        print("goes on")
    """).finish()
    assert (lines, status) == (["handled", "goes on"], 0)


@needs_threads_at_the_end("Python does not fork then either")
def test_a_fork_while_it_is_armed_leaves_the_child_alone_and_arms_it_again(ended):
    """An armed one would make the child hang as it ends, and its parent would have none."""
    lines, status, seconds = ended("""
        import os, re, sys, time
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
                sys.exit(0)
            re.match("(a+)+b", "a" * 60)
    """)
    assert "the child is done" in lines
    assert_last_resort(lines, status, seconds)


@needs_threads_at_the_end("nothing runs beside the main thread")
@pytest.mark.parametrize(
    ("grace", "expected"), [(60, ["drained", "closed"]), (4, ["closed", "drained"])]
)
def test_a_server_that_drains_longer_than_half_of_it_has_its_items_run_before(
    ended, grace, expected
):
    """It counts from the signal, which graceexit notices too; the handler decides how to end."""
    lines, status, _ = ended(
        """
        import signal, sys, threading, time
        import graceexit
        from graceexit import _ender

        _ender.TO_LEAVE = 0.1  # which is for a main thread that has ended
        term, closed = threading.Event(), threading.Event()
        signal.signal(signal.SIGTERM, lambda signum, frame: term.set())
        graceexit.install(grace=int(sys.argv[1]))
        graceexit.on_exit(lambda: (print("closed"), closed.set()))
        stuck = threading.Thread(target=time.sleep, args=[3600])
        stuck.start()
        graceexit.register(stuck, stop=threading.Event(), timeout=0.1)
        print("ready")
        while not term.wait(0.1):
            pass
        closed.wait(1 if sys.argv[1] == "60" else 3600)
        time.sleep(0.5)
        print("drained")
        sys.exit(3)
        """,
        grace,
    )
    assert ([line for line in lines if line in expected], status) == (expected, 3)


def test_a_callback_for_which_nothing_is_left_is_reported_as_not_run():
    """The last resort is about to end the process."""
    registry = Registry()
    registry.register(print)
    [(item, how, *_)] = registry._runs().advance(deadline=time.monotonic() - 1, grace=1.0)
    assert (item.name, how) == ("print", "not run")
