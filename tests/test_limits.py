"""What docs/limits.md says of programs that wait in C, are replaced, take signals, or leave."""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest
from harness import cut_off, needs_threads_at_the_end, steps
from serving import need
from wording import own

TERM = signal.SIGTERM

# Loops in C. With "timer" there is a bit of Python now and then, with "event" once, after 2 s.
LOOPS = {
    "tkinter": """
        import sys
        import time
        import tkinter
        import graceexit

        event = time.monotonic() + (1.5 if "event" in sys.argv else 0)
        graceexit.on_exit(lambda: print("closed", time.monotonic() >= event))
        interpreter = tkinter.Tcl()  # as Tk, without a window

        def beat():
            interpreter.tk.createtimerhandler(100, beat)

        interpreter.tk.createtimerhandler(1, lambda: print("ready"))
        if "timer" in sys.argv:
            beat()
        if "event" in sys.argv:
            interpreter.tk.createtimerhandler(2000, lambda: None)
        interpreter.mainloop(-1)
    """,
    "PySide6": """
        import sys
        import time
        import graceexit
        from PySide6.QtCore import QCoreApplication, QTimer

        event = time.monotonic() + (1.5 if "event" in sys.argv else 0)
        graceexit.on_exit(lambda: print("closed", time.monotonic() >= event))
        app = QCoreApplication()
        timer = QTimer()
        timer.timeout.connect(lambda: None)
        if "timer" in sys.argv:
            timer.start(100)
        QTimer.singleShot(1, lambda: print("ready"))
        if "event" in sys.argv:
            QTimer.singleShot(2000, lambda: None)
        app.exec()
    """,
}


