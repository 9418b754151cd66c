"""The report that outlives the process: a line of JSON for each."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import termios
import threading
import time

import pytest
from harness import needs_threads_at_the_end
from wording import assert_one_says, own, steps

import graceexit
from graceexit import _account
from graceexit._report import Report

SERVES = """
    import threading, time
    import graceexit

    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="poller")
    thread.start()
    graceexit.register(thread, stop=stop)
    graceexit.on_exit(lambda: print("closed"), name="pool")
    print("ready")
"""


@pytest.fixture
def reported(tmp_path):
    """Return the lines that were written to `report` in the script's folder."""

    def read(name="report"):
        return [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]

    return read


def outcomes(line):
    """Return name and outcome of each result."""
    return [(one["name"], one["outcome"]) for one in line["results"]]


def test_a_process_that_ends_by_itself_writes_one_line(script, reported):
    """When its items have run: how each ended, and no signal."""
    lines, status = script(SERVES, env={"GRACEEXIT_REPORT": "report"}).finish()
    assert (own(lines), status) == (["ready", "closed"], 0)
    [line] = reported()
    assert outcomes(line) == [("poller", "done"), ("pool", "done")]
    assert (line["version"], line["graceexit"]) == (1, graceexit.__version__)
    assert line["python"] == sys.version.split()[0]
    assert (line["signum"], line["signal"], line["noticed"], line["death"]) == (None,) * 4
    assert (line["ok"], line["cut_off"], line["parent"]) == (True, [], os.getpid())
    times = [line["main_ended"], line["results"][0]["begun"], line["results"][1]["begun"]]
    assert times == sorted(times)
    assert times[-1] <= line["ended"]


def test_a_process_that_a_signal_ends_writes_another_at_its_death(script, reported):
    """The later one counts: it says what it dies of."""
    worker = script(SERVES + "    while True: time.sleep(0.01)", env={"GRACEEXIT_REPORT": "report"})
    lines, status = worker.end_by(signal.SIGTERM)
    assert (own(lines), status) == (["closed"], -signal.SIGTERM)
    first, last = reported()
    assert (first["death"], last["death"]) == (None, "SIGTERM")
    assert first["noticed"] == last["noticed"]
    assert (last["pid"], last["signum"], last["signal"]) == (worker.pid, 15, "SIGTERM")
    assert last["noticed"] <= last["main_ended"] <= last["ended"]
    assert outcomes(last) == outcomes(first) == [("poller", "done"), ("pool", "done")]


@needs_threads_at_the_end("an item that hangs keeps the process")
def test_what_went_wrong_is_told_with_its_place(script, reported):
    """What was raised; where it hangs, the innermost call first; whose limit it was."""
    lines, status = script(
        """
        import threading
        import graceexit

        def wait():
            threading.Event().wait()

        def hang():
            wait()

        graceexit.install(report="report")
        graceexit.on_exit(hang, timeout=0.1)
        graceexit.on_exit(lambda: [][1], name="fails")
        """
    ).finish()
    assert (own(lines), status) == ([], 0)
    [line] = reported()
    failed, overran = line["results"]
    assert (failed["outcome"], failed["error"]) == ("failed", "IndexError: list index out of range")
    assert (overran["outcome"], overran["limit"], overran["kind"]) == (
        *("overran", "timeout", "callback"),
    )
    places = [place.rpartition("/")[2] for place in overran["stack"]]
    assert places[:2] == ["script.py:6 in wait", "script.py:9 in hang"]
    assert overran["where"].endswith("script.py:8")
    assert line["ok"] is False


