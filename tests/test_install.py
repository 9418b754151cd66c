"""What `install` puts in place, where it keeps its hands off, and how all of it is taken back."""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest
from harness import (
    INLINE,
    NO_THREADS_AT_THE_END,
    UNMEASURED,
    WHY,
    needs_threads_at_the_end,
    said,
    steps,
    without,
)

import graceexit
from graceexit import _process
from graceexit._executors import Executors

SIGTERM = signal.SIGTERM


def test_importing_it_installs_nothing_and_imports_next_to_nothing(script):
    """Handlers, threads and descriptors stay as they were, and so do the modules."""
    show = script(
        """
        import atexit, os, signal, sys, threading

        def state():
            handlers = [signal.getsignal(signum) for signum in signal.valid_signals()]
            return handlers, signal.raise_signal, threading.active_count(), os.listdir("/dev/fd")

        modules, before = set(sys.modules), state()
        import graceexit
        print([name for name in set(sys.modules) - modules if "graceexit" not in name])
        print(state() == before, sys.unraisablehook is sys.__unraisablehook__)
        """,
    )
    assert show.finish() == (["[]", "True True"], 0)


def test_at_rest_there_is_no_thread_no_descriptor_no_timer_and_no_wake_up(script):
    """What is registered waits in a dict; the process sleeps as it did."""
    show = script(
        """
        import os, signal, sys, threading
        import graceexit, faulthandler

        def state():
            tasks = os.listdir("/proc/self/task") if os.path.exists("/proc/self/task") else []
            timer = [signal.getitimer(which) for which in range(3)]
            wakeup = signal.set_wakeup_fd(-1)
            return threading.active_count(), len(tasks), os.listdir("/dev/fd"), timer, wakeup

        before = state()
        graceexit.on_exit(lambda: print("closed"))
        graceexit.install()
        print(state() == before)
        """
    )
    lines, status = show.finish()
    assert (steps(lines), status) == (["True", "closed"], 0)


@pytest.mark.field(kind="a first registration by a thread")
def test_off_the_main_thread_the_hooks_are_installed_and_the_handlers_left_out(script):
    """Items run at the end, which says what was missed; a signal kills as it would have."""
    source = """
        import sys, threading, time
        import graceexit

        install = threading.Thread(target=graceexit.on_exit, args=[lambda: print("closed")])
        install.start()
        install.join()
        print("ready")
        while sys.argv[1:]:
            time.sleep(0.01)
        """
    lines, status = script(source).finish()
    assert said(steps(lines)) == [
        (
            "no handler could be set, so that a signal would have run nothing: the first"
            " registration, or install(), has to come on the main thread"
        )
    ]
    assert [line for line in lines if not re.match(WHY, line)] == ["ready", "closed"]
    assert status == 0
    terminated = script(source, "waits")
    assert terminated.end_by(SIGTERM) == ([], -SIGTERM)


def test_an_ignored_signal_stays_ignored_and_ctrl_c_stays_pythons(script):
    """Somebody wants it so; asyncio looks for exactly `default_int_handler`."""
    ignoring = script(
        """
        import asyncio, os, signal, sys
        import graceexit

        sys.excepthook = lambda kind, *_: print(kind.__name__)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        graceexit.on_exit(lambda: print("closed"))
        os.kill(os.getpid(), signal.SIGTERM)
        print(signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

        async def main():
            print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
            os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("cancelled")
                raise

        asyncio.run(main())
        """
    )
    ignoring.wait_for("True")
    ignoring.wait_for("True")
    lines, status = ignoring.finish()
    own_handler = sys.version_info >= (3, 11)  # asyncio's, since then
    cancelled = ["cancelled"] if own_handler else []
    assert steps(lines) == [str(not own_handler), *cancelled, "KeyboardInterrupt", "closed"]
    assert status == -signal.SIGINT


