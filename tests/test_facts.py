"""
What graceexit relies on in CPython, each fact in a program of a few lines.

None of them is promised by Python's documentation. When a new Python changes one, the test that
fails here says which mechanism of graceexit to look at.
"""

from __future__ import annotations

import signal
import sys
from textwrap import dedent

import pytest
from harness import UNMEASURED

VERSION = sys.version_info
# Up to 3.12 `threading._shutdown` joins threads by the locks that it finds in a set of its own.
HAS_SHUTDOWN_LOCKS = VERSION < (3, 13)
# Since 3.12.0 no thread can be started once the interpreter shuts down; a later 3.12 took it back.
MAY_REFUSE_THREADS = VERSION[:2] == (3, 12)


@pytest.fixture
def fact(program, tmp_path):
    """Run a program, given as text, unmeasured; return its lines and its return code."""

    def run(source: str, *args: object) -> tuple[list[str], int]:
        path = tmp_path / "fact.py"
        path.write_text(dedent(source))
        return program(sys.executable, path, *args, env=UNMEASURED, cwd=tmp_path).finish()

    return run


# The threading hook


def test_the_threading_hook_runs_on_the_main_thread_before_other_threads_are_joined(fact):
    """The hook can end a thread that the interpreter would wait for, and runs before `atexit`."""
    lines, status = fact("""
        import atexit, threading

        def hook():
            main = threading.main_thread()
            print("hook", threading.current_thread() is main, main.is_alive(), thread.is_alive())
            print("shutting down", threading._SHUTTING_DOWN)
            over.set()

        over = threading.Event()
        thread = threading.Thread(target=over.wait)
        thread.start()
        threading._register_atexit(hook)
        atexit.register(print, "atexit")
        print("end", threading._SHUTTING_DOWN)
    """)
    assert lines == ["end False", "hook True True True", "shutting down True", "atexit"]
    assert status == 0


def test_the_threading_hook_runs_in_children_of_multiprocessing(fact, start_method):
    """A child of any start method runs a hook of its own, before it joins its threads."""
    lines, status = fact(
        """
        import multiprocessing, sys, threading

        def child():
            over = threading.Event()
            threading._register_atexit(lambda: (print("hook in the child"), over.set()))
            threading.Thread(target=over.wait).start()

        if __name__ == "__main__":
            process = multiprocessing.get_context(sys.argv[1]).Process(target=child)
            process.start()
            process.join()
            print(process.exitcode)
        """,
        start_method,
    )
    assert (lines, status) == (["hook in the child", "0"], 0)


def test_a_bare_fork_inherits_both_kinds_of_hooks(fact):
    """The child of `os.fork` runs what its parent has registered, unless it looks at its pid."""
    lines, status = fact("""
        import atexit, os, threading

        parent = os.getpid()
        say = lambda what: print(what, "in the child" if os.getpid() != parent else "in the parent")
        threading._register_atexit(lambda: say("hook"))
        atexit.register(lambda: say("atexit"))
        if child := os.fork():
            os.waitpid(child, 0)
    """)
    assert lines == [
        "hook in the child",
        "atexit in the child",
        "hook in the parent",
        "atexit in the parent",
    ]
    assert status == 0


def test_an_exception_out_of_a_threading_hook_skips_the_hooks_that_come_after_it(fact):
    """The hook must never raise: the last registered runs first, and the others not at all."""
    lines, status = fact("""
        import atexit, threading

        def hook():
            print("raises")
            raise ValueError("from the hook")

        atexit.register(print, "atexit")
        threading._register_atexit(lambda: print("skipped"))
        threading._register_atexit(hook)
    """)
    assert lines[0] == "raises"
    assert lines[-2:] == ["ValueError: from the hook", "atexit"]
    assert "skipped" not in lines
    assert status == 0


def test_a_handler_that_raises_in_a_threading_hook_skips_the_others_and_the_join(fact):
    """The handler must not raise once `threading._SHUTTING_DOWN` is true."""
    lines, status = fact("""
        import signal, sys, threading

        def hook():
            signal.raise_signal(signal.SIGTERM)
            print("never")

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        threading._register_atexit(lambda: print("skipped"))
        threading._register_atexit(hook)
    """)
    assert "skipped" not in lines
    assert "never" not in lines
    assert status == 0, "the SystemExit is lost"


