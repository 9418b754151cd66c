"""Items that do their worst: the next one runs all the same, and the process ends as it would."""

from __future__ import annotations

import re
import signal

import pytest
from harness import needs_threads_at_the_end, said, steps

from graceexit import Registry

SIGTERM = signal.SIGTERM
ENDS = [("end", 7), ("signal", -SIGTERM)]

PROGRAM = """
import logging, os, signal, sqlite3, sys, threading, time
import graceexit

graceexit.on_exit(lambda: print("closed"))
other = graceexit.on_exit(lambda: print("other"))

def deep():
    deep()

@graceexit.on_exit(timeout={timeout})
def worst():
    print("begun")
    {worst}

print("ready")
if sys.argv[1] == "end":
    sys.exit(7)
while True:
    time.sleep(0.01)
"""
ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
HANGS = {
    "sleeps": "time.sleep(3600)",
    "waits without a limit": "threading.Event().wait()",
    "keeps a core busy": "while True: pass",
    "is in a C call": f'sqlite3.connect(":memory:").execute("{ENDLESS}").fetchall()',
    "swallows every exception": """while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass""",
}
HOLDS = {
    "the lock of logging": "logging._lock.acquire()",
    "the lock of a handler": "logging.basicConfig(); logging.getLogger().handlers[0].acquire()",
}
RAISES = {
    "raises": ("1 / 0", "ZeroDivisionError"),
    "calls sys.exit": ("sys.exit(3)", "SystemExit: 3"),
    "is interrupted": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "is no Exception": ("raise GeneratorExit", "GeneratorExit"),
    "runs out of stack": ("deep()", "RecursionError"),
}
ITEMS = ["begun", "other", "closed"]
MEDDLES = {
    "registers more": (
        """graceexit.on_exit(lambda: print("more"))
    graceexit.on_exit(lambda: print("a past order"), order=-1)
    graceexit.on_exit(lambda: print("last"), order=1)""",
        ["a past order", "more", "other", "closed", "last"],
    ),
    "unregisters another": ("print(graceexit.unregister(other))", ["True", "closed"]),
    "unregisters itself": (
        "print(graceexit.unregister(worst))",
        ["False", "other", "closed"],
    ),
    "calls shutdown": ("print(graceexit.shutdown().results)", ["[]", "other", "closed"]),
    "forgets its streams": (
        "sys.stderr = None; sys.stdout.flush()",
        ["other", "closed"],
    ),
}


@pytest.fixture
def ended(script):
    """Run a program to the end that it is given; return its lines after "ready" and its status."""

    def run(source: str, ends: str):
        running = script(source, ends)
        running.wait_for("ready")
        if ends == "signal":
            running.send(SIGTERM)
        lines, status = running.finish()
        return steps(lines), status

    return run


@needs_threads_at_the_end("an item that hangs keeps the process")
@pytest.mark.parametrize(("ends", "status"), ENDS)
@pytest.mark.parametrize("how", HANGS)
def test_an_item_that_hangs_is_left_behind_however_it_hangs(ended, how, ends, status):
    """It is named once, with the line that it is at."""
    lines, code = ended(PROGRAM.format(timeout=0.2, worst=HANGS[how]), ends)
    overran(lines)
    assert code == status


@needs_threads_at_the_end("an item that hangs keeps the process")
@pytest.mark.parametrize(("ends", "status"), [("end", 1), ("signal", -SIGTERM)])
@pytest.mark.parametrize("what", HOLDS)
def test_an_item_that_holds_what_logging_needs_is_named_on_stderr(ended, what, ends, status):
    """`logging.shutdown` would wait for it for ever, and what has to be ended so has status 1."""
    holds = f"{HOLDS[what]}; time.sleep(3600)"
    lines, code = ended(PROGRAM.format(timeout=0.2, worst=holds), ends)
    overran(lines)
    assert code == status


def overran(lines):
    """Assert that all items have begun, and that the worst was named once, with where it is."""
    assert [line for line in lines if line in ITEMS] == ITEMS
    [line] = [line for line in said(lines) if "'worst'" in line]
    # What stderr is told where logging is stuck has no place in it, for that is anybody's code.
    limit = r"callback 'worst'(?: \(\S+script\.py:11\))? did not return within timeout=0\.2 s"
    assert re.fullmatch(limit + r"; left behind at \S+script\.py:\d+ in worst", line)