@pytest.mark.parametrize(
    ("handler", "status"), [("sys.exit(4)", 4), ("ending.append(1)", 0), ("1 / 0", 1)]
)
@pytest.mark.parametrize("when", ["before", "after", "after, then install"])
def test_a_handler_of_the_program_is_called_and_decides_how_to_end(script, when, handler, status):
    """Whatever it raises goes through; graceexit in front of it notes the signal first."""
    running = script(
        f"""
        import signal, sys, time
        import graceexit

        ending = []

        def handler(signum, frame):
            print("handled", graceexit.exiting.signum)
            {handler}

        when = sys.argv[1]
        sys.excepthook = lambda kind, *_: print(kind.__name__)
        if when == "before":
            signal.signal(signal.SIGTERM, handler)
        graceexit.on_exit(lambda: print("closed"))
        if when != "before":
            signal.signal(signal.SIGTERM, handler)
        if when == "after, then install":
            graceexit.install()
        print("ready")
        while not ending:
            time.sleep(0.01)
        """,
        when,
    )
    lines, ended = running.end_by(SIGTERM)
    noted = "None" if when == "after" else "15"
    raised = ["ZeroDivisionError"] if status == 1 else []
    assert (steps(lines), ended) == ([f"handled {noted}", *raised, "closed"], status)


def test_a_handler_of_the_program_is_called_while_the_main_thread_waits_for_a_lock(script):
    """A system call is interrupted as it is without graceexit, so that Python can call it."""
    waiting = script("""
        import signal, sys, threading
        import graceexit

        def handler(signum, frame):
            sys.exit(4)

        signal.signal(signal.SIGTERM, handler)
        graceexit.on_exit(lambda: print("closed"))
        threading.Timer(0.5, signal.pthread_kill, [threading.get_ident(), signal.SIGTERM]).start()
        threading.Event().wait()
    """)
    lines, status = waiting.finish()
    assert (steps(lines), status) == (["closed"], 4)


def test_only_the_signals_given_are_handled_and_one_no_longer_given_is_given_back(script):
    """The process dies of a signal that it was told about, after its items."""
    source = """
        import signal, sys, time
        import graceexit

        graceexit.install(signals=(signal.SIGHUP, signal.SIGTERM))
        graceexit.install(signals=[signal.SIGHUP])
        graceexit.on_exit(lambda: print("closed"))
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        print("ready")
        while True:
            time.sleep(0.01)
        """
    for signum, expected in ((signal.SIGHUP, ["closed"]), (SIGTERM, [])):
        running = script(source)
        running.wait_for("True")
        lines, status = running.end_by(signum)
        assert (steps(lines), status) == (expected, -signum)


def test_each_install_applies_what_it_is_given_and_keeps_the_rest(script):
    """None takes a limit away; what was never given is what the environment or the default says."""
    lines, status = script(
        """
        import signal
        import graceexit
        from graceexit._process import own

        for arguments in ({}, {"grace": 7}, {"linger": 3}, {"signals": [signal.SIGHUP]}, {},
                          {"grace": None}):
            graceexit.install(**arguments)
            print(own.settings.grace, own.settings.linger, *map(int, own.handlers.signals))
        graceexit.uninstall()
        graceexit.install()
        print(own.settings.grace, own.settings.linger, *map(int, own.handlers.signals))
        """,
        env={"GRACEEXIT_GRACE": " 60 "},
    ).finish()
    assert lines == [
        *("60.0 5.0 15 2", "7.0 5.0 15 2", "7.0 3.0 15 2", "7.0 3.0 1", "7.0 3.0 1"),
        *("None 3.0 1", "60.0 5.0 15 2"),
    ]
    assert status == 0


@pytest.mark.parametrize("grace", [None, "60"])
def test_nothing_is_imported_at_the_exit(script, grace):
    """By then a file may have been replaced, and an import may hang or change the status."""
    lines, status = script(
        """
        import sys
        import graceexit

        @graceexit.on_exit
        def show():
            print(sorted(set(sys.modules) - before))

        graceexit.on_exit(lambda: 1 / 0)
        print("faulthandler" in sys.modules)
        before = set(sys.modules)
        """,
        env={"GRACEEXIT_GRACE": grace},
    ).finish()
    assert lines[0] == "True"  # what a death from another thread needs
    assert "[]" in lines
    assert not any("exit begins" in line for line in lines)  # INFO is for whoever uses logging
    assert status == 0


def test_exiting_is_set_when_the_exit_begins(script):
    """Whoever works on in a thread can see it; no signal was noticed."""
    lines, status = script("""
        import graceexit

        @graceexit.on_exit
        def show():
            print(graceexit.exiting.is_set(), graceexit.exiting.signum)

        print(graceexit.exiting.is_set())
    """).finish()
    assert (steps(lines), status) == (["False", "True None"], 0)