def test_signal_handlers_run_in_hooks_and_in_exit_functions(fact):
    """A signal is still noticed, on the main thread, in both kinds of hooks."""
    lines, status = fact("""
        import atexit, os, signal, threading

        def noted(*_):
            print("noted", threading.current_thread() is threading.main_thread())

        def raises(where):
            print(where)
            os.kill(os.getpid(), signal.SIGTERM)

        signal.signal(signal.SIGTERM, noted)
        threading._register_atexit(lambda: raises("hook"))
        atexit.register(raises, "atexit")
    """)
    assert (lines, status) == (["hook", "noted True", "atexit", "noted True"], 0)


def test_a_thread_started_in_a_threading_hook_runs_and_is_joined(fact):
    """Only an early 3.12 refuses it, with a RuntimeError, and says why."""
    lines, status = fact("""
        import threading, _thread, time

        def hook():
            for start in (
                lambda: threading.Thread(target=work, args=("thread",)).start(),
                lambda: _thread.start_new_thread(work, ("raw",)),
            ):
                try:
                    start()
                except RuntimeError as error:
                    print(error)

        def work(name):
            if name == "raw":
                raw.release()
            else:
                raw.acquire()
                time.sleep(0.1)
                print("worked")

        raw = threading.Lock()
        raw.acquire()
        threading._register_atexit(hook)
    """)
    refused = ["can't create new thread at interpreter shutdown"] * 2
    assert status == 0
    assert lines == ["worked"] or (MAY_REFUSE_THREADS and lines == refused)


def test_a_thread_started_before_the_end_may_start_another_after_it(fact):
    """Where the hook may start a thread so may the ender, and where not, not."""
    lines, status = fact("""
        import threading

        def start():
            over.wait()
            try:
                threading.Thread(target=print, args=("started",)).start()
            except RuntimeError as error:
                print(error)

        over = threading.Event()
        threading.Thread(target=start).start()
        threading._register_atexit(over.set)
    """)
    refused = ["can't create new thread at interpreter shutdown"]
    assert status == 0
    assert lines == ["started"] or (MAY_REFUSE_THREADS and lines == refused)


# Leaving the interpreter's join

LEAVE = """
    import atexit, multiprocessing, os, signal, sys, threading, time

    class Leave(BaseException):
        pass

    def leave(*_):
        if not begun.is_set():
            raise Leave

    def poke():
        joining.wait()
        while not begun.is_set():
            signal.pthread_kill(threading.main_thread().ident, number)
            time.sleep(0.02)

    def main():
        sys.unraisablehook = lambda error: print("unraisable", error.exc_type.__name__)
        signal.signal(number, leave)
        threading.Thread(target=threading.Event().wait).start()
        threading.Thread(target=poke, daemon=True).start()
        atexit.register(lambda: print("exit function", threading.current_thread().name))
        atexit.register(begun.set)
        threading._register_atexit(joining.set)
        sys.exit(7)

    number, method = int(sys.argv[1]), sys.argv[2]
    joining, begun = threading.Event(), threading.Event()
    if __name__ == "__main__":
        if method == "script":
            main()
        child = multiprocessing.get_context(method).Process(target=main)
        child.start()
        child.join()
        sys.exit(child.exitcode)
"""


@pytest.mark.parametrize("signum", [signal.SIGURG, signal.SIGTERM])
def test_raising_from_a_handler_leaves_the_join_and_keeps_the_exit_status(fact, signum):
    """A stuck non-daemon thread is left behind, exit functions run, `sys.exit(7)` stays 7."""
    lines, status = fact(LEAVE, int(signum), "script")
    assert lines == ["unraisable Leave", "exit function MainThread"]
    assert status == 7


