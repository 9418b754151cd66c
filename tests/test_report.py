"""What people see: results, the table, and lines that reach somebody even if logging is stuck."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

import pytest

import graceexit
from graceexit import Registry
from graceexit._latch import start_thread
from graceexit._report import Log, Report, signal_name, within, write


@pytest.fixture
def registry():
    """Return an empty registry of the test's own."""
    return Registry()


@pytest.fixture
def stuck_logging():
    """Have a handler of the logger `graceexit` wait for the event that this returns."""
    over = threading.Event()
    over.messages, over.gone_on = [], False

    class Stuck(logging.Handler):
        def emit(self, record):
            over.messages.append(record.getMessage())
            over.wait(60)
            over.gone_on = True

    logger, handler = logging.getLogger("graceexit"), Stuck()
    logger.addHandler(handler)
    yield over
    over.set()
    logger.removeHandler(handler)


def refuse_threads(*_):
    """Be `start_new_thread` at a process limit."""
    raise RuntimeError("can't start new thread")


def close_pool():
    """Be a callback that does nothing."""


def break_down():
    """Be a callback that raises."""
    raise OSError(28, "the disk is full")


# The report


def test_a_report_counts_and_lists_what_was_run(registry):
    """`print(report)` gives a table with a row for each item."""
    registry.register(close_pool, order=1)
    registry.register(break_down, name="disk")
    report = registry.run()
    assert (report.pid, report.signum, report.ok) == (os.getpid(), None, False)
    head, titles, failed, done = str(report).splitlines()
    assert head.startswith(f"process {os.getpid()}: 1 failed, 1 done in 0.")
    assert titles.split() == ["outcome", "seconds", "kind", "name", "where"]
    assert failed.split()[0:4:3] == ["failed", "disk"]
    assert done.split()[0:4:3] == ["done", "close_pool"]
    assert done.endswith(f"{__file__}:{close_pool.__code__.co_firstlineno}")
    assert repr(report) == f"<graceexit.Report pid={os.getpid()} {report.summary}>"


def test_an_empty_report_says_so():
    """Nothing has gone wrong there."""
    report = Report([], signal.SIGTERM, 0.25)
    assert report.ok
    assert str(report).splitlines()[0] == (
        f"process {os.getpid()}, SIGTERM: nothing to run in 0.25 s"
    )


def test_a_result_says_what_happened(registry):
    """With the traceback of what it raised, which begins in the user's code."""
    registry.register(break_down)
    report = registry.run()
    [result] = report.results
    here = f"{__file__}:{break_down.__code__.co_firstlineno}"
    first, *trace, last = str(result).splitlines()
    assert first == f"callback break_down ({here}) failed:"
    assert trace[0] == "Traceback (most recent call last):"
    assert "_runner" not in "".join(trace)
    assert last == "OSError: [Errno 28] the disk is full"
    assert (result.outcome, result.kind, result.where) == ("failed", "callback", here)
    assert 0 <= result.seconds <= report.seconds
    assert type(result.error) is OSError


def test_the_classes_of_what_is_returned_are_public():
    """They can be named in annotations, say where to import them from, and help has them."""
    assert {"Report", "Result", "install"} <= set(dir(graceexit))
    assert graceexit.Report is Report
    assert repr(graceexit.Result) == "<class 'graceexit.Result'>"
    assert repr(graceexit.Report) == "<class 'graceexit.Report'>"
    with pytest.raises(AttributeError, match="module 'graceexit' has no attribute 'Results'"):
        _ = graceexit.Results


def test_a_signal_without_a_name_has_its_number():
    """Real-time signals between the first and the last have none."""
    assert signal_name(signal.SIGTERM) == "SIGTERM"
    if hasattr(signal, "SIGRTMIN"):
        assert signal_name(signal.SIGRTMIN + 1) == f"signal {signal.SIGRTMIN + 1}"


def test_tracebacks_and_stacks_need_no_import(script):
    """They are shorter where the traceback module is not in use, for it is not imported."""
    lines, status = script("""
        import sys, threading
        import graceexit

        sys.modules.pop("traceback", None)
        registry = graceexit.Registry()
        over = threading.Event()

        @registry.on_exit(timeout=0.1)
        def stuck():
            over.wait()

        @registry.on_exit
        def broken():
            raise ValueError("no")

        failed, overran = registry.run().results
        print(failed)
        print(overran)
        over.set()
        print("traceback" in sys.modules)
    """).finish()
    text = "\n".join(lines)
    assert 'Traceback (most recent call last):\n  File "' in text
    assert ", in broken\nValueError: no" in text
    assert ", in stuck\n" in text
    assert "_runner.py" not in text
    assert (lines[-1], status) == ("False", 0)


