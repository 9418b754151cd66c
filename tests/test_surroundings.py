"""Where a program may find itself: limits, full pipes, patched modules, other people's loops."""

from __future__ import annotations

import shutil
import sys
import zipapp
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGTERM

import pytest
from harness import (
    INLINE,
    UNMEASURED,
    needs_threads_at_the_end,
    said,
    steps,
    without,
)
from serving import need
from wording import own

import graceexit

ENDS = [("end", 7), ("signal", -SIGTERM)]
WAITS = """
print("ready")
if sys.argv[1] == "end":
    sys.exit(7)
while True:
    time.sleep(0.01)
"""


@pytest.fixture
def ended(script):
    """Run a program to the end that it is given; return its lines after "ready" and its status."""

    def run(source: str, ends: str, **options: object):
        running = script(source + WAITS, ends, **options)
        running.wait_for("ready")
        if ends == "signal":
            running.send(SIGTERM)
        return running.finish()

    return run


def needs(module):
    """Skip the test where an optional package is not installed."""
    return pytest.mark.skipif(not find_spec(module), reason=f"{module} is not installed")


# What the system refuses.

LIMITED = """
import os, resource, sys, threading, time
import graceexit

stop = threading.Event()
thread = threading.Thread(target=lambda: (stop.wait(), print("stopped")))
thread.start()
graceexit.register(thread, stop=stop)
graceexit.on_exit(lambda: print("closed"))
graceexit.on_exit(lambda: 1 / 0, name="broken")
if os.getuid() == 0:  # whom no limit binds
    os.setresuid(61234, 61234, 61234)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    threading.Thread(target=print).start()
except RuntimeError as error:
    print(error)
"""


@pytest.mark.parametrize(("ends", "status"), ENDS)
def test_at_the_limit_of_processes_everything_runs_on_the_main_thread(script, ends, status):
    """What fails is named, and that items had no timeout of their own is said."""
    limited = script(LIMITED + WAITS, ends, env=UNMEASURED)
    limited.wait_for("can't start new thread")
    limited.wait_for("ready")
    if ends == "signal":
        limited.send(SIGTERM)
    lines, ended = limited.finish()
    assert [line for line in lines if line in ("stopped", "closed")] == ["stopped", "closed"]
    assert len(without(lines, INLINE)) == len(lines) - 1
    assert sum(line.startswith("callback 'broken'") for line in said(lines)) == 1
    assert ended == status


@pytest.mark.parametrize("error", ["ValueError", "OSError"])
@pytest.mark.parametrize(
    ("ends", "status", "expected"), [("end", 7, ["closed"]), ("signal", -SIGTERM, [])]
)
def test_where_no_handler_can_be_set_the_hooks_do_the_work(ended, error, ends, status, expected):
    """A signal kills there as it would have without graceexit."""
    lines, code = ended(
        f"""
import signal, sys, time

def refuse(signum, handler):
    raise {error}("not here")

signal.signal = refuse
import graceexit

graceexit.on_exit(lambda: print("closed"))
""",
        ends,
    )
    assert (steps(lines), code) == (expected, status)


# Nobody hears what is said.

PIPE = """
import os, sys, time
from full_pipe import fill
import graceexit

@graceexit.on_exit
def close():
    os.close(os.open("closed", os.O_CREAT))

graceexit.on_exit(lambda: 1 / 0, name="broken")
graceexit.on_exit(lambda: 1 / 0, name="broken too")
print("ready")
fill(2)
fill(1)
if sys.argv[1] == "end":
    sys.exit(7)
while True:
    time.sleep(0.01)
"""


@needs_threads_at_the_end("the log is written on the main thread")
@pytest.mark.parametrize(("ends", "status"), ENDS)
def test_a_pipe_that_nobody_reads_does_not_keep_the_process_alive(script, tmp_path, ends, status):
    """A write to it would block for ever, and items run before anything is waited for."""
    mute = script(PIPE, ends)
    mute.wait_for("ready")
    if ends == "signal":
        mute.send(SIGTERM)
    _, code = mute.finish()
    assert (tmp_path / "closed").exists()
    assert code == status


LOGGING = {
    "a handler": "logging.StreamHandler.emit = broken; logging.basicConfig()",
    "a filter": "logging.getLogger('graceexit').addFilter(broken)",
    "a formatter": "logging.basicConfig(); logging.Formatter.format = broken",
    "the logger itself": "logging.getLogger = broken",
}


@pytest.mark.parametrize(("ends", "status"), ENDS)
@pytest.mark.parametrize("what", LOGGING)
def test_logging_that_raises_changes_nothing(ended, what, ends, status):
    """Not even by SystemExit; what it does not say is said on stderr."""
    lines, code = ended(
        f"""
import logging, sys, time
import graceexit

def broken(*args, **options):
    raise SystemExit("logging is broken")

{LOGGING[what]}
graceexit.on_exit(lambda: print("closed"))
graceexit.on_exit(lambda: 1 / 0, name="fails")
""",
        ends,
    )
    assert lines.count("closed") == 1
    assert sum(line.startswith("callback 'fails'") for line in said(lines)) == 1
    assert code == status