def test_raising_from_a_handler_leaves_the_join_of_a_multiprocessing_child(fact, start_method):
    """
    It ends in every child, but keeps its status on 3.13 and 3.14 alone.

    Before them and after them the exception gets out of `threading._shutdown`, which
    multiprocessing calls, and the status is 1. Up to 3.12 only a spawned child runs `atexit`. From
    3.15 on the end of a spawned one joins again, and has to be left again.
    """
    lines, status = fact(LEAVE, int(signal.SIGURG), start_method)
    if (3, 13) <= VERSION < (3, 15):
        assert (lines, status) == (["unraisable Leave", "exit function MainThread"], 7)
    elif VERSION >= (3, 15):
        again = ["__mp_main__.Leave", "unraisable Leave"] if start_method == "spawn" else []
        assert lines[-len(again) - 1 :] == [*again, "exit function MainThread"]
        assert status == 1
    elif start_method == "spawn":
        assert lines[-2:] == ["__mp_main__.Leave", "exit function MainThread"]
        assert status == 1
    else:
        assert (lines, status) == ([], 1)


def test_sigurg_is_ignored_by_default(fact):
    """A stray SIGURG, before the handler stands or after it, harms nobody."""
    lines, status = fact("""
        import os, signal
        print(signal.getsignal(signal.SIGURG) == signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGURG)
        print("alive")
    """)
    assert (lines, status) == (["True", "alive"], 0)


UNJOIN = """
    import atexit, multiprocessing, sys, threading

    def main():
        def hook():
            with threading._shutdown_locks_lock:
                threading._shutdown_locks.discard(stuck._tstate_lock)

        stuck = threading.Thread(target=threading.Event().wait)
        stuck.start()
        threading._register_atexit(hook)
        atexit.register(lambda: print("exit function", stuck.is_alive()))
        sys.exit(7)

    if __name__ == "__main__":
        if sys.argv[1] == "script":
            main()
        child = multiprocessing.get_context(sys.argv[1]).Process(target=main)
        child.start()
        child.join()
        sys.exit(child.exitcode)
"""


@pytest.mark.skipif(not HAS_SHUTDOWN_LOCKS, reason="3.13 joins threads by their handles, in C")
@pytest.mark.parametrize("method", ["script", "fork", "spawn", "forkserver"])
def test_a_thread_whose_lock_is_taken_from_the_shutdown_locks_is_not_joined(fact, method):
    """Up to 3.12 the hook can make the interpreter leave a non-daemon thread behind."""
    lines, status = fact(UNJOIN, method)
    assert lines == (["exit function True"] if method in ("script", "spawn") else [])
    assert status == 7


# Exit functions


@pytest.mark.parametrize("then", ["dies", "returns"])
def test_run_exitfuncs_in_the_last_registered_exit_function_runs_each_once(fact, then):
    """
    The second hook can run what comes after it and then die; nothing has run twice.

    From 3.14 on it must not return: the interpreter goes through a copy of the list, and runs
    everything once more.
    """
    lines, status = fact(
        """
        import atexit, os, sys

        def ours():
            print("ours")
            atexit.unregister(ours)  # or it would be the first to run again, without end
            atexit._run_exitfuncs()
            print("all have run")
            if sys.argv[1] == "dies":
                sys.stdout.flush()
                os._exit(0)

        atexit.register(ours)
        atexit.register(print, "second")
        atexit.register(print, "first")
        atexit.unregister(ours)
        atexit.register(ours)
        """,
        then,
    )
    again = ["first", "second"] if then == "returns" and VERSION >= (3, 14) else []
    assert (lines, status) == (["ours", "first", "second", "all have run", *again], 0)


def test_an_exit_function_that_raises_does_not_end_run_exitfuncs(fact):
    """It is reported as at the interpreter's own end, and the next one runs."""
    lines, status = fact("""
        import atexit, os, sys

        def fails():
            raise ValueError("reported")

        def ours():
            atexit.unregister(ours)
            atexit._run_exitfuncs()
            print("went on")
            sys.stdout.flush()
            os._exit(0)

        atexit.register(print, "second")
        atexit.register(fails)
        atexit.register(print, "first")
        atexit.register(ours)
    """)
    assert lines[0] == "first"
    assert lines[-3:] == ["ValueError: reported", "second", "went on"]
    assert status == 0


def test_death_by_the_signal_at_the_end_of_the_exit_functions(fact):
    """A handler that raises SystemExit, then SIG_DFL and `raise_signal`: the parent sees it."""
    lines, status = fact("""
        import atexit, os, signal, sys

        def die():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

        atexit.register(die)
        atexit.register(print, "exit function")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            print("unwound")
    """)
    assert (lines, status) == (["unwound", "exit function"], -signal.SIGTERM)