@pytest.mark.parametrize("installed", [True, False])
def test_what_a_thread_registers_after_the_main_thread_has_ended_is_run(script, installed):
    """Even if it is the first registration of all."""
    lines, status = script(
        """
        import sys, threading, time
        import graceexit

        def register():
            while not ended.is_set():
                time.sleep(0.01)
            graceexit.on_exit(lambda: print("closed"))

        ended = threading.Event()
        threading._register_atexit(ended.set)
        if sys.argv[1] == "True":
            graceexit.install()
        threading.Thread(target=register).start()
        """,
        installed,
    ).finish()
    assert (steps(lines), status) == (["closed"], 0)


@needs_threads_at_the_end("nobody could stop the thread")
@pytest.mark.parametrize("ends", [True, False])
def test_a_thread_that_is_registered_after_the_main_thread_has_ended_is_stopped(script, ends):
    """Though there was nothing to be run when the exit began; one that is stuck is left behind."""
    lines, status = script(
        """
        import sys, threading, time
        import graceexit

        def register():
            while not ended.is_set():
                time.sleep(0.01)
            graceexit.register(threading.current_thread(), stop=stop, timeout=0.5)
            stop.wait()
            print("stopped")
            while sys.argv[1] == "False":
                time.sleep(0.01)

        ended, stop = threading.Event(), threading.Event()
        threading._register_atexit(ended.set)
        graceexit.install()
        threading.Thread(target=register).start()
        """,
        ends,
    ).finish()
    assert (lines[0], status) == ("stopped", 0)
    named = [
        line for line in said(lines) if " did not end within timeout=0.5 s after its st" in line
    ]
    assert len(named) == len(said(lines)) == (0 if ends else 1)


UNINSTALL = """
    import signal, sys, time
    import graceexit

    def state():
        return [signal.getsignal(s) for s in signal.valid_signals()], signal.raise_signal

    then, before = sys.argv[1], state()
    graceexit.on_exit(lambda: print("closed"))
    installed = state()
    graceexit.install()
    print(state() == installed != before)
    if then == "from behind":
        ours = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *args: (print("in front"), ours(*args), sys.exit(4)))
    graceexit.uninstall()
    graceexit.uninstall()
    print(state() == before)
    if then == "anew":
        graceexit.on_exit(lambda: print("closed too"))
    print("ready")
    while then != "end":
        time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("then", "put_back", "expected", "status"),
    [
        ("end", True, [], 0),
        ("signal", True, [], -SIGTERM),
        ("anew", True, ["closed too", "closed"], -SIGTERM),
        ("from behind", False, ["in front"], 4),
    ],
)
def test_uninstall_puts_everything_back_until_the_next_register(
    script, then, put_back, expected, status
):
    """Items stay registered; a handler of ours that another one calls returns, and does nothing."""
    running = script(UNINSTALL, then)
    running.wait_for("ready")
    assert running.lines == ["True", str(put_back), "ready"]
    if then != "end":
        running.send(SIGTERM)
    lines, ended = running.finish()
    assert (steps(lines), ended) == (expected, status)


def test_hooks_are_put_in_place_once_however_often_it_is_installed(script):
    """Those of a fork cannot be taken out again, nor can an exit function be where it is."""
    lines, status = script("""
        import atexit
        import graceexit

        counts = [atexit._ncallbacks()]
        for _ in range(2):
            graceexit.install()
            graceexit.install()
            graceexit.uninstall()
            counts.append(atexit._ncallbacks())
        print(counts[1] - counts[0], counts[2] - counts[1])
    """).finish()
    assert (steps(lines), status) == (["1 0"], 0)


def test_uninstall_leaves_what_somebody_has_put_in_front_of_its_hook(script):
    """It passes the call on, and ours does nothing any more."""
    lines, status = script("""
        import threading
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        ours = threading._shutdown

        def in_front():
            print("the one in front")
            ours()

        threading._shutdown = in_front
        graceexit.uninstall()
        print(threading._shutdown is in_front)
    """).finish()
    assert (steps(lines), status) == (["True", "the one in front"], 0)


def test_a_signal_that_comes_as_its_exit_is_made_begins_the_one_that_is_kept():
    """Its handler runs in the middle of it: there is one exit, and both have that."""
    process = _process.Process()
    process._installed, process._pid, process._executors = True, os.getpid(), Executors()
    of_the_handler = []
    runs_of = process.registry._runs

    def runs():
        if not of_the_handler:
            of_the_handler.append(None)
            of_the_handler[0] = process.ending()
        return runs_of()

    process.registry._runs = runs
    assert process.ending() is of_the_handler[0]


BAD = [
    ({"grace": 0}, ValueError, "grace must be seconds above zero, or None for no limit; got 0"),
    ({"grace": -1}, ValueError, "grace must be seconds above zero, or None for no limit; got -1"),
    ({"grace": float("nan")}, ValueError, "got nan"),
    ({"grace": float("inf")}, ValueError, "got inf"),
    ({"grace": "5"}, TypeError, "got '5'"),
    ({"grace": True}, TypeError, "got True"),
    ({"linger": -1}, ValueError, "linger must be seconds from zero, or None for no limit; got -1"),
    ({"linger": "x"}, TypeError, "linger must be seconds from zero, or None for no limit; got 'x'"),
    ({"signals": "SIGTERM"}, TypeError, "signals must be signal numbers such as"),
    ({"signals": 15}, TypeError, "got 15"),
    ({"signals": [True]}, TypeError, "got True"),
    ({"signals": ["SIGTERM"]}, TypeError, "got 'SIGTERM'"),
    ({"signals": [9999]}, ValueError, "no handler can be set for 9999"),
    ({"signals": [signal.SIGKILL]}, ValueError, "no handler can be set for"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_install_refuses_what_makes_no_sense_before_it_changes_anything(arguments, error, message):
    """The message names the argument, the rule and what was given."""
    with pytest.raises(error, match=re.escape(message)):
        graceexit.install(**{"grace": 60, **arguments})
    assert _process.own.ending() is None
    assert _process.own.settings.grace is ...


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan"])
def test_a_grace_in_the_environment_that_makes_no_sense_is_named(monkeypatch, text):
    """It is refused where graceexit is installed, by the variable's name."""
    monkeypatch.setenv("GRACEEXIT_GRACE", text)
    with pytest.raises(
        ValueError, match=f"GRACEEXIT_GRACE must be seconds above zero; got '{text}'"
    ):
        graceexit.install()
    assert _process.own.ending() is None


