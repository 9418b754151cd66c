"""The main thread leaves what would last for ever, and the process ends as it was to end."""

from __future__ import annotations

import sys
import threading
import time
from signal import SIGINT, SIGTERM
from types import FunctionType

import pytest
from harness import cut_off, needs_threads_at_the_end, said, steps
from pieces import exit_of
from wording import ON_SIGTERM, assert_one_says, own, place

from graceexit._ender import EXIT_FUNCTIONS, Leave
from graceexit._process import Process

OLD_JOIN = sys.version_info < (3, 13)  # `threading._shutdown` waits for locks, in Python


HELD = """
        import signal, sys, threading, time
        import graceexit

        def hold(*_):
            while True:
                try:  # around the print too, in which the next one may come
                    while True:
                        try:
                            time.sleep(60)
                        except BaseException:
                            print("held")
                except BaseException:
                    pass

        graceexit.install(linger=0.5)
        graceexit.on_exit(lambda: print("closed"))
"""


def test_a_main_thread_that_a_hook_holds_after_a_signal_is_left_behind(script):
    """Without graceexit the signal would have ended the process."""
    held = script(
        HELD
        + """
        threading._register_atexit(hold)
        print("ready")
        while True:
            time.sleep(0.01)
        """
    )
    lines, status = held.end_by(SIGTERM)
    lines, cut = cut_off(lines)
    assert ({*steps(lines)}, cut) == ({"closed", "held"}, ["main thread"])
    assert lines.count("closed") == 1
    assert status == -SIGTERM


@pytest.mark.skipif(OLD_JOIN, reason="about how Python joins threads from 3.13 on")
def test_a_main_thread_that_does_not_react_in_a_second_is_left(script):
    """It is to leave the join of a stuck thread, and a handler there lets no exception through."""
    lines, status = script(
        HELD
        + """
        thread = threading.Thread(target=time.sleep, args=[60])
        thread.start()
        graceexit.register(thread, stop=threading.Event(), timeout=0.1)
        signal.signal(signal.SIGUSR1, hold)
        main = threading.main_thread().ident
        graceexit.on_exit(lambda: signal.pthread_kill(main, signal.SIGUSR1))
        """
    ).finish()
    assert "closed" in lines
    assert "held" in lines
    assert status == 1


@needs_threads_at_the_end("an item that hangs keeps the process")
@pytest.mark.parametrize(("ends", "status"), [("end", 1), ("signal", -SIGTERM)])
def test_exit_functions_that_hang_get_five_seconds_once_an_item_was_left_behind(
    script, ends, status
):
    """They may wait for what the item holds."""
    began = time.monotonic()
    hanging = script(
        """
        import atexit, sys, threading, time
        import graceexit

        held = threading.Lock()
        atexit.register(held.acquire)

        @graceexit.on_exit(timeout=0.1)
        def hold():
            held.acquire()
            print("holding")
            time.sleep(60)

        print("ready")
        while sys.argv[1] == "signal":
            time.sleep(0.01)
        """,
        ends,
    )
    hanging.wait_for("ready")
    if ends == "signal":
        hanging.send(SIGTERM)
    hanging.wait_for("holding")
    _, ended = hanging.finish()
    assert ended == status
    assert time.monotonic() - began > EXIT_FUNCTIONS


