"""What people see: results, the table, and lines that reach somebody even if logging is stuck."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import queue
import re
import signal
import sys
import threading
import time

import pytest

import graceexit
from graceexit import Registry
from graceexit._latch import start_thread, within
from graceexit._log import Log, is_taken, write
from graceexit._report import Report, signal_name, stack_of
from graceexit._story import named


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


def said(*lines):
    """Return what stderr has of the lines of a log that nobody has told why."""
    return "".join(f"graceexit[{os.getpid()}]: in run(): {line}\n" for line in lines)


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
    assert failed.split()[0:4:3] == ["failed", "'disk'"]
    assert done.split()[0:4:3] == ["done", "'close_pool'"]
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
    assert first == f"callback 'break_down' ({here}) failed after {result.seconds:.3g} s"
    assert trace[0] == "Traceback (most recent call last):"
    assert "_runner" not in "".join(trace)
    assert last == "OSError: [Errno 28] the disk is full"
    assert (result.outcome, result.kind, result.where) == ("failed", "callback", here)
    assert 0 <= result.seconds <= report.seconds
    assert 0 <= time.time() - result.begun < 60
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
    head = re.escape(f"graceexit[{os.getpid()}]: in run(): callback ")
    limit = r"'stuck' did not return within timeout=0\.05 s; left behind"
    assert re.fullmatch(rf"{head}{limit} at \S+threading\.py:\d+ in wait", overrun.getMessage())
    assert failure.levelname == "ERROR"
    failed = (
        r"'break_down' \(\S+test_report\.py:\d+\) failed: OSError: \[Errno 28\] the disk is full"
    )
    assert re.fullmatch(head + failed, failure.getMessage())


def test_a_record_has_fields_and_the_traceback_that_group_it(registry, caplog):
    """Structured logs and Sentry take them; the traceback begins in the user's code."""
    registry._runs().log.signum = signal.SIGTERM
    registry.register(break_down, name="disk")
    registry.run()
    [record] = caplog.records
    names = ("item", "kind", "outcome", "limit", "where", "signum")
    here = f"{__file__}:{break_down.__code__.co_firstlineno}"
    values = [getattr(record, name) for name in names]
    assert values == ["disk", "callback", "failed", None, here, signal.SIGTERM]
    assert record.seconds == round(record.seconds, 3)
    kind, error, trace = record.exc_info
    assert (kind, str(error)) == (OSError, "[Errno 28] the disk is full")
    assert trace.tb_frame.f_code is break_down.__code__


def test_a_thread_says_what_stop_raised_and_that_it_goes_on(registry, caplog):
    """Both are in one line: the thread did not end, and nobody could tell it to."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="poller")
    thread.start()
    registry.register(thread, stop=break_down, timeout=0.05)
    registry.run()
    over.set()
    [line] = caplog.messages
    said = r"thread 'poller' did not end within timeout=0\.05 s after its stop; left behind"
    raised = r"its stop raised OSError: \[Errno 28\] the disk is full"
    assert re.search(rf"{said} at \S+threading\.py:\d+ in wait; {raised}$", line)


def test_a_name_or_an_error_puts_nothing_on_a_terminal(registry, caplog):
    """What a terminal obeys is escaped, and a line is one line."""

    def fail():
        raise ValueError("first\nsecond \x1b[2J")

    registry.register(fail, name="a\x1b[31m\nname")
    report = registry.run()
    [line] = caplog.messages
    assert "callback 'a\\x1b[31m\\nname' (" in line
    assert line.endswith("failed: ValueError: first\\nsecond \\x1b[2J")
    assert "'a\\x1b[31m\\nname'" in str(report)
    assert "\x1b" not in str(report)


def test_a_name_that_does_not_come_does_not_keep_the_line_from_being_said(registry, capfd):
    """It is anybody's code; then the line is said without it, and without a place."""
    over = threading.Event()

    class Nameless(threading.Thread):
        @property
        def name(self):
            over.wait(60)
            return "late"

        @name.setter
        def name(self, name):
            """Take none."""

    thread = Nameless(target=over.wait)
    thread.start()
    registry.register(thread, stop=close_pool, timeout=0.05)
    registry.run()
    said = capfd.readouterr().err
    over.set()
    thread.join()
    who = rf"graceexit\[{os.getpid()}\]: in run\(\): thread '\S+Nameless' did not end within"
    assert re.match(rf"{who} timeout=0\.05 s after its stop; left behind at \S+ in wait\n$", said)
    assert registry._runs().log._speaking.acquire(timeout=10)


def test_a_name_that_raises_is_left_out_where_logging_takes_no_line(registry, capfd):
    """The line reaches stderr all the same, with what needs nobody's code."""

    class Unspeakable(threading.Thread):
        name = property(lambda self: 1 / 0, lambda self, name: None)

    thread = Unspeakable(target=close_pool)
    registry.register(thread, stop=break_down)
    registry.run()
    said = capfd.readouterr().err
    assert re.match(r"graceexit\[\d+\]: in run\(\): thread '\S+Unspeakable' failed: OSError", said)
    assert said.endswith("OSError: [Errno 28] the disk is full\n")


def test_a_thread_that_is_waited_for_is_named_without_its_code():
    """The ender asks for the name, and a property is anybody's code."""

    class Unspeakable(threading.Thread):
        name = property(lambda self: 1 / 0, lambda self, name: None)

    defined = f"{__file__}:{close_pool.__code__.co_firstlineno}"
    assert named(Unspeakable(target=close_pool, name="poller")) == f"thread 'poller' ({defined})"


