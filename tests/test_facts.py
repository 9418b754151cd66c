"""
What graceexit relies on in CPython, each fact in a program of a few lines.

None of them is promised by Python's documentation. When a new Python changes one, the test that
fails here says which mechanism of graceexit to look at.
"""

from __future__ import annotations

import dis
import signal
import sys
from textwrap import dedent

import pytest
from harness import UNMEASURED

from graceexit._cpython import LOAD_SPECIAL

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


@pytest.mark.skipif(
    not HAS_SHUTDOWN_LOCKS, reason="about locks that Python up to 3.12 joins threads by"
)
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


@pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="this platform sends no signal to one thread"
)
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


# Other hooks of the same kind


@pytest.mark.field(kind="the last of all hooks")
def test_hooks_of_threading_run_newest_first_and_one_at_index_0_runs_last(fact):
    """Ours can be the first and the last of them; the joins come after all."""
    lines, status = fact("""
        import threading, time

        hook = lambda what: lambda: print(what, thread.is_alive())
        threading._register_atexit(hook("older"))
        threading._threading_atexits.insert(0, hook("at index 0"))
        threading._register_atexit(hook("newer"))
        threading._threading_atexits.append(hook("appended"))
        thread = threading.Thread(target=lambda: (over.wait(), print("joined")))
        over = threading.Event()
        threading._threading_atexits.insert(0, over.set)
        thread.start()
    """)
    order = ["appended True", "newer True", "older True", "at index 0 True", "joined"]
    assert (lines, status) == (order, 0)


def test_no_hook_can_be_registered_once_the_hooks_run(fact):
    """A pool that is imported only then fails, and takes `asyncio.to_thread` with it."""
    lines, status = fact("""
        import threading

        def hook():
            try:
                import concurrent.futures.thread
            except RuntimeError as error:
                print(error)

        threading._register_atexit(hook)
    """)
    assert (lines, status) == (["can't register atexit after shutdown"], 0)


def test_pools_close_in_such_hooks_which_can_be_found_by_their_function(fact):
    """Up to 3.12 the list has a partial of each, from 3.13 on a function whose cell has it."""
    lines, status = fact("""
        import threading
        import concurrent.futures.process, concurrent.futures.thread

        def function_of(hook):
            cells = getattr(hook, "__closure__", None) or ()
            functions = [cell.cell_contents for cell in cells if callable(cell.cell_contents)]
            return getattr(hook, "func", None) or functions[0]

        found = [function_of(hook) for hook in threading._threading_atexits]
        for module in (concurrent.futures.process, concurrent.futures.thread):
            print(module._python_exit in found)
    """)
    assert (lines, status) == (["True", "True"], 0)


def test_a_registration_goes_through_the_attribute_of_threading(fact):
    """Whatever stands in the place of `_register_atexit` is called, with the arguments."""
    lines, status = fact("""
        import threading

        threading._register_atexit = lambda function, *args: print(function.__name__, args)
        import concurrent.futures.thread
    """)
    assert (lines, status) == (["_python_exit ()"], 0)


# The end of threading

REPLACED = """
    import multiprocessing, sys, threading

    def child():
        real = threading._shutdown

        def shutdown():
            print("ours")
            over.set()
            real()

        over = threading.Event()
        threading._shutdown = shutdown
        threading.Thread(target=lambda: (over.wait(), print("joined"))).start()

    if __name__ == "__main__":
        if sys.argv[1] == "script":
            child()
        else:
            process = multiprocessing.get_context(sys.argv[1]).Process(target=child)
            process.start()
            process.join()
            print(process.exitcode)
"""


