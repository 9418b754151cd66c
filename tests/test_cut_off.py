"""Whoever is cut off is named, with the line where it is, whose limit it was, and a remedy."""

from __future__ import annotations

import re
import signal

import pytest
from harness import NO_THREADS_AT_THE_END, needs_threads_at_the_end
from wording import (
    GRACE,
    LINGER,
    MAIN_THREAD,
    NEGATIVE_ORDER,
    ON_SIGTERM,
    REGISTER,
    TIMEOUT,
    assert_one_says,
    own,
    place,
    said,
)

SIGTERM, SIGINT = signal.SIGTERM, signal.SIGINT

needs_an_ender = needs_threads_at_the_end("nothing is left behind")

PROGRAM = """
    import threading, time
    from concurrent.futures import ThreadPoolExecutor
    import graceexit

    def busy():
        print("busy")
        while True:
            time.sleep(0.01)

    graceexit.install({limits})
    graceexit.on_exit(lambda: print("closed"))
    {before}
    try:
        {ready}
        while True:
            time.sleep(0.01)
    finally:
        {end}
"""


@pytest.fixture
def cut(script):
    """Run a program of which something goes on after the signal; return its lines and status."""

    def run(*, limits="linger=0.5", before="pass", ready="pass", end="pass", signum=SIGTERM):
        worker = script(PROGRAM.format(limits=limits, before=before, ready=ready, end=end))
        lines, status = worker.end_by(signum, after="ready" if "ready" in ready else "busy")
        return lines, status

    return run


LIMITS = pytest.mark.parametrize(
    ("limits", "named"), [("linger=0.5", LINGER), ("grace=1.5", GRACE)], ids=["linger", "grace"]
)


@pytest.mark.field(kind="somebody whom linger cuts off")
@LIMITS
def test_a_thread_that_nobody_has_registered(cut, limits, named):
    """The remedies: register it, close its owner by an item of negative order, a longer limit."""
    lines, status = cut(
        limits=limits, before='threading.Thread(target=busy, name="forgotten").start()'
    )
    assert (own(lines), status) == (["closed"], -SIGTERM)
    patterns = (place("busy"), named, REGISTER, NEGATIVE_ORDER)
    line = assert_one_says(lines, ON_SIGTERM, "'forgotten'", *patterns)
    assert f"to give it longer, install({named}...)" in line


@LIMITS
def test_each_of_several_threads_is_named_in_the_one_line(cut, limits, named):
    """One warning, not one for each."""
    start = "threading.Thread(target=busy, name=name).start()"
    lines, status = cut(
        limits=limits, before=f'_ = [{start} for name in ("one", "two")]', ready='print("ready")'
    )
    assert (set(own(lines)) - {"busy"}, status) == ({"closed"}, -SIGTERM)
    assert_one_says(lines, ON_SIGTERM, "'one'", "'two'", named)


@pytest.mark.field(kind="somebody whom linger cuts off")
@LIMITS
def test_the_main_thread(cut, limits, named):
    """Its unwinding is part of the rest of the program."""
    lines, status = cut(limits=limits, ready='print("ready")', end="busy()")
    assert (own(lines), status) == (["busy", "closed"], -SIGTERM)
    line = assert_one_says(lines, ON_SIGTERM, MAIN_THREAD, place("busy"), named)
    assert line.endswith(f"in busy; to give it longer, install({named}...)")  # nobody registers it


@LIMITS
def test_a_worker_of_a_pool_by_its_job(cut, limits, named):
    """The name of its thread says nothing; the remedy is an item that tells the job to end."""
    before, ready = "ThreadPoolExecutor(1).submit(busy)", 'print("ready")'
    lines, status = cut(limits=limits, before=before, ready=ready)
    assert ([line for line in own(lines) if line != "busy"], status) == (["closed"], -SIGTERM)
    # Where no thread can be started the main thread waits for the job, and is what is waited for.
    who = f"{MAIN_THREAD}.*_python_exit" if NO_THREADS_AT_THE_END else "job.*busy"
    remedy = f"install.{named}" if NO_THREADS_AT_THE_END else r"on_exit\(.*order=-1\)"
    assert_one_says(lines, ON_SIGTERM, who, named, remedy)