# Other people's threads and loops.


@needs("gevent")
@needs_threads_at_the_end("an item that hangs keeps the process")
@pytest.mark.parametrize(("ends", "status"), ENDS)
def test_in_a_process_that_gevent_has_patched_what_yields_has_a_timeout(ended, ends, status):
    """Threads are greenlets there; a callback that does not yield is waited for."""
    lines, code = ended(
        """
from gevent import monkey
monkey.patch_all()
import sys, threading, time
import graceexit

def spin():
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
    print("spun")

stop = threading.Event()
thread = threading.Thread(target=lambda: (stop.wait(), print("stopped")))
thread.start()
graceexit.register(thread, stop=stop)
graceexit.on_exit(lambda: print("closed"))
graceexit.on_exit(spin, timeout=0.1)
graceexit.on_exit(lambda: time.sleep(3600), timeout=0.1, name="yields")
""",
        ends,
        env=UNMEASURED,
    )
    assert [line for line in lines if not line.startswith(("graceexit", "  "))] == [
        *("stopped", "spun", "closed")
    ]
    left = [line.split()[1] for line in said(lines) if "within timeout=0.1 s" in line]
    assert left == ["'yields'"]
    assert code == status


@needs("gevent")
@pytest.mark.parametrize(("ends", "status"), ENDS)
def test_gevent_may_patch_what_has_been_imported_and_registered_before(ended, ends, status):
    """As a worker of gunicorn does whose application was loaded before the fork."""
    lines, code = ended(
        """
import sys, time
import graceexit

graceexit.on_exit(lambda: print("closed"))
from gevent import monkey
monkey.patch_all()
time.sleep(0.01)  # gevent makes its hub here, and a signal in the middle of that breaks it
""",
        ends,
        env=UNMEASURED,
    )
    assert (lines.count("closed"), code) == (1, status)


@needs("gevent")
def test_a_hub_of_gevent_that_a_signal_has_broken_does_not_keep_the_process_alive(script):
    """It comes as gevent makes its hub: no greenlet runs then, and every wait raises at once."""
    _, status = script(
        """
        import os, signal, time
        import graceexit
        from gevent import hub, monkey

        hub.Hub.run = lambda self: os.kill(os.getpid(), signal.SIGTERM)
        graceexit.on_exit(lambda: None)
        monkey.patch_all()
        time.sleep(0.01)
        """,
        env=UNMEASURED,
    ).finish()
    assert status == -SIGTERM


@needs("ipykernel")
@pytest.mark.parametrize("how", ["shutdown", "SIGTERM"])
def test_ctrl_c_in_a_notebook_interrupts_a_cell_and_begins_no_exit(scenario, how):
    """The items run when the kernel ends, by its client or by a signal."""
    notebook = scenario("kernel", how, env=UNMEASURED)
    lines, status = notebook.finish()
    ours = ("Key", "exiting", "stopped", "closed", "status")
    assert [line for line in lines if line.startswith(ours)] == [
        *("exiting False alive True", "KeyboardInterrupt", "stopped", "closed"),
        *["status -15"] * (how == "SIGTERM"),
    ]
    assert status == 0


ENDLESS = """
import time
import graceexit

def test_endless():
    graceexit.on_exit(lambda: print("closed"))
    print("ready")
    while True:
        time.sleep(0.01)
"""


def test_ctrl_c_in_pytest_ends_the_session_as_ever(program, tmp_path):
    """It reports the interruption; then the items run, and its status is 2."""
    (tmp_path / "test_endless.py").write_text(ENDLESS)
    session = program(
        sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", cwd=tmp_path
    )
    lines, status = session.end_by(SIGINT)
    assert any("KeyboardInterrupt" in line for line in lines)
    assert steps(lines)[-1:] == ["closed"]
    assert status == 2


# What the program has done before.


@pytest.mark.parametrize(("ends", "status"), ENDS)
def test_exit_functions_that_somebody_has_cleared(ended, ends, status):
    """A test suite or a worker does so, and ours is among them."""
    cleared = (
        "import atexit, sys, time\nimport graceexit\n"
        "graceexit.on_exit(lambda: print('closed'))\n"
        "atexit._clear()\n"
    )
    lines, how = ended(cleared, ends)
    assert (steps(lines), how) == (["closed"], status)


def test_a_signal_while_jobs_are_given_to_a_pool_loses_none(script):
    """It may come between any two lines of `submit`."""
    feeding = script("""
        import threading, time
        from concurrent.futures import ThreadPoolExecutor
        import graceexit

        pool, room, given = ThreadPoolExecutor(4), threading.Semaphore(20), []

        def work():
            time.sleep(0.01)
            room.release()

        graceexit.on_exit(lambda: print(all(job.done() for job in given)))
        while True:
            room.acquire()
            given.append(pool.submit(work))
            if len(given) == 100:
                print("ready")
    """)
    lines, status = feeding.end_by(SIGTERM)
    assert (steps(lines), status) == (["True"], -SIGTERM)


