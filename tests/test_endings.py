"""How a process ends: what is run, in which order, and the wait status that its parent sees."""

from __future__ import annotations

import re
import signal

import pytest
from harness import NO_THREADS_AT_THE_END, cut_off, said, steps
from wording import own

SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
EXIT_FUNCTIONS = ["registered after", "registered before"]
# How a program ends: what it prints as it unwinds, and its status.
ENDINGS = {
    "end": (["unwound"], 0),
    "exit": (["unwound"], 3),
    "exception": (["unwound", "RuntimeError"], 1),
    "SIGTERM": (["unwound"], -signal.SIGTERM),
    "SIGINT": (["unwound", "KeyboardInterrupt"], -signal.SIGINT),
}


@pytest.fixture
def go(tmp_path):
    """Return the path of the file for which `stubborn` waits."""
    return tmp_path / "go"


@pytest.fixture
def stubborn(scenario, go):
    """Start the scenario of that name."""
    return lambda what, how: scenario("stubborn", what, how, go)


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("kind", ["script", "asyncio", "http"])
def test_a_program_ends_as_without_graceexit_after_its_items(scenario, kind, how):
    """Each item and each exit function runs once; the status is that of a daemon thread's twin."""
    printed = {}
    for cleanup in ("graceexit", "plain"):
        worker = scenario("ending", kind, how, cleanup)
        worker.wait_for("ready")
        if how in SIGNALS:
            worker.send(SIGNALS[how])
        lines, status = worker.finish()
        printed[cleanup] = steps(lines)
        assert status == ENDINGS[how][1]
    unwinding = ENDINGS[how][0]
    assert printed["graceexit"] == [*unwinding, "stopped", "closed", *EXIT_FUNCTIONS]
    assert printed["plain"] == ([] if how == "SIGTERM" else [*unwinding, *EXIT_FUNCTIONS])


def test_a_swallowed_exit_does_not_keep_the_process_alive(stubborn):
    """A main thread that goes on after the signal has `linger`; then the items run."""
    worker = stubborn("swallow", "waits")
    lines, status = worker.end_by(signal.SIGTERM)
    lines, cut = cut_off(lines)
    expected = ["swallowed", "ready", "closing", "closed"]
    assert (steps(lines), cut, status) == (expected, ["main thread"], -signal.SIGTERM)


@pytest.mark.parametrize(
    ("what", "ends", "wait", "rest"),
    [
        ("finally", "waits", "unwinding", ["unwound", "closing", "closed"]),
        ("callback", "waits", "closing", ["closed"]),
        ("callback", "ends", "closing", ["closed"]),
    ],
)
def test_a_repeated_sigterm_changes_nothing(stubborn, go, what, ends, wait, rest):
    """Neither the unwinding of the main thread nor an item is cut short by signals that follow."""
    worker = stubborn(what, ends)
    worker.wait_for("ready")
    if ends == "waits":
        worker.send(signal.SIGTERM)
    worker.wait_for(wait)
    for _ in range(50):
        worker.send(signal.SIGTERM)
    go.touch()
    lines, status = worker.finish()
    assert (steps(lines), status) == ([*rest, "exit function"], -signal.SIGTERM)


def test_a_sigterm_after_one_that_was_swallowed_raises_nothing(script):
    """The main thread has been told; what it goes on with has `linger`."""
    worker = script("""
        import time
        import graceexit

        graceexit.install(linger=1)
        graceexit.on_exit(lambda: print("closed"))
        for told in ["once", "twice"]:
            try:
                print("ready")
                while True:
                    time.sleep(0.01)
            except SystemExit:
                print("told", told)
    """)
    for _ in range(2):
        worker.wait_for("ready")
        worker.send(signal.SIGTERM)
    lines, status = worker.finish()
    assert (own(lines), status) == (["closed"], -signal.SIGTERM)