@pytest.mark.parametrize(("ends", "status"), ENDS)
@pytest.mark.parametrize("how", RAISES)
def test_an_item_that_raises_whatever_it_is_does_not_keep_the_next_from_running(
    ended, how, ends, status
):
    """It is named once, with what it has raised."""
    worst, error = RAISES[how]
    lines, code = ended(PROGRAM.format(timeout=60, worst=worst), ends)
    assert [line for line in lines if line in ITEMS] == ITEMS
    [line] = [line for line in said(lines) if "'worst'" in line]
    assert re.match(r"callback 'worst' \(\S+script\.py:11\) failed: ", line)
    assert line.split(" failed: ")[1].startswith(error)
    assert any(line.startswith(error) for line in lines)  # the traceback
    assert code == status


@pytest.mark.parametrize(("ends", "status"), ENDS)
@pytest.mark.parametrize("how", MEDDLES)
def test_an_item_may_register_unregister_and_shut_down(ended, how, ends, status):
    """What it registers is run in the same exit, and what it unregisters is not."""
    worst, expected = MEDDLES[how]
    lines, code = ended(PROGRAM.format(timeout=60, worst=worst), ends)
    assert (lines, code) == (["begun", *expected], status)


STUCK = """
import sys, threading, time
import graceexit

def endless():
    while True:
        time.sleep(0.01)

def register(thread, tell):
    thread.start()
    graceexit.register(thread, stop=tell, timeout=0.5)

graceexit.on_exit(lambda: print("closed"))
{threads}
print("ready")
if sys.argv[1] == "end":
    sys.exit(7)
while True:
    time.sleep(0.01)
"""


def left_behind(lines):
    """Return the names of the threads that were left behind, each of which says where it is."""
    limit = r"did not end within timeout=0\.5 s(?: after its stop|: its stop has not returned)"
    where = r"\S+script\.py:\d+ in endless"
    line = re.compile(rf"thread '([\w ]+)'(?: \(\S+:\d+\))? {limit}; left behind at {where}")
    return [match[1] for one in said(lines) if (match := line.fullmatch(one))]


@pytest.mark.parametrize(("ends", "status"), ENDS)
def test_ten_stuck_threads_are_all_left_behind(ended, ends, status):
    """Each is told and named, and the interpreter waits for none of them."""
    lines, code = ended(
        STUCK.format(
            threads="""
for n in range(10):
    register(threading.Thread(target=endless, name=f"stuck {n}"), lambda n=n: print("told", n))
"""
        ),
        ends,
    )
    assert [line for line in lines if line.startswith("told")] == [
        f"told {n}" for n in reversed(range(10))
    ]
    assert sorted(left_behind(lines)) == [f"stuck {n}" for n in range(10)]
    assert (lines.count("closed"), code) == (1, status)


@needs_threads_at_the_end("a stop that hangs keeps the process")
@pytest.mark.parametrize(("ends", "status"), ENDS)
def test_a_stop_that_hangs_keeps_no_other_thread_from_being_told(ended, ends, status):
    """It is left behind when its time is over, even if its thread has ended by itself."""
    lines, code = ended(
        STUCK.format(
            threads="""
flag = threading.Event()
register(threading.Thread(target=lambda: (flag.wait(), print("stopped"))), flag)
register(threading.Thread(target=endless, name="stuck"), lambda: (print("told"), endless()))
register(threading.Thread(target=flag.wait, name="ends"), lambda: (print("tells"), endless()))
"""
        ),
        ends,
    )
    assert [line for line in lines if line in ("told", "tells", "stopped", "closed")] == [
        *("tells", "told", "stopped", "closed")
    ]
    assert sorted(left_behind(lines)) == ["ends", "stuck"]
    assert code == status


def test_a_thread_of_another_process_is_not_taken_for_one_that_has_ended():
    """`Process.is_alive` raises in a process that has not started it."""

    class Foreign:
        ident = 1

        def is_alive(self):
            raise AssertionError("can only test a child process")

        def join(self, timeout=None):
            """Be joined."""

    registry = Registry()
    assert not registry.register(Foreign(), stop=lambda: None).ended
    assert [result.outcome for result in registry.run().results] == ["failed"]