@pytest.mark.parametrize("method", ["script", "fork", "spawn", "forkserver"])
def test_a_replaced_shutdown_of_threading_is_what_the_end_calls(fact, method):
    """The interpreter and multiprocessing look it up when it is time to join."""
    lines, status = fact(REPLACED, method)
    twice = method == "spawn"  # in `_bootstrap`, and at the end of the interpreter
    assert lines == ["ours", "joined", *["ours"] * twice, *["0"] * (method != "script")]
    assert status == 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_finalizers_of_multiprocessing_come_before_the_hooks_up_to_3_12(fact, method):
    """A queue of the child is closed then; `_bootstrap` looks the function up."""
    lines, status = fact(
        """
        import multiprocessing, multiprocessing.util, sys, threading

        def child():
            real = multiprocessing.util._exit_function

            def exit_function(*args, **kwargs):
                print("finalizers")
                real(*args, **kwargs)

            multiprocessing.util._exit_function = exit_function
            threading._register_atexit(lambda: print("hook"))

        if __name__ == "__main__":
            process = multiprocessing.get_context(sys.argv[1]).Process(target=child)
            process.start()
            process.join()
        """,
        method,
    )
    # From 3.13 on it is an exit function, which was registered before it was replaced.
    assert lines == (["finalizers", "hook"] if VERSION < (3, 13) else ["hook"])
    assert status == 0


# A join that is left

LEFT = """
    import signal, sys, threading, time

    class Left(Exception):
        pass

    def handler(*_):
        raise Left

    signal.signal(signal.SIGUSR1, handler)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()

    def poke():
        main = threading.main_thread()
        time.sleep(0.2)
        signal.pthread_kill(main.ident, signal.SIGUSR1)

    threading.Thread(target=poke).start()
    try:
        thread.join()
    except Left:
        print("alive:", thread.is_alive())
        print("known:", threading._active.get(thread.ident) is thread)
        over.set()
        while thread.ident in threading._active:
            time.sleep(0.01)
        print("alive:", thread.is_alive())
"""


def test_a_join_that_an_exception_leaves_marks_a_running_thread_as_stopped_up_to_3_12(fact):
    """python/cpython#90882; `threading._active` knows the thread until it has ended."""
    lines, status = fact(LEFT)
    alive = VERSION >= (3, 13)
    assert (lines, status) == ([f"alive: {alive}", "known: True", "alive: False"], 0)


def test_a_thread_that_dies_looks_up_its_own_excepthook(fact):
    """So that what a thread died of can be seen, and `threading.excepthook` stays whose it is."""
    lines, status = fact("""
        import threading

        def work():
            over.wait()
            raise KeyError("its own")

        def seen(thread):
            print("seen", repr(threading.current_thread() is thread))
            real(thread)

        over = threading.Event()
        threading.excepthook = lambda args: print("the program's hook", repr(args.exc_value))
        thread = threading.Thread(target=work)
        thread.start()
        real = thread._invoke_excepthook
        thread._invoke_excepthook = seen
        over.set()
        thread.join()
    """)
    assert (lines, status) == (["seen True", "the program's hook KeyError('its own')"], 0)


# Exceptions that are ignored, and what unwinds a loop


def test_an_exception_of_a_handler_inside_del_comes_to_the_unraisable_hook_alone(fact):
    """The code that it has interrupted goes on, as if there had been no signal."""
    lines, status = fact("""
        import signal, sys

        class Handle:
            def __del__(self):
                signal.raise_signal(signal.SIGTERM)
                print("never")

        def handler(*_):
            raise SystemExit(143)

        signal.signal(signal.SIGTERM, handler)
        sys.unraisablehook = lambda error: print("unraisable", error.exc_value)
        del [Handle()][0]
        print("goes on")
    """)
    assert (lines, status) == (["unraisable 143", "goes on"], 0)


MAIN_TASK = """
    import asyncio, signal, sys

    FRAMES = [("run", "asyncio/runners.py", "task"),
              ("run_until_complete", "asyncio/base_events.py", "future")]

    def handler(signum, frame):
        found = {}
        while frame is not None:
            for name, file, variable in FRAMES:
                code = frame.f_code
                if code.co_name == name and code.co_filename.endswith(file):
                    # `asyncio.run` is a frame of that name too, and has none.
                    found[name] = found.get(name) or frame.f_locals.get(variable)
            frame = frame.f_back
        print(*[f"{name}: {found.get(name) is task}" for name, *_ in FRAMES])
        task.add_done_callback(lambda _: sys.exit(7))
        task.cancel()

    async def main():
        global task
        task = asyncio.current_task()
        try:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            print("unwinds")

    signal.signal(signal.SIGTERM, handler)
    if sys.argv[1] == "run":
        asyncio.run(main())
    else:
        asyncio.new_event_loop().run_until_complete(main())
    print("never")
"""