@pytest.mark.parametrize("notices", ["timer", "event"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_in_c_notices_a_signal_when_it_next_calls_python(script, loop, notices):
    """A timer sees to that; without one it may be long until there is an event."""
    need(loop)
    running = script(LOOPS[loop], notices)
    running.wait_for("ready")
    running.settle()
    running.send(TERM)
    lines, status = running.finish()
    assert (steps(lines), status) == (["closed True"], -TERM)


@pytest.mark.parametrize(("before", "closed"), [("", []), ("graceexit.shutdown()", ["closed"])])
def test_a_program_that_is_replaced_runs_its_items_by_shutdown(script, before, closed):
    """`os.execv` asks nobody."""
    running = script(f"""
        import os
        import sys
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        {before}
        os.execv(sys.executable, [sys.executable, "-c", "print('the next program')"])
    """)
    assert running.finish() == ([*closed, "the next program"], 0)


def test_a_signal_that_sigwait_takes_is_not_noticed(script):
    """The items run as the program comes to its end, and `exiting` is set no sooner."""
    running = script("""
        import signal
        import graceexit

        @graceexit.on_exit
        def close():
            print("closed", graceexit.exiting.is_set(), graceexit.exiting.signum)

        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        print("ready")
        print(signal.sigwait([signal.SIGTERM]) == signal.SIGTERM, graceexit.exiting.is_set())
    """)
    lines, status = running.end_by(TERM)
    assert (steps(lines), status) == (["True False", "closed True None"], 0)


DAEMON = """
    import os
    import sys
    import time
    import graceexit

    def register():
        graceexit.on_exit(lambda: print("closed"))

    if sys.argv[1] == "before":
        register()
    for _ in range(2):  # a daemon calls os.setsid() between them
        if os.fork():
            os._exit(0)
    if sys.argv[1] == "after":
        register()
    print("daemon", os.getpid())
    while True:
        time.sleep(0.01)
"""


@pytest.mark.parametrize(("when", "closed"), [("before", []), ("after", ["closed"])])
def test_a_daemon_registers_after_its_forks(script, when, closed):
    """What was registered before belongs to a process that is gone."""
    running = script(DAEMON, when)
    daemon = int(running.wait_for(re.compile("^daemon ")).split()[1])
    os.kill(daemon, TERM)
    lines, status = running.finish()
    assert (steps(lines), status) == (closed, 0)


def test_a_signal_of_one_s_own_choice_ends_the_program(script):
    """SIGHUP does what SIGTERM does, if it is asked for."""
    running = script("""
        import signal
        import time
        import graceexit

        graceexit.install(signals=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = running.end_by(signal.SIGHUP)
    assert (steps(lines), status) == (["closed"], -signal.SIGHUP)


@pytest.mark.parametrize(
    ("sends", "closed"),
    [("os.kill(os.getpid(), signum)", []), ("signal.raise_signal(signum)", ["closed"])],
)
def test_a_handler_that_sends_the_signal_again_ends_the_process_by_os_kill(script, sends, closed):
    """With the default action set before; that of coverage is such a handler."""
    running = script(f"""
        import os, signal, time
        import graceexit

        def terminated(signum, frame):
            signal.signal(signum, signal.SIG_DFL)
            {sends}

        signal.signal(signal.SIGTERM, terminated)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = running.end_by(TERM)
    assert (steps(lines), status) == (closed, -TERM)


@pytest.mark.parametrize(
    ("handles", "written"),
    [("graceexit.on_exit(int)", ""), ("signal.signal(15, lambda *_: sys.exit(143))", "row")],
)
def test_a_file_that_a_module_keeps_open_is_not_flushed_by_a_death(
    script, tmp_path, handles, written
):
    """The interpreter does it at its own end, to which a handler with `sys.exit` comes."""
    running = script(f"""
        import signal, sys, time
        import graceexit

        {handles}
        rows = open("rows", "w")
        rows.write("row")
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    running.end_by(TERM)
    assert next(tmp_path.rglob("rows")).read_text(encoding="utf-8") == written


@pytest.mark.parametrize(
    ("runs", "ends"),
    [
        ("subprocess.run(child)", []),
        ("with graceexit.hold(): subprocess.run(child)", ["child ends"]),
    ],
)
def test_subprocess_run_kills_its_child_when_it_is_unwound(script, runs, ends):
    """As Python does it for any exception; the signal comes to the whole group."""
    running = script(f"""
        import subprocess, sys, time
        import graceexit

        child = [sys.executable, "-c", '''if True:
            import signal, time
            def end(*_):
                time.sleep(0.3)
                print("child ends", flush=True)
                raise SystemExit
            signal.signal(signal.SIGTERM, end)
            print("ready", flush=True)
            time.sleep(60)
        ''']
        graceexit.on_exit(lambda: print("closed"))
        {runs}
    """)
    running.wait_for("ready")
    running.send_group(TERM)
    lines, status = running.finish()
    assert (steps(lines), status) == ([*ends, "closed"], -TERM)


@needs_threads_at_the_end("items run on the main thread")
def test_a_callback_sees_nothing_of_the_threads_own_of_the_main_thread(script):
    """It runs on a thread of its own."""
    lines, status = script("""
        import contextvars, threading
        import graceexit

        var, local = contextvars.ContextVar("var", default="other"), threading.local()
        var.set("main")
        local.session = "main"
        graceexit.on_exit(lambda: print(var.get(), hasattr(local, "session")))
    """).finish()
    assert (steps(lines), status) == (["other False"], 0)


@pytest.mark.parametrize(("signum", "stacks"), [("SIGTERM", 0), ("SIGUSR1", 1)])
def test_faulthandler_prints_nothing_for_a_signal_that_is_handled(script, signum, stacks):
    """Another signal is its own."""
    running = script(f"""
        import faulthandler, signal, sys, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        faulthandler.register(signal.{signum}, file=sys.stdout, chain={not stacks})
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    running.wait_for("ready")
    running.send(getattr(signal, signum))
    if stacks:
        running.wait_for(re.compile("most recent call first"))
        running.send(TERM)
    lines, status = running.finish()
    assert (sum("most recent call" in line for line in lines), status) == (0, -TERM)


NESTED = {
    "loop.run_until_complete": ("loop.run_until_complete(main())", []),
    "asyncio.run": ("asyncio.run(main())", ["unwound"]),
}


@pytest.mark.parametrize(("runs", "unwinds"), NESTED.values(), ids=NESTED)
def test_nest_asyncio_unwinds_the_main_task_in_asyncio_run_alone(script, runs, unwinds):
    """Its loop has left the main task behind when the exit comes out of it."""
    need("nest_asyncio")
    running = script(f"""
        import asyncio
        import graceexit
        import nest_asyncio

        async def main():
            try:
                print("ready")
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(0)
                print("unwound")

        graceexit.on_exit(lambda: print("closed"))
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        nest_asyncio.apply(loop)
        {runs}
    """)
    running.wait_for("ready")
    running.settle()  # within the task it is raised there
    running.send(TERM)
    lines, status = running.finish()
    assert (steps(lines), status) == ([*unwinds, "closed"], -TERM)


def test_a_registered_thread_that_calls_shutdown_waits_for_itself(script):
    """It is told to stop, and cannot end before the call has returned."""
    lines, status = script("""
        import threading
        import graceexit

        def work():
            print(graceexit.shutdown().results[0].outcome)

        thread = threading.Thread(target=work)
        graceexit.register(thread, stop=lambda: print("told"), timeout=0.3)
        thread.start()
        thread.join()
    """).finish()
    assert (own(lines), status) == (["told", "overran"], 0)


@needs_threads_at_the_end("Python does not fork then either")
def test_a_callback_that_forks_is_warned_of_threads_from_3_12_on(script):
    """The fork itself works."""
    lines, status = script("""
        import os, sys, warnings
        import graceexit

        @graceexit.on_exit
        def fork():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                child = os.fork()
                if not child:
                    os._exit(7)
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), len(caught) == (sys.version_info >= (3, 12)))
    """).finish()
    assert (steps(lines), status) == (["7 True"], 0)


def test_a_function_that_sqlite3_calls_is_not_left(script):
    """What is raised in it comes to nobody; `linger` is what remains."""
    lines, status = script("""
        import os, signal, sqlite3, time
        import graceexit

        graceexit.install(linger=0.2)
        graceexit.on_exit(lambda: print("closed"))
        database = sqlite3.connect(":memory:")
        database.create_function("send", 0, lambda: os.kill(os.getpid(), signal.SIGTERM))
        try:
            database.execute("select send()")
        except sqlite3.OperationalError:
            print("an error of sqlite3")
        while True:
            time.sleep(0.01)
    """).finish()
    lines, cut = cut_off(lines)
    assert (steps(lines), cut) == (["an error of sqlite3", "closed"], ["main thread"])
    assert status == -TERM


@pytest.mark.parametrize("opens", ["shelve.open('shelf')", "shelve.Shelf(dbm.dumb.open('shelf'))"])
def test_a_shelf_is_closed_by_its_own_thread_from_3_13_on(script, opens):
    """That of sqlite3 is the default there; the one of plain files belongs to no thread."""
    lines, status = script(f"""
        import dbm.dumb, shelve
        import graceexit

        shelf = {opens}
        shelf["row"] = 1
        graceexit.on_exit(shelf.close)
    """).finish()
    refused = [
        line for line in lines if "created in a thread can only be used in that same" in line
    ]
    assert bool(refused) == (sys.version_info >= (3, 13) and "dumb" not in opens)
    assert status == 0


def test_a_manager_may_be_gone_before_the_items_run(script):
    """A signal to the group is for its process too."""
    running = script("""
        import multiprocessing, time
        import graceexit

        if __name__ == "__main__":
            manager = multiprocessing.Manager()
            rows = manager.list()

            @graceexit.on_exit
            def read():
                manager._process.join()
                print("rows", len(rows))

            print("ready")
            while True:
                time.sleep(0.01)
    """)
    running.wait_for("ready")
    running.send_group(TERM)
    lines, status = running.finish()
    assert any("callback 'read'" in line and " failed: " in line for line in lines)
    assert status == -TERM


# What an item finds that the signal has cut.
HALF_DONE = {
    "a lock": (
        """
        graceexit.on_exit(lambda: print(lock.acquire(timeout=0.2)))
        lock.acquire()
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            time.sleep(60)
        finally:
            lock.release()
        """,
        "False",
    ),
    "a lock, and Ctrl-C": (
        """
        class Taking:
            def __enter__(self):
                lock.acquire()
                os.kill(os.getpid(), signal.SIGINT)

            def __exit__(self, *_):
                lock.release()

        graceexit.on_exit(lambda: print(lock.acquire(timeout=0.2)))
        with Taking():
            time.sleep(60)
        """,
        "False",
    ),
    "a message": (
        """
        @graceexit.on_exit
        def reads():
            os.write(writer.fileno(), struct.pack("!i", 2) + b"is")
            print(reader.recv_bytes().decode())

        def sends():
            while select.select([reader], [], [], 0)[0]:
                time.sleep(0.01)  # until the main thread has read what there is
            os.kill(os.getpid(), signal.SIGTERM)

        reader, writer = multiprocessing.Pipe(duplex=False)
        os.write(writer.fileno(), struct.pack("!i", 10) + b"this")
        threading.Thread(target=sends).start()
        reader.recv_bytes()
        """,
        "is",
    ),
}


@pytest.mark.parametrize("what", HALF_DONE)
def test_what_the_main_thread_has_half_done_stays_so(script, what):
    """`hold` is for that."""
    program, finds = HALF_DONE[what]
    lines, status = script(f"""
        import multiprocessing, os, select, signal, struct, sys, threading, time
        import graceexit

        sys.excepthook = lambda *_: None
        lock = threading.Lock()
        {program.strip()}
    """).finish()
    assert (steps(lines), -status) == ([finds], signal.SIGINT if "Ctrl-C" in what else TERM)


@pytest.mark.skipif(sys.platform != "linux", reason="knows how much a pipe of Linux holds")
def test_a_file_that_is_closed_by_its_last_reference_may_lose_the_signal(script):
    """Up to Python 3.12 the error of such a close is cleared, and nobody is told of it."""
    lines, status = script("""
        import fcntl, os, select, signal, struct, termios, threading, time
        import graceexit

        def sends():
            while struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))[0] < 65536:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)  # the main thread is in the write
            graceexit.exiting.wait()
            while select.select([reader], [], [], 0.1)[0]:
                os.read(reader, 1 << 20)

        graceexit.install(linger=1)
        graceexit.on_exit(lambda: print("closed"))
        reader, writer = os.pipe()
        threading.Thread(target=sends, daemon=True).start()
        os.write(writer, bytes(65536 - 4096))
        open(writer, "w").write("text" * 2000)  # which is written as it is closed
        while True:
            time.sleep(0.01)
    """).finish()
    lines, cut = cut_off(lines)
    assert (steps(lines), status) == (["closed"], -TERM)
    assert cut == ["main thread"] * (sys.version_info < (3, 13))