# Death by a signal while the main thread is elsewhere

ELSEWHERE = """
    import ctypes, faulthandler, os, signal, sqlite3, threading

    {before}
    signal.signal(signal.SIGTERM, lambda *_: print("never: the main thread runs no Python code"))

    def die():
        {die}
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Timer(0.2, die).start()
    print("in a C call")
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    sqlite3.connect(":memory:").execute(endless).fetchall()
"""


@pytest.mark.parametrize(
    ("before", "die"),
    [
        ("", "ctypes.CDLL(None).signal(signal.SIGTERM, None)"),
        (
            "faulthandler.register(signal.SIGTERM, file=2)",
            "faulthandler.unregister(signal.SIGTERM)",
        ),
    ],
    ids=["ctypes", "faulthandler"],
)
def test_another_thread_can_die_of_the_signal_while_the_main_thread_is_in_a_c_call(
    fact, before, die
):
    """`signal.signal` is the main thread's; these two put the default action back from any."""
    lines, status = fact(ELSEWHERE.format(before=before, die=die))
    assert (lines, status) == (["in a C call"], -signal.SIGTERM)


# Signal handlers and locks


def test_a_handler_may_release_a_lock_and_start_a_raw_thread_inside_thread_start(fact):
    """Neither takes a lock of `threading`'s that the interrupted main thread may hold."""
    lines, status = fact("""
        import signal, threading, _thread

        def handler(*_):
            latch.release()
            _thread.start_new_thread(over.release, ())

        latch, over = threading.Lock(), threading.Lock()
        latch.acquire(), over.acquire()
        signal.signal(signal.SIGTERM, handler)
        with threading._active_limbo_lock:
            signal.raise_signal(signal.SIGTERM)
            print(latch.acquire(), over.acquire())
    """)
    assert (lines, status) == (["True True"], 0)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs pthread_kill")
def test_a_signal_that_another_thread_takes_does_not_wake_a_waiting_main_thread(fact):
    """The Python handler runs when the main thread has waited for all of its two seconds."""
    lines, status = fact("""
        import signal, threading, time

        def handler(*_):
            print("handler", time.monotonic() - began >= 2)

        def take():
            time.sleep(0.5)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

        signal.signal(signal.SIGTERM, handler)
        threading.Thread(target=take).start()
        began = time.monotonic()
        time.sleep(2)
        print("woken")
    """)
    assert sorted(lines) == ["handler True", "woken"]
    assert status == 0


# Fork


def test_fork_handlers_run_before_in_reverse_and_after_in_order(fact):
    """`before` of the last registered runs first; `after_in_child` of the first registered does."""
    lines, status = fact("""
        import os

        for n in (1, 2):
            os.register_at_fork(
                before=lambda n=n: print("before", n),
                after_in_parent=lambda n=n: said.append(f"parent {n}"),
                after_in_child=lambda n=n: print("child", n),
            )
        said = []
        if child := os.fork():
            os.waitpid(child, 0)
            print(*said)
    """)
    assert lines == ["before 2", "before 1", "child 1", "child 2", "parent 1 parent 2"]
    assert status == 0


# The last resort


def test_faulthandlers_timer_ends_a_process_whose_main_thread_keeps_the_gil(fact):
    """It needs no GIL: every stack on file descriptor 2, then status 1."""
    lines, status = fact("""
        import faulthandler, re

        def backtracks():
            re.match("(a+)+$", "a" * 50 + "b")

        faulthandler.dump_traceback_later(0.2, exit=True, file=2)
        backtracks()
    """)
    assert status == 1
    assert any("in backtracks" in line for line in lines)


def test_faulthandlers_timer_can_be_cancelled_before_a_fork_and_armed_again(fact):
    """A fork with the timer armed would leave the child hanging at its end."""
    lines, status = fact("""
        import faulthandler, os, warnings

        warnings.simplefilter("ignore", DeprecationWarning)  # of 3.13: the timer is a thread
        arm = lambda: faulthandler.dump_traceback_later(1000, exit=True, file=2)
        os.register_at_fork(before=faulthandler.cancel_dump_traceback_later, after_in_parent=arm)
        arm()
        if child := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert (lines, status) == (["0"], 0)
