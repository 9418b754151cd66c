"""What runs after what, what does not run, and what is said of what went wrong."""

from __future__ import annotations

import re
import signal

import pytest
from harness import INLINE, NO_THREADS_AT_THE_END, WHO, needs_threads_at_the_end, steps, without

needs_threads = needs_threads_at_the_end("an item that hangs keeps the process")


@pytest.mark.parametrize(("ends", "status"), [("end", 0), ("SIGTERM", -signal.SIGTERM)])
def test_items_run_by_order_threads_first_and_the_last_registered_first(scenario, ends, status):
    """Negative orders do not wait for other threads; what is registered meanwhile is run."""
    worker = scenario("order", ends)
    worker.wait_for("ready")
    if ends == "SIGTERM":
        worker.send(signal.SIGTERM)
    lines, ended = worker.finish()
    assert steps(lines) == [
        *("call first", "stop f", "call d"),
        "an ordinary thread ends",
        *("stop h", "stop a", "call late, now", "call late, of a past order", "call e", "call b"),
        *("stop c", "call g"),
        *("stop late", "call last"),
    ]
    assert ended == status


def test_threads_of_one_order_are_all_told_before_one_is_joined(scenario):
    """The stage lasts as long as its slowest thread, not as long as all of them in turn."""
    lines, status = scenario("together").finish()
    assert (steps(lines), status) == (["True"], 0)


def blocks(lines):
    """Return the lines that begin something, each without the indented ones that follow it."""
    return [line for line in lines if not line.startswith(" ")]


@needs_threads
def test_an_item_that_fails_or_hangs_is_named_and_the_next_one_runs(scenario):
    """Each line of the log names the item, its place, and what it raised or where it is stuck."""
    lines, status = scenario("troubles", "hang", "logging").finish()
    printed = [line for line in lines if line.startswith(("told", "on", "in", "again"))]
    assert printed == ["told the first", "again", "in a loop of its own", "on a helper"]
    logged = [re.sub(r"\(\S*?(\w+\.py):\d+\)", r"(\1)", line) for line in blocks(lines)]
    logged = [re.sub(r" in [\d.]+ s$", " in N s", line) for line in logged]
    logged = [re.sub(r"\S+(troubles|threading)\.py:\d+ in", r"\1.py in", line) for line in logged]
    logged = [re.sub(WHO + "at the end of the program: ", "", line) for line in logged]
    assert [line for line in logged if line not in printed] == [
        "graceexit INFO: exit begins, 9 to run",
        (
            "graceexit WARNING: callback 'hangs' (troubles.py) did not return within timeout=0.3 s;"
            " left behind at troubles.py in hangs"
        ),
        "graceexit ERROR: callback 'the pool' (troubles.py) failed: ValueError: no such pool",
        "Traceback (most recent call last):",
        "ValueError: no such pool",
        "graceexit ERROR: callback 'leaves' (troubles.py) failed: SystemExit: 5",
        "Traceback (most recent call last):",
        "SystemExit: 5",
        "graceexit ERROR: callback 'interrupted' (troubles.py) failed: KeyboardInterrupt",
        "Traceback (most recent call last):",
        "KeyboardInterrupt",
        (
            "graceexit WARNING: callback 'again' (troubles.py) not run: it has been run in this"
            " exit before"
        ),
        "graceexit INFO: exit complete: 5 done, 1 overran, 3 failed, 1 not run in N s",
    ]
    assert status == 0


def test_warnings_and_errors_are_seen_where_logging_is_not_in_use(scenario):
    """They go to stderr; what is only INFO is not said, and logging is not imported for it."""
    lines, status = scenario("troubles").finish()
    on_main = "on the main thread" if NO_THREADS_AT_THE_END else "on a helper"
    printed = [line for line in lines if line.startswith(("on", "in", "again"))]
    assert printed == ["again", "in a loop of its own", on_main]
    said = [re.sub(r" \(.*\)", "", line) for line in steps(blocks(lines)) if line not in printed]
    assert [re.sub(WHO + "at the end of the program: ", "", line) for line in said] == [
        "callback 'the pool' failed: ValueError: no such pool",
        *("Traceback:", "ValueError: no such pool"),
        *("callback 'leaves' failed: SystemExit: 5", "Traceback:", "SystemExit: 5"),
        *("callback 'interrupted' failed: KeyboardInterrupt", "Traceback:", "KeyboardInterrupt"),
        "callback 'again' not run: it has been run in this exit before",
    ]
    assert (len(lines) - len(without(lines, INLINE)), status) == (NO_THREADS_AT_THE_END, 0)