@needs_threads_at_the_end("the exit waits on the main thread")
def test_who_is_cut_off_is_told(script, reported):
    """By name and place, with the limit that was over."""
    worker = script("""
        import threading, time
        import graceexit

        def go_on():
            time.sleep(1000)

        graceexit.install(linger=0.2, report="report")
        graceexit.on_exit(lambda: print("closed"))
        threading.Thread(target=go_on, name="forgotten").start()
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    worker.end_by(signal.SIGTERM)
    last = reported()[-1]
    [one] = last["cut_off"]
    assert (one["name"], one["kind"], one["limit"]) == ("forgotten", "thread", "linger")
    assert one["where"].endswith("script.py:6 in go_on")
    assert (last["ok"], outcomes(last)) == (False, [("<lambda>", "done")])


def test_each_process_has_a_line_of_a_file_that_all_share(script, start_method, reported):
    """Each is one write, so that none is torn."""
    lines, status = script(
        """
        import multiprocessing, sys
        import graceexit

        def work():
            for number in range(200):
                graceexit.on_exit(lambda: None, name=f"item {number}")

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            processes = [context.Process(target=work) for _ in range(4)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
        """,
        start_method,
        env={"GRACEEXIT_REPORT": "report"},
    ).finish()
    assert (own(lines), status) == ([], 0)
    assert [len(line["results"]) for line in reported()] == [200] * 4
    assert len({line["pid"] for line in reported()}) == 4


def test_a_path_may_give_each_process_a_file(script, tmp_path, reported):
    """`{pid}` stands for the process."""
    worker = script(SERVES, env={"GRACEEXIT_REPORT": "of {pid}"})
    worker.finish()
    assert [line["pid"] for line in reported(f"of {worker.pid}")] == [worker.pid]


@pytest.mark.parametrize("kind", ["a folder that is not there", "a pipe that nobody reads"])
def test_a_path_that_cannot_be_written_is_one_warning(script, tmp_path, kind):
    """The process ends as without it."""
    path = tmp_path / "there" / "report"
    if kind == "a pipe that nobody reads":
        path.parent.mkdir()
        os.mkfifo(path)
    worker = script(
        SERVES + "    while True: time.sleep(0.01)", env={"GRACEEXIT_REPORT": str(path)}
    )
    lines, status = worker.end_by(signal.SIGTERM)
    assert (own(lines), status) == (["closed"], -signal.SIGTERM)
    assert_one_says(lines, "the report cannot be written to", "report")


def test_a_path_that_could_not_be_written_is_tried_again_at_the_death(script, reported):
    """It is said once that it could not be; what was slow may have arrived by then."""
    lines, status = script("""
        import atexit, os, signal
        import graceexit

        atexit.register(os.mkdir, "there")
        graceexit.install(report="there/report")
        graceexit.on_exit(lambda: print("closed"))
        os.kill(os.getpid(), signal.SIGTERM)
    """).finish()
    assert (own(lines), status) == (["closed"], -signal.SIGTERM)
    assert_one_says(lines, "on SIGTERM: the report cannot be written to there/report: ")
    assert [one["death"] for one in reported("there/report")] == ["SIGTERM"]


def test_a_job_that_shuts_down_itself_reports_too(script, reported):
    """It ends by `os._exit`, and no exit begins."""
    lines, status = script(
        """
        import os
        import graceexit

        graceexit.on_exit(lambda: print("closed"), name="pool")
        graceexit.shutdown()
        os._exit(3)
        """,
        env={"GRACEEXIT_REPORT": "report"},
    ).finish()
    assert (steps(lines), status) == (["closed"], 3)
    [line] = reported()
    assert outcomes(line) == [("pool", "done")]


def test_a_job_that_shuts_down_itself_says_that_its_report_cannot_be_written(script):
    """In one warning as well, before it is gone."""
    lines, status = script(
        """
        import os
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        graceexit.shutdown()
        os._exit(3)
        """,
        env={"GRACEEXIT_REPORT": "not there/report"},
    ).finish()
    assert (own(lines), status) == (["closed"], 3)
    assert_one_says(lines, r"in shutdown\(\): the report cannot be written to", "FileNotFoundError")


def test_nothing_is_imported_for_it_where_none_is_wanted(script):
    """It costs nothing."""
    lines, _ = script("""
        import sys
        import graceexit

        graceexit.install()
        print("json" in sys.modules, "graceexit._account" in sys.modules)
    """).finish()
    assert lines == ["False False"]


def test_what_is_no_path_is_refused():
    """Nothing is installed then."""
    with pytest.raises(TypeError, match=r"report must be a path, or None for no report; got 7"):
        graceexit.install(report=7)


# The termination log of Kubernetes, of which the last 4,096 bytes are shown


def writer_of(path, *outcomes):
    """Return what writes the report of callbacks that ended so."""
    ended = []
    for number, how in enumerate(outcomes):
        item = graceexit.Registry().register(print, name=f"item {number}")
        stack = [("app.py", line, "wait") for line in range(50)] if how == "overran" else None
        ended.append((item, how, 0.0, 1.0, None, stack, None))
    return lambda **more: _account.write(str(path), Report(ended, 15, 1.0), more)


@pytest.fixture
def termination_log(tmp_path, monkeypatch):
    """Have a file of the test's stand for it."""
    path = tmp_path / "termination-log"
    monkeypatch.setattr(_account, "TERMINATION_LOG", str(path))
    return path


def test_a_line_that_is_longer_than_a_pipe_is_written_in_whole(tmp_path):
    """Whoever reads begins late."""
    path = tmp_path / "report"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = threading.Thread(target=writer_of(path, *["overran"] * 200))
    writer.start()
    there = bytes(4)
    while int.from_bytes(there, sys.byteorder) < 1 << 14:  # what a pipe takes at once, or more
        there = fcntl.ioctl(reader, termios.FIONREAD, bytes(4))
        time.sleep(0.001)
    os.set_blocking(reader, True)
    with os.fdopen(reader, encoding="utf-8") as lines:
        [line] = lines
    writer.join()
    assert len(json.loads(line)["results"]) == 200


def test_the_termination_log_has_one_short_line_with_what_went_wrong_first(termination_log):
    """The rest is cut, the stacks first."""
    write = writer_of(termination_log, *["done"] * 100, "overran")
    write()
    write(death="SIGTERM")
    text = termination_log.read_text()
    line = json.loads(text)
    assert len(text) <= 4000
    assert (line["death"], line["ok"]) == ("SIGTERM", False)
    assert line["results"][0]["outcome"] == "overran"
    assert len(line["results"][0]["stack"]) == 3


def test_a_process_that_went_well_leaves_the_failure_of_another_there(termination_log):
    """The master ends after its workers."""
    failed = {"pid": os.getpid() + 1, "ok": False}
    termination_log.write_text(json.dumps(failed))
    writer_of(termination_log, "done")()
    assert json.loads(termination_log.read_text()) == failed
    writer_of(termination_log, "failed")()
    assert json.loads(termination_log.read_text())["pid"] == os.getpid()