@pytest.mark.parametrize("threads", ["ordinary", "refused"])
def test_the_wrapper_of_raise_signal_runs_the_items_before_the_death(script, threads):
    """What a server does that restores the default action; a second SIGTERM does not cut it."""
    server = script(
        """
        import refusing, atexit, os, signal, sys
        import graceexit

        def closing():
            os.kill(os.getpid(), signal.SIGTERM)
            print("closing")

        graceexit.on_exit(lambda: print("closed"))
        graceexit.on_exit(closing)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        atexit.register(print, "exit function")
        if sys.argv[1] == "refused":
            refusing.allow(0)
        signal.raise_signal(signal.SIGTERM)
        """,
        threads,
    )
    lines, status = server.finish()
    assert without(lines, INLINE) == ["closing", "closed"]
    assert len(lines) == 2 + (threads == "refused")
    assert status == -SIGTERM


@pytest.mark.field(kind="a thread that raises SIGTERM")
@pytest.mark.parametrize("wait", ["threading.Event().wait()", "time.sleep(60)", "os.read(end, 1)"])
def test_raise_signal_on_another_thread_is_noticed_by_a_main_thread_that_waits(script, wait):
    """The signal would come to that thread, and wake nobody; without graceexit all would die."""
    worker = script(f"""
        import os, signal, threading, time
        import graceexit

        def end_all():
            signal.sigwait([signal.SIGUSR1])
            signal.raise_signal(signal.SIGTERM)

        end, _ = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        graceexit.on_exit(lambda: print("closed"))
        threading.Thread(target=end_all).start()
        print("ready")
        {wait}
    """)
    worker.wait_for("ready")
    worker.settle()
    worker.send(signal.SIGUSR1)
    lines, status = worker.finish()
    assert (without(lines, INLINE), status) == (["closed"], -signal.SIGTERM)


def test_raise_signal_on_another_thread_is_noticed_by_a_main_thread_that_blocks_it(script):
    """It comes to that thread then, and Python calls the handler on the main one."""
    lines, status = script("""
        import signal, threading, time
        import graceexit

        def end_all():
            blocked.wait()
            signal.raise_signal(signal.SIGTERM)

        blocked = threading.Event()
        graceexit.on_exit(lambda: print("closed"))
        threading.Thread(target=end_all).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        blocked.set()
        for _ in range(1000):
            time.sleep(0.01)
    """).finish()
    assert (without(lines, INLINE), status) == (["closed"], -signal.SIGTERM)