@pytest.mark.parametrize("has_traceback", [True, False])
def test_an_error_that_cannot_be_shown_is_named(registry, monkeypatch, has_traceback):
    """Its message is anybody's code."""

    class UnspeakableError(Exception):
        def __str__(self):
            raise ValueError("nothing to say")

    def fail():
        raise UnspeakableError

    registry.register(fail)
    [result] = registry.run().results
    if not has_traceback:
        monkeypatch.delitem(sys.modules, "traceback", raising=False)
    assert "UnspeakableError" in str(result)


# The log


def test_what_fails_or_overruns_is_logged_with_its_place(registry, caplog):
    """A failure is an error, an overrun a warning; what is done is not worth a line."""
    over = threading.Event()
    registry.register(close_pool)
    registry.register(break_down)
    registry.register(over.wait, timeout=0.05, name="stuck")
    registry.run()
    over.set()
    (overrun, failure) = caplog.records
    assert (overrun.name, overrun.levelname) == ("graceexit", "WARNING")
    assert overrun.getMessage().startswith("callback stuck overran: left behind after 0.")
    assert "in wait" in overrun.getMessage()
    assert failure.levelname == "ERROR"
    assert failure.getMessage().endswith("OSError: [Errno 28] the disk is full")


def test_percent_signs_are_said_as_they_are(caplog):
    """A line is no format."""
    log = Log()
    log.post(logging.WARNING, "100 % of %s")
    log.flush(5)
    assert caplog.messages == ["100 % of %s"]


def test_lines_reach_stderr_when_logging_is_stuck(capfd, stuck_logging):
    """The caller waits no longer than it said; INFO is not worth that."""
    log = Log()
    log.post(logging.WARNING, "first")
    log.post(logging.INFO, "unimportant")
    log.post(logging.ERROR, "second")
    begun = time.monotonic()
    log.flush(0.1)
    assert time.monotonic() - begun >= 0.1
    assert not stuck_logging.gone_on
    assert capfd.readouterr().err == "first\nsecond\n"
    stuck_logging.set()
    assert log._speaking.acquire(timeout=10)  # its thread is gone, and no later test hears of it
    assert stuck_logging.messages == ["first"]  # what stderr has heard is not said once more


def test_a_line_reaches_stderr_when_logging_raises(capfd, monkeypatch):
    """A filter is anybody's code, and it may call `sys.exit`."""

    def refuse(record):
        raise SystemExit(4)

    monkeypatch.setattr(logging.getLogger("graceexit"), "filters", [refuse])
    log = Log()
    log.post(logging.WARNING, "said all the same")
    log.flush(5)
    assert capfd.readouterr().err == "said all the same\n"
    assert log._speaking.acquire(timeout=10)  # and what comes next is not kept waiting


def test_what_cannot_be_written_is_no_error(monkeypatch):
    """A daemon has closed its standard error."""

    def refuse(descriptor, text):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("os.write", refuse)
    write("nobody hears of it")


def test_where_no_thread_can_be_started_flush_says_it(capfd, monkeypatch):
    """Nothing can be waited for there, so it is said where the caller is."""
    monkeypatch.setattr("_thread.start_new_thread", refuse_threads)
    log = Log()
    log.post(logging.WARNING, "a line")
    assert capfd.readouterr().err == ""
    log.flush(5)
    assert capfd.readouterr().err == "a line\n"
    assert log._speaking.acquire(timeout=10)  # nobody has been waited for


def test_lines_that_are_flushed_before_their_thread_begins_are_said_once(monkeypatch, capfd):
    """What has been flushed is nothing to the thread any more, and the next line gets one."""
    begun = []

    def start_late(function):
        begun.append(function)
        return True if len(begun) == 1 else start_thread(function)

    monkeypatch.setattr("graceexit._report.start_thread", start_late)
    log = Log()
    log.post(logging.WARNING, "late")
    log.flush(0)
    begun[0]()
    assert capfd.readouterr().err == "late\n"
    log.post(logging.WARNING, "next")
    log.flush(60)
    assert begun[2:] == [log._say_all]


def test_lines_of_many_threads_are_all_said(caplog):
    """One thread at a time says them, and none falls between two of those."""
    log = Log()

    def post(name):
        for number in range(200):
            log.post(logging.WARNING, f"{name} {number}")

    threads = [threading.Thread(target=post, args=[name]) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.flush(20)
    assert sorted(caplog.messages) == sorted(f"{n} {i}" for n in "abcd" for i in range(200))


def test_nobody_waits_longer_than_he_said():
    """A write to a pipe that nobody reads blocks for ever."""
    over = threading.Event()
    begun = time.monotonic()
    within(0.1, over.wait)
    assert time.monotonic() - begun >= 0.1
    over.set()
    within(60, lambda: None)