@pytest.mark.parametrize("how", ["run", "run_until_complete"])
def test_the_frames_of_asyncio_have_the_main_task_whose_callback_may_exit(fact, how):
    """`task` of `Runner.run` from 3.11 on, and `future` of `run_until_complete`."""
    lines, status = fact(MAIN_TASK, how)
    in_run = how == "run" and VERSION >= (3, 11)
    assert lines == [f"run: {in_run} run_until_complete: True", "unwinds"]
    assert status == 7


@pytest.mark.skipif(VERSION < (3, 11), reason="asyncio.Runner came with 3.11")
def test_a_runner_counts_interrupts_and_a_task_that_is_cancelled_for_one_is_an_interrupt(fact):
    """`_interrupt_count` says whether a Ctrl-C has cancelled the main task."""
    lines, status = fact("""
        import asyncio, signal

        async def main():
            print("before", runner._interrupt_count)
            signal.raise_signal(signal.SIGINT)
            try:
                await asyncio.sleep(3600)
            finally:
                print("after", runner._interrupt_count)

        with asyncio.Runner() as runner:
            try:
                runner.run(main())
            except KeyboardInterrupt:
                print("KeyboardInterrupt")
    """)
    assert (lines, status) == (["before 0", "after 1", "KeyboardInterrupt"], 0)


def test_a_loop_leaves_the_default_action_where_it_has_set_a_handler(fact):
    """What stood there before is gone, so that `install` has to be called again."""
    lines, status = fact("""
        import asyncio, signal

        async def main():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)

        signal.signal(signal.SIGTERM, print)
        asyncio.run(main())
        print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
    """)
    assert (lines, status) == (["True"], 0)


def test_getsignal_knows_nothing_of_a_handler_that_c_code_has_set(fact):
    """So that a registration in a forked child sets ours again."""
    lines, status = fact("""
        import ctypes, signal

        signal.signal(signal.SIGTERM, print)
        c_signal = ctypes.CDLL(None).signal
        c_signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        c_signal(signal.SIGTERM, None)
        print(signal.getsignal(signal.SIGTERM) is print)
    """)
    assert (lines, status) == (["True"], 0)


@pytest.mark.skipif(VERSION[:2] != (3, 14), reason="about the code of Python 3.14")
def test_the_instruction_that_finds_what_a_with_calls_has_its_number():
    """It stands before the call of `__enter__`, behind which Python 3.14 looks for signals."""
    with_lock = compile("with lock: pass", "", "exec")
    names = [one.opname for one in dis.get_instructions(with_lock)]
    assert names[names.index("CALL") - 1] == "LOAD_SPECIAL"
    assert dis.opmap["LOAD_SPECIAL"] == LOAD_SPECIAL


def test_wait_for_takes_a_cancellation_for_its_own_up_to_3_11(fact):
    """Where what it waits for is done by then: so that is cancelled too."""
    lines, status = fact("""
        import asyncio

        async def job():
            return "done"

        async def main():
            print(await asyncio.wait_for(asyncio.ensure_future(job()), 5))

        async def cancelled():
            task = asyncio.create_task(main())
            await asyncio.sleep(0)  # it waits, and the job is the next that runs
            task.cancel()
            await asyncio.wait([task])
            print(task.cancelled())

        asyncio.run(cancelled())
    """)
    taken = ["done", "False"] if VERSION < (3, 12) else ["True"]
    assert (lines, status) == (taken, 0)


def test_a_waiter_that_stays_in_a_condition_takes_the_notification_of_the_next(fact):
    """So `notify` is not cut between the two things that it does."""
    lines, status = fact("""
        import threading

        condition = threading.Condition()
        with condition:
            stale = threading.Lock()  # of one that was woken
            stale.acquire()
            condition._waiters.append(stale)
        waiting = threading.Thread(target=lambda: print(wait()))

        def wait():
            with condition:
                return condition.wait(0.5)

        waiting.start()
        while len(condition._waiters) < 2:
            pass
        with condition:
            condition.notify()
        waiting.join()
    """)
    assert (lines, status) == (["False"], 0)