def test_raise_signal_is_otherwise_what_it_was(script):
    """Signals that are not ours, that have a handler, or that another thread raises."""
    server = script(
        """
        import signal, threading
        import graceexit

        graceexit.install()
        print(graceexit.on_exit(print) is print)
        signal.signal(signal.SIGUSR1, lambda *_: print("a handler"))
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGCHLD)  # which by default does nothing
        signal.signal(signal.SIGTERM, lambda *_: print("another"))
        signal.raise_signal(signal.SIGTERM)
        try:
            signal.raise_signal(9999)
        except (OSError, ValueError):
            print("refused")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        thread = threading.Thread(target=signal.raise_signal, args=[signal.SIGTERM])
        thread.start()
        thread.join()
        """
    )
    assert server.finish() == (["True", "a handler", "another", "refused"], -SIGTERM)


REFUSING = """
    import refusing, atexit, sys, threading, time
    import graceexit

    stop = threading.Event()
    thread = threading.Thread(target=lambda: (stop.wait(), print("stopped")))
    thread.start()
    graceexit.register(thread, stop=stop)
    graceexit.on_exit(lambda: print("closed"))
    client = threading.Event()
    threading.Thread(target=client.wait).start()
    graceexit.on_exit(lambda: (print("closed first"), client.set()), order=-1)
    graceexit.on_exit(lambda: print("closed last"), order=1)
    atexit.register(print, "exit function")
    refusing.allow(0)
    print("ready")
    while sys.argv[1] == "signal":
        time.sleep(0.01)
"""


@pytest.mark.parametrize(("ends", "status"), [("end", 0), ("signal", -SIGTERM)])
def test_where_no_thread_can_be_started_the_items_run_on_the_main_thread(script, ends, status):
    """In the same order, without a timeout of their own, and that is said."""
    refused = script(REFUSING, ends)
    refused.wait_for("ready")
    if ends == "signal":
        refused.send(SIGTERM)
    lines, ended = refused.finish()
    items = ["closed first", "stopped", "closed", "closed last"]
    assert without(lines, INLINE) == [*items, "exit function"]
    assert (len(lines), ended) == (len(items) + 2, status)


@pytest.mark.parametrize("grace", [None, "60"])
def test_a_subinterpreter_runs_its_items_at_its_end(script, grace):
    """It has no handlers and may not leave a thread, and the process goes on after it."""
    outer = script(
        """
        import graceexit
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters

        graceexit.on_exit(lambda: print("closed outside"))
        source = "import graceexit; graceexit.on_exit(lambda: print('closed'))"
        inner = interpreters.create()
        interpreters.run_string(inner, source)
        interpreters.destroy(inner)
        print("destroyed")
        """,
        env={**UNMEASURED, "GRACEEXIT_GRACE": grace},
    )
    lines, status = outer.finish()
    expected = ["closed", "destroyed", "closed outside"]
    assert without(lines, INLINE) == expected
    assert (len(lines) - len(expected), status) == (1 + NO_THREADS_AT_THE_END, 0)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="needs pools of subinterpreters")
def test_a_thread_of_a_subinterpreter_has_missed_no_handler(script):
    """No thread of it can set one."""
    lines, status = script(
        """
        import concurrent.futures
        import graceexit

        def begin():
            import graceexit
            graceexit.on_exit(lambda: print("closed", flush=True))

        if __name__ == "__main__":
            graceexit.install()
            with concurrent.futures.InterpreterPoolExecutor(1, initializer=begin) as pool:
                pool.submit(print, "a job").result()
        """,
        env=UNMEASURED,
    ).finish()
    assert (without(lines, INLINE), status) == (["a job", "closed"], 0)


def test_an_interrupted_install_is_completed_by_the_next(script):
    """An exception may come between any two lines of it, such as that of a Ctrl-C."""
    lines, status = script("""
        import sys, threading
        import graceexit

        def trace(frame, event, arg):
            join = getattr(graceexit._process.own._hook, "_join", None)
            if getattr(join, "real", None) is threading._shutdown:
                sys.settrace(None)
                raise KeyboardInterrupt
            return trace

        real = threading._shutdown
        stop = threading.Event()
        thread = threading.Thread(target=lambda: (stop.wait(), print("stopped")))
        thread.start()
        sys.settrace(trace)
        try:
            graceexit.register(thread, stop=stop)
        except KeyboardInterrupt:
            print("interrupted")
        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    assert (steps(lines), status) == (["interrupted", "stopped", "closed"], 0)