def test_a_line_that_cannot_even_be_said_carefully_is_owned_up_to(capfd):
    """Its thread goes on with the next."""
    log = Log()
    log.post(logging.WARNING, lambda careful: 1 / 0)
    log.post(logging.WARNING, "next")
    log.flush(5)
    assert f"graceexit[{os.getpid()}]: a line that cannot be said\n" in capfd.readouterr().err
    assert log._speaking.acquire(timeout=10)


def logger_with(*handlers, parent=None):
    """Return a logger with these handlers, below *parent* or on its own."""
    logger = logging.Logger("a test's")  # noqa: LOG001  (the process forgets it)
    logger.handlers, logger.parent = list(handlers), parent
    return logger


def test_what_no_handler_takes_or_a_queue_without_a_listener_is_not_taken():
    """Logging's last resort takes what has no handler; a queue that nobody reads takes it away."""
    lines = queue.Queue()
    to_queue = logging.handlers.QueueHandler(lines)
    elsewhere = logging.handlers.QueueHandler(queue.SimpleQueue())
    assert is_taken(logger_with(), iter(()))
    assert is_taken(logger_with(logging.StreamHandler()), iter(()))
    assert not is_taken(logger_with(to_queue), iter(()))
    assert not is_taken(logger_with(elsewhere, parent=logger_with(to_queue)), iter(()))
    assert is_taken(logger_with(to_queue, parent=logger_with(logging.StreamHandler())), iter(()))
    alone = logger_with(to_queue, parent=logger_with(logging.StreamHandler()))
    alone.propagate = False
    assert not is_taken(alone, iter(()))
    listener = logging.handlers.QueueListener(lines)
    listener.start()
    assert is_taken(logger_with(to_queue), iter(()))
    assert not is_taken(logger_with(elsewhere), iter(()))
    listener.stop()
    assert not is_taken(logger_with(to_queue), iter(()))


def test_a_line_that_a_queue_swallows_is_said_on_stderr_too(capfd, monkeypatch):
    """Its listener has been stopped before the exit, as `atexit` does it."""
    logger = logging.getLogger("graceexit")
    monkeypatch.setattr(logger, "handlers", [logging.handlers.QueueHandler(queue.Queue())])
    monkeypatch.setattr(logger, "propagate", False)
    log = Log()
    log.post(logging.WARNING, "swallowed")
    log.post(logging.INFO, "unimportant")
    log.flush(5)
    assert capfd.readouterr().err == said("swallowed")


def test_what_is_written_goes_where_tracebacks_go(capfd, monkeypatch):
    """To whatever `sys.stderr` is, and never to a descriptor 2 that is anybody's file."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    write("to the program's own")
    assert written.getvalue() == "to the program's own"
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "__stderr__", None)
    write("to nobody")
    assert capfd.readouterr().err == ""


def test_percent_signs_are_said_as_they_are(caplog):
    """A line is no format."""
    log = Log()
    log.post(logging.WARNING, "100 % of %s")
    log.flush(5)
    assert caplog.messages == [said("100 % of %s").rstrip()]


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
    assert capfd.readouterr().err == said("first", "second")
    stuck_logging.set()
    assert log._speaking.acquire(timeout=10)  # its thread is gone, and no later test hears of it
    assert stuck_logging.messages == [
        said("first").rstrip()
    ]  # what stderr has heard is not said once more


def test_a_line_reaches_stderr_when_logging_raises(capfd, monkeypatch):
    """A filter is anybody's code, and it may call `sys.exit`."""

    def refuse(record):
        raise SystemExit(4)

    monkeypatch.setattr(logging.getLogger("graceexit"), "filters", [refuse])
    log = Log()
    log.post(logging.WARNING, "said all the same")
    log.flush(5)
    assert capfd.readouterr().err == said("said all the same")
    assert log._speaking.acquire(timeout=10)  # and what comes next is not kept waiting


def test_what_cannot_be_written_is_no_error(monkeypatch):
    """A daemon has closed its standard error."""

    def refuse(descriptor, text):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("os.write", refuse)
    write("nobody hears of it")


def test_where_no_thread_can_be_started_flush_says_it(caplog, capfd, monkeypatch):
    """Nothing can be waited for there, so it is said where the caller is, through the logger."""
    monkeypatch.setattr("_thread.start_new_thread", refuse_threads)
    log = Log()
    log.post(logging.WARNING, "a line")
    assert caplog.messages == []
    log.flush(5)
    assert caplog.messages == [said("a line").rstrip()]
    assert capfd.readouterr().err == ""  # it has been taken
    assert log._speaking.acquire(timeout=10)  # nobody has been waited for


def test_lines_that_are_flushed_before_their_thread_begins_are_said_once(monkeypatch, capfd):
    """What has been flushed is nothing to the thread any more, and the next line gets one."""
    begun = []

    def start_late(function):
        begun.append(function)
        return True if len(begun) == 1 else start_thread(function)

    monkeypatch.setattr("graceexit._log.start_thread", start_late)
    log = Log()
    log.post(logging.WARNING, "late")
    log.flush(0)
    begun[0]()
    assert capfd.readouterr().err == said("late")
    log.post(logging.WARNING, "next")
    log.flush(60)
    assert begun[1:] == [log._say_all]


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
    expected = [said(f"{name} {number}").rstrip() for name in "abcd" for number in range(200)]
    assert sorted(caplog.messages) == sorted(expected)


def test_nobody_waits_longer_than_he_said():
    """A write to a pipe that nobody reads blocks for ever."""
    over = threading.Event()
    begun = time.monotonic()
    assert not within(0.1, over.wait)
    assert time.monotonic() - begun >= 0.1
    over.set()
    assert within(60, lambda: None)


def test_a_stack_that_is_not_known_is_none():
    """The thread has ended, or there never was one."""
    assert stack_of(None) is None
    assert stack_of(12345) is None