def test_a_process_without_standard_streams(program, tmp_path):
    """A daemon that closes all descriptors still runs its items and dies of the signal."""
    source, result = tmp_path / "daemon.py", tmp_path / "result"
    source.write_text(
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "import graceexit\n"
        "graceexit.on_exit(lambda: Path(sys.argv[1]).write_text('closed'))\n"
        "graceexit.on_exit(lambda: print('to nobody'))\n"
        "graceexit.on_exit(lambda: 1 / 0)\n"
        "os.kill(os.getpid(), 15)\n"
        "while True:\n"
        "    time.sleep(0.01)\n"
    )
    closing = 'exec "$@" <&- >&- 2>&-'
    argv = "sh", "-c", closing, "sh", sys.executable, str(source), str(result)
    env = {"PYTHONFAULTHANDLER": None}  # it would need one of them
    assert program(*argv, env=env).finish() == ([], -SIGTERM)
    assert result.read_text() == "closed"


def test_items_of_a_zipapp_run_and_are_named_by_their_place_in_it(program, tmp_path):
    """Nothing is read from the archive at the exit that is not there."""
    package = Path(graceexit.__file__).parent
    source = tmp_path / "app"
    shutil.copytree(package, source / "graceexit", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "__main__.py").write_text(
        "import graceexit\n"
        "graceexit.on_exit(lambda: print('closed'))\n"
        "graceexit.on_exit(lambda: 1 / 0, name='broken')\n"
    )
    zipapp.create_archive(source, tmp_path / "app.pyz")
    lines, status = program(sys.executable, str(tmp_path / "app.pyz")).finish()
    failed, *_ = said(lines)
    where = f"{tmp_path}/app.pyz/__main__.py:3"
    assert failed == f"callback 'broken' ({where}) failed: ZeroDivisionError: division by zero"
    assert ("closed" in lines, status) == (True, 0)


FULL = """
    import builtins, resource, sys, threading, time
    import graceexit
    import graceexit._cpython

    def dawdle(kind, hide=graceexit._cpython.hide):
        hide(kind)
        time.sleep(0.2)

    class Lasting:
        def __del__(self, sleep=time.sleep):
            sleep(0.5)

    graceexit._cpython.hide = dawdle  # the items have run, and Python goes on to its end
    builtins.lasting = Lasting()  # which takes a while, and is deleted in any case
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    def close():
        print("closed")
        assert sys.argv[1] == "done"

    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    graceexit.register(thread, stop=stop)
    graceexit.on_exit(close)
    opened = []
    while True:
        opened.append(open("/dev/null"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this platform has no limit of descriptors")
@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_a_program_that_can_open_nothing_more_ends_as_ever(script, outcome):
    """Python up to 3.13 aborts if a thread comes back as it finalizes: glibc loads a library."""
    lines, status = script(FULL, outcome).finish()
    assert "closed" in lines
    assert not [line for line in lines if "libgcc" in line]
    assert status == 1


def test_timeouts_hold_where_a_test_has_stopped_the_clock(script):
    """All that runs at the exit may be imported while freezegun holds it."""
    need("freezegun")
    lines, status = script("""
        import threading
        from freezegun import freeze_time
        import graceexit

        with freeze_time("2020-01-01"):
            graceexit.on_exit(lambda: print("closed"))
            graceexit.on_exit(threading.Event().wait, timeout=0.2)
            print([one.outcome for one in graceexit.shutdown().results])
    """).finish()
    assert (own(lines), status) == (["closed", "['overran', 'done']"], 0)


def test_a_signal_is_answered_in_time_where_a_test_has_stopped_the_clock(script):
    """`linger` is over after its time."""
    need("freezegun")
    frozen = script("""
        import time
        from freezegun import freeze_time
        import graceexit

        with freeze_time("2020-01-01"):
            graceexit.install(linger=0.2)
            graceexit.on_exit(lambda: print("closed"))
            try:
                print("ready")
                while True:
                    time.sleep(0.01)
            finally:
                while True:
                    time.sleep(0.01)
    """)
    lines, status = frozen.end_by(SIGTERM)
    assert (own(lines), status) == (["closed"], -SIGTERM)


TRACED = """
    import sys, threading
    import graceexit

    traced = []

    def trace(frame, event, argument):
        if frame.f_code.co_filename == __file__:
            traced.append(frame.f_code.co_name)

    def work():
        flag.wait()

    def tell():
        flag.set()

    def close():
        pass

    getattr(threading, sys.argv[1])(trace)
    flag = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    graceexit.register(thread, stop=tell)
    graceexit.on_exit(close)
    graceexit.shutdown()
    print(sorted(set(traced)))
"""


@pytest.mark.parametrize("hook", ["settrace", "setprofile"])
def test_a_debugger_sees_items_as_it_sees_threads(script, hook):
    """Nor does coverage miss the lines of a callback."""
    lines, status = script(TRACED, hook).finish()
    assert (lines, status) == (["['close', 'tell', 'work']"], 0)