def test_exit_functions_that_hang_after_a_signal_get_five_seconds(script):
    """Without graceexit they would not have run; nothing has to be left behind for that."""
    hanging = script("""
        import atexit, time
        import graceexit
        from graceexit import _ender

        _ender.EXIT_FUNCTIONS = 0.1
        atexit.register(lambda: (print("exit function"), time.sleep(3600)))
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = hanging.end_by(SIGTERM)
    assert (own(lines), status) == (["closed", "exit function"], -SIGTERM)
    said = "exit functions have not returned within 0.1 s"
    assert_one_says(lines, ON_SIGTERM, said, place("<lambda>"))


def test_exit_functions_of_a_program_that_ends_by_itself_have_no_limit(script):
    """Nothing was left behind, and nobody has asked for its end."""
    lines, status = script("""
        import atexit, time
        import graceexit
        from graceexit import _ender

        _ender.EXIT_FUNCTIONS = 0.1
        atexit.register(lambda: (time.sleep(0.5), print("exit function")))
        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    assert (steps(lines), status) == (["closed", "exit function"], 0)


@needs_threads_at_the_end("Python joins the threads first")
def test_a_thread_that_was_left_behind_takes_no_other_with_it(script):
    """A job that nobody has registered is finished, for the signal was not ours."""
    working = script("""
        import signal, sys, threading, time
        import graceexit

        closed = threading.Event()

        def job():
            closed.wait()
            time.sleep(0.5)
            graceexit.on_exit(lambda: print("registered late"))
            print("the job is done")

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
        graceexit.install(linger=0.2)
        graceexit.on_exit(lambda: (print("closed"), closed.set()))
        stuck = threading.Thread(target=time.sleep, args=[3600])
        stuck.start()
        graceexit.register(stuck, stop=threading.Event(), timeout=0.1)
        threading.Thread(target=job).start()
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = working.end_by(SIGTERM)
    ours = [line for line in lines if line.startswith(("closed", "the job", "registered"))]
    assert (ours, status) == (["closed", "the job is done", "registered late"], 4)


def test_a_death_is_not_kept_off_by_what_is_raised_beside_the_exit_functions(script):
    """A handler of somebody else may raise at any instant."""
    dying = script("""
        import atexit, time
        import graceexit

        def interrupted():
            raise KeyboardInterrupt

        atexit._run_exitfuncs = interrupted
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = dying.end_by(SIGTERM)
    assert (steps(lines), status) == (["closed"], -SIGTERM)


@needs_threads_at_the_end("nothing runs beside the main thread")
def test_a_lock_of_the_imports_that_is_never_released_does_not_keep_the_process_alive(script):
    """A handler that raises in the middle of an import leaves it so; nobody else can import."""
    importing = script("""
        import _imp, time
        import graceexit

        graceexit.install(linger=0.2)
        graceexit.on_exit(lambda: print("closed"))
        graceexit.on_exit(lambda: 1 / 0, name="broken")
        _imp.acquire_lock()
        try:
            print("ready")
            while True:
                time.sleep(0.01)
        except SystemExit:
            print("swallowed")
        while True:
            time.sleep(0.01)
    """)
    lines, status = importing.end_by(SIGTERM)
    assert "swallowed" in lines
    assert "closed" in lines
    assert any(
        line.startswith("callback 'broken' ") and " failed: " in line for line in said(lines)
    )
    assert status == -SIGTERM


@needs_threads_at_the_end("a stuck thread keeps the process")
def test_what_others_leave_to_the_unraisable_hook_is_still_printed(script):
    """Only the exception by which the main thread leaves the join is kept quiet."""
    lines, status = script("""
        import atexit, threading, time
        import graceexit

        class Broken:
            def __del__(self):
                raise ValueError("in a finalizer")

        atexit.register(lambda: Broken() and None)
        thread = threading.Thread(target=time.sleep, args=[60])
        thread.start()
        graceexit.register(thread, stop=threading.Event(), timeout=0.1)
    """).finish()
    assert "ValueError: in a finalizer" in lines
    assert not any("Leave" in line for line in lines)
    assert status == 0


@pytest.mark.parametrize(
    "breakage",
    [
        "sys.stdout = sys.stderr = None",
        "sys.stdout = sys.stderr = None; graceexit.install(grace=60)",
        "sys.stdout.close()",
        "os.close(2)",
        "os.close(2); graceexit.install(grace=60)",
        "os.close(1), os.close(2)",
    ],
)
def test_streams_that_are_gone_do_not_keep_the_process_from_its_death(script, breakage, tmp_path):
    """What cannot be said is not said, and items run."""
    broken = script(
        f"""
        import os, sys, time
        import graceexit

        @graceexit.on_exit
        def close():
            open("closed", "w").close()
            raise ValueError("nobody hears of it")

        output = os.dup(1)
        {breakage}
        os.write(output, b"ready\\n")
        while True:
            time.sleep(0.01)
        """
    )
    _, status = broken.end_by(SIGTERM)
    assert status == -SIGTERM
    assert (tmp_path / "closed").exists()


def test_what_was_printed_goes_out_whatever_stands_in_for_a_stream(script):
    """The usual one that writes to a file too has a `flush` that does nothing."""
    lines, status = script(
        """
        import os, signal, sys
        import graceexit

        class Tee:
            def __init__(self, stream):
                self.write, self.flush = stream.write, lambda: None

        sys.stdout, sys.stderr = Tee(sys.stdout), Tee(sys.stderr)
        graceexit.on_exit(lambda: print("closed"))
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            print("unwinds")
        """,
        env={"PYTHONUNBUFFERED": None},
    ).finish()
    assert (steps(lines), status) == (["unwinds", "closed"], -SIGTERM)


def test_the_main_thread_leaves_the_join_and_nothing_else():
    """Neither the hook, nor the exit functions; and nothing before it is asked to."""
    ending = exit_of(Process())

    def _shutdown(frame):
        ending.ender.leave(0, frame(), None)

    # As a function of threading's, such as that which joins.
    join = FunctionType(_shutdown.__code__, vars(threading), closure=_shutdown.__closure__)
    join(sys._getframe)
    ending.ender.phase = "leaving"
    ending.ender.reach(1)
    ending.ender.leave(0, sys._getframe(), None)
    with pytest.raises(Leave):
        join(sys._getframe)


def test_streams_that_are_gone_are_passed_over(monkeypatch, capfd):
    """A program under `pythonw` has none."""
    monkeypatch.setattr(sys, "stdout", None)
    exit_of(Process()).story.last_words("said all the same\n")
    assert capfd.readouterr().err == "said all the same\n"


def test_what_items_need_after_ctrl_c_does_not_change_the_status(script):
    """
    Neither a traceback nor the loop of an async callback is imported at the exit.

    Python forgets that it has to die of SIGINT when a module with a namedtuple is imported then.
    """
    interrupted = script("""
        import time
        import graceexit

        graceexit.on_exit(lambda: 1 / 0, name="broken")

        @graceexit.on_exit
        async def leave():
            print("left")

        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = interrupted.end_by(SIGINT)
    assert "left" in lines
    assert any(
        line.startswith("callback 'broken' ") and " failed: " in line for line in said(lines)
    )
    assert status == -SIGINT


@pytest.mark.parametrize("ends", ["end", "SIGTERM", "shutdown", "raise_signal"])
@pytest.mark.parametrize("who", ["callback", "thread"])
def test_what_has_failed_keeps_nothing_open(script, tmp_path, who, ends):
    """What it had written is in its file, as it is without graceexit."""
    worker = script(
        """
        import os, signal, sys, threading, time
        import graceexit

        def write():
            rows = open("rows", "w")
            rows.write("row")
            if sys.argv[1] == "thread":
                stop.wait()
            raise ConnectionError("gone")

        stop = threading.Event()
        if sys.argv[1] == "thread":
            thread = threading.Thread(target=write)
            thread.start()
            graceexit.register(thread, stop=stop)
        else:
            graceexit.on_exit(write)
        print("ready")
        while sys.argv[2] == "SIGTERM":
            time.sleep(0.01)
        if sys.argv[2] == "shutdown":
            report = graceexit.shutdown()
            os._exit(len(report.results) - 1)
        if sys.argv[2] == "raise_signal":
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        """,
        who,
        ends,
    )
    worker.wait_for("ready")
    if ends == "SIGTERM":
        worker.send(SIGTERM)
    _, status = worker.finish()
    assert status == (-SIGTERM if ends in {"SIGTERM", "raise_signal"} else 0)
    assert next(tmp_path.rglob("rows")).read_text(encoding="utf-8") == "row"


@needs_threads_at_the_end("the stuck thread keeps the process")
def test_a_program_that_blocks_all_signals_leaves_its_join_too(script):
    """As one does that takes them by `sigwait`; exit functions run, and the status is its own."""
    lines, status = script("""
        import atexit, signal, sys, threading, time
        import graceexit

        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        stuck = threading.Thread(target=lambda: time.sleep(3600))
        stuck.start()
        graceexit.register(stuck, stop=threading.Event(), timeout=0.2)
        atexit.register(lambda: print("exit function"))
        sys.exit(3)
    """).finish()
    assert (own(lines), status) == (["exit function"], 3)