@needs_an_ender
@LIMITS
def test_a_job_that_an_item_has_submitted(cut, limits, named):
    """The process closes its pools last, and waits no longer than the rest of the program may."""
    before = "graceexit.on_exit(lambda: ThreadPoolExecutor(1).submit(busy) and None)"
    lines, status = cut(limits=limits, before=before, ready='print("ready")')
    assert ([line for line in own(lines) if line != "busy"], status) == (["closed"], -SIGTERM)
    assert_one_says(lines, ON_SIGTERM, "job.*busy", named)


@needs_an_ender
def test_an_item_that_grace_cuts_short(cut):
    """The line does not say that it was the item's own timeout."""
    lines, status = cut(
        limits="grace=1.5",
        before="graceexit.on_exit(busy, timeout=60)",
        ready='print("ready")',
    )
    assert (own(lines), status) == (["busy", "closed"], -SIGTERM)
    line = assert_one_says(lines, ON_SIGTERM, "busy", GRACE, place("busy"))
    assert not re.search(TIMEOUT, line)


@needs_an_ender
def test_an_item_that_its_own_timeout_cuts_short(cut):
    """Then the line names that, and what to do."""
    lines, status = cut(
        limits="grace=60",
        before="graceexit.on_exit(busy, timeout=0.5)",
        ready='print("ready")',
    )
    assert (own(lines), status) == (["busy", "closed"], -SIGTERM)
    line = assert_one_says(lines, ON_SIGTERM, "busy", r"timeout=0\.5 s", place("busy"))
    assert not re.search(GRACE, line)


@needs_an_ender
def test_items_that_did_not_run_when_the_grace_is_over(cut):
    """Each is named; there is no time left for them."""
    hang = "graceexit.on_exit(busy, timeout=60, order=1)"
    last = 'graceexit.on_exit(lambda: time.sleep(3600), name="never begun", order=2)'
    lines, status = cut(
        limits="grace=1", before=f"_ = [{hang} for _ in range(30)]; {last}", ready='print("ready")'
    )
    assert (set(own(lines)), status) == ({"busy", "closed"}, -SIGTERM)
    assert [line for line in said(lines) if "never begun" in line and re.search(GRACE, line)]


@needs_an_ender
def test_what_was_still_running_at_a_second_ctrl_c(script):
    """A person who wants out is told what that has cost."""
    worker = script("""
        import threading, time
        import graceexit

        def busy():
            print("busy")
            while True:
                time.sleep(0.01)

        graceexit.on_exit(busy, timeout=None)
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    worker.wait_for("ready")
    worker.send(SIGTERM)
    worker.wait_for("busy")
    worker.send_until_it_ends(SIGINT)
    lines, status = worker.finish()
    assert (own(lines), status) == ([], -SIGINT)
    assert_one_says(lines, "Ctrl-C", "busy", place("busy"))


@needs_an_ender
def test_a_thread_that_does_not_end_after_its_stop(script):
    """The line as a whole: who, why, which thread, where made, whose limit, where it is."""
    worker = script("""
        import threading, time
        import graceexit

        def poll():
            while True:
                time.sleep(0.01)

        thread = threading.Thread(target=poll, name="poller", daemon=True)
        thread.start()
        graceexit.register(thread, stop=lambda: print("told"), timeout=0.5)
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (own(lines), status) == (["told"], -SIGTERM)
    assert_one_says(
        lines,
        rf"^graceexit\[{worker.pid}\]: on SIGTERM: thread 'poller' \(\S*script\.py:\d+\)"
        r" did not end within timeout=0\.5 s after its stop;"
        r" left behind at \S*script\.py:\d+ in poll",
    )