def test_an_exit_function_that_an_item_registers_runs_once(script):
    """It comes behind ours, which runs the others before the death."""
    worker = script("""
        import atexit, time
        import graceexit

        graceexit.on_exit(lambda: atexit.register(print, "exit function") and None)
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = worker.end_by(signal.SIGTERM)
    assert (steps(lines), status) == (["exit function"], -signal.SIGTERM)


def test_sigterm_while_exit_functions_run_kills_as_it_did_before(stubborn):
    """Once the items are done what was SIG_DFL is SIG_DFL again."""
    worker = stubborn("exit function", "ends")
    assert worker.end_by(signal.SIGTERM, after="exit function") == ([], -signal.SIGTERM)


def test_sigterm_as_the_exit_is_over_is_what_the_process_dies_of(script):
    """It comes when there is nothing more to be waited for, and its handler is still there."""
    lines, status = script("""
        import atexit, os, signal
        import graceexit
        from graceexit._process import own

        def strike():
            os.kill(os.getpid(), signal.SIGTERM)
            uninstall()

        atexit.register(print, "exit function")
        graceexit.on_exit(lambda: print("item"))
        uninstall, own.handlers.uninstall = own.handlers.uninstall, strike
    """).finish()
    assert (steps(lines), status) == (["item", "exit function"], -signal.SIGTERM)


def test_sigterm_while_threads_are_joined_leaves_them_behind(stubborn):
    """A process that would have been dead does not wait for a thread longer than `linger`."""
    worker = stubborn("thread", "ends")
    worker.wait_for("ready")
    if NO_THREADS_AT_THE_END:
        worker.settle()  # a signal that comes just before the join is not noticed there
    worker.send(signal.SIGTERM)
    lines, status = worker.finish()
    lines, cut = cut_off(lines)
    assert (steps(lines), status) == (["closing", "closed", "exit function"], -signal.SIGTERM)
    # Where the signal finds the main thread at its end, nobody is there to say it.
    assert cut == ["Thread-1 (stuck)"] or (NO_THREADS_AT_THE_END and not cut)


@pytest.mark.parametrize(("ends", "status"), [("ends", 7), ("waits", -signal.SIGTERM)])
def test_a_stuck_thread_is_left_behind_and_the_status_is_kept(stubborn, ends, status):
    """The interpreter does not wait for it, exit functions run, `sys.exit(7)` stays 7."""
    worker = stubborn("stuck", ends)
    worker.wait_for("ready")
    if ends == "waits":
        worker.send(signal.SIGTERM)
    lines, ended = worker.finish()
    (report,) = said(steps(lines))
    assert re.fullmatch(
        r"thread 'stuck' \(\S+/stubborn\.py:21\) did not end within timeout=0\.2 s after its stop;"
        r" left behind at \S+/stubborn\.py:23 in stuck",
        report,
    )
    assert [line for line in steps(lines) if not line.endswith(report)] == [
        *("told", "closing", "closed", "exit function")
    ]
    assert ended == status


@pytest.mark.parametrize(
    ("what", "signum", "status"), [("_exit", signal.SIGTERM, 9), ("", signal.SIGKILL, -9)]
)
def test_nothing_runs_where_nobody_is_asked(stubborn, what, signum, status):
    """`os._exit` and SIGKILL end a process at once."""
    worker = stubborn(what, "waits")
    assert worker.end_by(signum) == ([], status)


@pytest.mark.parametrize("again", [[], ["again"]])
def test_what_was_printed_goes_out_before_the_death(scenario, again):
    """
    The death by a signal flushes nothing by itself; what is in the buffers is not lost.

    Nor is it where a server sends itself the signal again.
    """
    env = {"PYTHONUNBUFFERED": None, "PYTHONPATH": None}
    worker = scenario("buffered", "SIGTERM", *again, env=env)
    lines, status = worker.finish()
    assert (steps(lines), status) == (["serving", "closed"], -signal.SIGTERM)
