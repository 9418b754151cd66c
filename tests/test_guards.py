"""What a platform lacks, what is refused, and what goes wrong inside: the exit goes on."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from signal import SIGINT, SIGTERM
from types import FunctionType, SimpleNamespace

import pytest
from harness import INLINE, NO_THREADS_AT_THE_END, cut_off, said, steps, without

from graceexit import Registry
from graceexit._ender import EXIT_FUNCTIONS, Leave
from graceexit._executors import Executors
from graceexit._exit import Exit
from graceexit._limits import Limits
from graceexit._process import Process
from graceexit._report import stack_of
from graceexit._signals import Handlers

OLD_JOIN = sys.version_info < (3, 13)  # `threading._shutdown` waits for locks, in Python

# A platform without them. Windows, for one.
LACKING = """
        import os, signal, sys, threading

        del signal.SIGURG, signal.pthread_kill, os.register_at_fork, os.O_NONBLOCK
        import graceexit
"""


def test_a_platform_without_fork_and_thread_signals_cleans_up(script):
    """What was registered runs at the end and on SIGTERM, and handlers come back."""
    lines, status = script(
        LACKING
        + """
        before = signal.signal(signal.SIGTERM, lambda *_: print("the program's"))
        before = signal.getsignal(signal.SIGTERM)
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()
        graceexit.register(thread, stop=stop)
        graceexit.on_exit(lambda: print("closed"))
        signal.raise_signal(signal.SIGTERM)
        graceexit.uninstall()
        print(signal.getsignal(signal.SIGTERM) is before)
        graceexit.install(grace=60)
        """
    ).finish()
    assert (steps(lines), status) == (["the program's", "True", "closed"], 0)


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="nobody can end the process there")
@pytest.mark.parametrize(("ends", "status"), [("end", 1), ("signal", -SIGTERM)])
def test_a_process_that_cannot_leave_the_join_is_ended(script, ends, status):
    """A stuck thread, and no signal that reaches the main thread alone."""
    source = """
        import time

        def endless():
            while True:
                time.sleep(60)

        thread = threading.Thread(target=endless)
        thread.start()
        graceexit.register(thread, stop=threading.Event(), timeout=0.1)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while sys.argv[1] == "signal":
            time.sleep(0.01)
    """
    stuck = script(LACKING + source, ends)
    stuck.wait_for("ready")
    if ends == "signal":
        stuck.send(SIGTERM)
    lines, ended = stuck.finish()
    if OLD_JOIN:  # it was never in the join: the thread's lock was taken out of it
        status = status if ends == "signal" else 0
    assert "closed" in lines
    assert ended == status


HELD = """
        import signal, sys, threading, time
        import graceexit

        def hold(*_):
            while True:
                try:
                    time.sleep(60)
                except BaseException:
                    print("held")

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
    held.wait_for("ready")
    held.send(SIGTERM)
    lines, status = held.finish()
    lines, cut = cut_off(lines)
    assert ({*steps(lines)}, cut) == ({"closed", "held"}, ["MainThread"])
    assert lines.count("closed") == 1
    assert status == -SIGTERM


@pytest.mark.skipif(OLD_JOIN, reason="the stuck thread is not joined")
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


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="an item that hangs hangs there")
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
    hanging.wait_for("ready")
    hanging.send(SIGTERM)
    lines, status = hanging.finish()
    assert (steps(lines), status) == (["closed", "exit function"], -SIGTERM)


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


def test_items_wait_for_a_hook_of_somebody_else_within_linger(script):
    """It may be draining what the items close."""
    working = script("""
        import threading, time
        import graceexit

        threading._register_atexit(lambda: (time.sleep(0.5), print("worked")))

        graceexit.install(linger=3600)
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    working.wait_for("ready")
    working.send(SIGTERM)
    lines, status = working.finish()
    assert (steps(lines), status) == (["worked", "closed"], -SIGTERM)


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="nobody can run the items beside it there")
def test_a_hook_of_somebody_else_that_outlives_linger_is_finished_once(script):
    """The handler is the program's own: nothing but the waiting of the items is cut short."""
    lines, status = script("""
        import signal, sys, threading, time
        import graceexit

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
        graceexit.install(linger=0.2)
        graceexit.on_exit(lambda: print("closed"))
        threading._register_atexit(lambda: (time.sleep(1), print("worked")))
        signal.raise_signal(signal.SIGTERM)
    """).finish()
    assert (*cut_off(lines), status) == (["closed", "worked"], ["MainThread"], 4)


@pytest.mark.skipif(OLD_JOIN, reason="the stuck thread is not joined")
def test_a_handler_that_swallows_an_exception_does_not_keep_the_main_thread_in_the_join(script):
    """It is asked to leave until the exit functions have begun."""
    lines, status = script("""
        import signal, threading, time
        import graceexit

        def hold(*_):
            try:
                time.sleep(60)
            except BaseException:
                print("held")

        signal.signal(signal.SIGUSR1, hold)
        main = threading.main_thread().ident
        graceexit.on_exit(lambda: signal.pthread_kill(main, signal.SIGUSR1))
        thread = threading.Thread(target=time.sleep, args=[3600])
        thread.start()
        graceexit.register(thread, stop=threading.Event(), timeout=0.1)
        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    ours = [line for line in lines if line in ("held", "closed")]
    assert (ours, status) == (["closed", "held"], 0)


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="there Python joins them first")
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
    working.wait_for("ready")
    working.send(SIGTERM)
    lines, status = working.finish()
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
    dying.wait_for("ready")
    dying.send(SIGTERM)
    lines, status = dying.finish()
    assert (steps(lines), status) == (["closed"], -SIGTERM)


def test_the_press_of_ctrl_c_that_has_ended_the_program_does_not_cut_the_items_short(script):
    """A terminal's process group gets it more than once, from a parent that passes it on."""
    lines, status = script("""
        import os, signal
        import graceexit
        from graceexit import _exit

        _exit.SAME_PRESS = 60

        @graceexit.on_exit
        def close():
            for _ in range(20):
                os.kill(os.getpid(), signal.SIGINT)
            print("closed")

        raise KeyboardInterrupt
    """).finish()
    assert (steps(lines)[-1], status) == ("closed", -SIGINT)


@pytest.mark.parametrize("missing", ["", "import threading; del threading._register_atexit"])
def test_without_the_threading_hook_the_exit_function_does_it(script, missing):
    """`threading._shutdown` is private; registered threads are daemons then."""
    lines, status = script(f"""
        {missing}
        import sys, threading
        import graceexit

        graceexit.install()
        threading._shutdown = lambda: None  # nobody calls ours
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait, daemon=True)
        thread.start()
        graceexit.register(thread, stop=stop)
        graceexit.on_exit(lambda: print("closed", thread.is_alive()))
        exiting = graceexit.exiting.is_set
        graceexit.on_exit(lambda: print("first", thread.is_alive(), exiting()), order=-1)
        sys.exit(3)
    """).finish()
    assert (steps(lines), status) == (["first True True", "closed False"], 3)


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="there is no ender there")
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
    importing.wait_for("ready")
    importing.send(SIGTERM)
    lines, status = importing.finish()
    assert "swallowed" in lines
    assert "closed" in lines
    assert any(
        line.startswith("callback 'broken' ") and " failed: " in line for line in said(lines)
    )
    assert status == -SIGTERM


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")
def test_a_handler_that_raises_while_the_last_words_are_said_changes_no_status(script):
    """What it raises would leave the exit function, and the process would not die of the signal."""
    dying = script("""
        import signal, sys, time
        import graceexit

        def handler(signum, frame):
            raise ValueError("in a handler")

        class Slow:
            def write(self, text):
                return len(text)

            def flush(self):
                ending = graceexit._process.own.exit
                if ending and ending.ender.main.finished.is_set():
                    sys.stdout = real
                    real.write("flushing\\n")
                    real.flush()
                    time.sleep(60)

        signal.signal(signal.SIGUSR1, handler)
        graceexit.on_exit(lambda: None)
        graceexit._story.FLUSHING = 60
        real, sys.stdout = sys.stdout, Slow()
        real.write("ready\\n")
        while True:
            time.sleep(0.01)
    """)
    dying.wait_for("ready")
    dying.send(SIGTERM)
    dying.wait_for("flushing")
    dying.settle()  # as it begins to wait it could lose the signal
    dying.send(signal.SIGUSR1)
    lines, status = dying.finish()
    assert (steps(lines), status) == ([], -SIGTERM)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")
def test_a_handler_that_raises_does_not_cut_the_waiting_short(script):
    """Here the exit function waits for the ender: nothing is left to unwind."""
    waiting = script("""
        import signal, threading, time
        import graceexit

        graceexit.install()
        threading._shutdown = lambda: None  # nobody calls ours

        def handler(signum, frame):
            raise ValueError("in a handler")

        signal.signal(signal.SIGUSR1, handler)
        graceexit.on_exit(lambda: (print("begun"), time.sleep(1), print("closed")))
    """)
    waiting.wait_for("begun")
    if not NO_THREADS_AT_THE_END:  # there the item itself would be interrupted
        waiting.send(signal.SIGUSR1)
    lines, status = waiting.finish()
    assert (steps(lines), status) == (["closed"], 0)


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="there is no ender")
def test_the_exit_function_waits_until_the_ender_has_said_everything(script):
    """Without the hook it is what begins the exit, and no thread is joined after it."""
    lines, status = script("""
        import logging, threading, time
        import graceexit

        graceexit.install()
        threading._shutdown = lambda: None  # nobody calls ours

        class Slow(logging.Handler):
            def emit(self, record):
                time.sleep(0.2)
                print(record.getMessage())

        logger = logging.getLogger("graceexit")
        logger.addHandler(Slow())
        logger.setLevel(logging.INFO)
        graceexit.on_exit(lambda: None)
        graceexit._story.FLUSHING = 60
    """).finish()
    begins, complete = said(lines)
    assert begins == "exit begins, 1 to run"
    assert re.fullmatch(r"exit complete: 1 done in \d+\.\d\d s", complete)
    assert (len(lines), status) == (2, 0)


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="there the item itself is interrupted")
def test_a_handler_that_raises_does_not_cut_the_run_of_the_exit_function_short(script):
    """It runs what a thread has registered after the ender had done its work."""
    late = script("""
        import signal, sys, threading, time
        import graceexit

        def handler(signum, frame):
            raise ValueError("in a handler")

        def job():
            closed.wait()
            while not graceexit._process.own.exit.ender.over.is_set():
                time.sleep(0.01)
            graceexit.on_exit(lambda: (print("begun"), time.sleep(1), print("registered late")))

        closed = threading.Event()
        signal.signal(signal.SIGUSR1, handler)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
        graceexit.install(linger=0.2)
        graceexit.on_exit(closed.set)
        threading.Thread(target=job).start()
        signal.raise_signal(signal.SIGTERM)
    """)
    late.wait_for("begun")
    late.send(signal.SIGUSR1)
    assert late.finish() == (["registered late"], 4)


@pytest.mark.skipif(not hasattr(signal, "SIGURG"), reason="needs SIGURG")
def test_somebody_elses_sigurg_changes_nothing(script):
    """It makes the main thread leave a join only when the ender wants it to."""
    lines, status = script("""
        import os, signal, threading

        def hook():
            os.kill(os.getpid(), signal.SIGURG)
            print("worked")
            over.set()

        over = threading.Event()
        threading.Thread(target=over.wait).start()
        threading._register_atexit(hook)
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    assert (steps(lines), status) == (["worked", "closed"], 0)


def test_a_signal_in_a_hook_of_somebody_else_raises_nothing_there(script):
    """It would skip the other hooks, and be lost."""
    lines, status = script("""
        import os, signal, threading
        import graceexit

        def hook():
            os.kill(os.getpid(), signal.SIGTERM)
            print("worked")

        graceexit.on_exit(lambda: print("closed"))
        threading._register_atexit(hook)
    """).finish()
    assert (steps(lines), status) == (["worked", "closed"], -SIGTERM)


@pytest.mark.parametrize(
    "method",
    [
        "_begin",
        pytest.param(
            "_wait", marks=pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="nobody waits there")
        ),
        "run",
    ],
)
def test_an_error_of_the_exit_itself_is_told_and_the_process_ends(script, method):
    """With the other hooks and exit functions, and with its status."""
    lines, status = script(
        """
        import atexit, sys
        import graceexit
        from graceexit._process import own

        atexit.register(print, "exit function")
        graceexit.on_exit(lambda: print("closed"))
        own = own.ending()
        own = own if hasattr(own, sys.argv[1]) else own.ender
        real = getattr(own, sys.argv[1])

        def fail(*args, **options):
            setattr(own, sys.argv[1], real)
            raise ValueError("a defect")

        setattr(own, sys.argv[1], fail)
        sys.exit(3)
        """,
        method,
    ).finish()
    assert "ValueError: a defect" in "\n".join(lines)
    assert any(line.endswith("the exit itself failed:") for line in lines)
    assert lines.count("closed") == lines.count("exit function") == 1
    assert status == 3


def test_a_handler_that_raises_as_the_exit_begins_keeps_no_thread_from_being_stopped(script):
    """It has to be stopped before Python joins it, so the exit is begun again at once."""
    lines, status = script("""
        import sys, threading
        import graceexit
        from graceexit import _exit

        def fail(*_):
            _exit.Exit._begin = real
            raise ValueError("in a handler")

        real, _exit.Exit._begin = _exit.Exit._begin, fail
        stop = threading.Event()
        thread = threading.Thread(target=lambda: (stop.wait(), print("stopped")))
        thread.start()
        graceexit.register(thread, stop=stop)
        sys.exit(3)
    """).finish()
    assert "ValueError: in a handler" in lines
    assert (lines.count("stopped"), status) == (1, 3)


PROXY = """
import atexit, signal, sys, threading
import graceexit

class Proxy:
    def refuse(self, *_):
        if bound:
            raise AttributeError
        raise RuntimeError("outside of its context")

    __getattr__ = __eq__ = refuse
    __hash__ = None

    def __call__(self):
        print("called")

bound = True
if sys.argv[1] == "exit function before":
    atexit.register(Proxy())
stop = threading.Event()
thread = threading.Thread(target=lambda: (stop.wait(), print("stopped")))
thread.start()
graceexit.register(thread, stop=stop)
if sys.argv[1] == "item":
    graceexit.on_exit(Proxy())
if sys.argv[1] == "exit function after":
    atexit.register(Proxy())
bound = False
if sys.argv[2] == "signal":
    signal.raise_signal(signal.SIGTERM)
sys.exit(3)
"""


@pytest.mark.parametrize(("ends", "status"), [("end", 3), ("signal", -SIGTERM)])
@pytest.mark.parametrize("what", ["item", "exit function before", "exit function after"])
def test_what_cannot_be_looked_at_or_compared_does_not_hold_up_the_exit(script, what, ends, status):
    """A proxy outside of its context raises whatever it is asked; to call it is another matter."""
    lines, got = script(PROXY, what, ends).finish()
    assert (steps(lines), got) == (["stopped", "called"], status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_exit_function_that_cannot_be_compared_does_not_spoil_a_fork(script):
    """The child begins anew, with the callback that each process runs."""
    lines, status = script("""
        import atexit, os, sys
        import graceexit

        class Incomparable:
            def __eq__(self, other):
                raise RuntimeError("compare me not")

            def __call__(self):
                print("exit function", flush=True)

        graceexit.on_exit(lambda: print("each", flush=True), each_process=True)
        atexit.register(Incomparable())
        child = os.fork()
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        else:
            sys.exit(3)
    """).finish()
    ours = without(lines, INLINE)  # where that is said, both say it
    assert (ours, status) == (["each", "exit function", "3", "each", "exit function"], 0)


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="there a stuck thread hangs")
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


# Where no thread can be started.


def test_a_signal_while_the_join_goes_on_without_an_ender_ends_the_program(script):
    """Nobody else can make the main thread leave it."""
    joining = script("""
        import refusing, threading, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        other = threading.Thread(target=time.sleep, args=[60])
        other.start()
        graceexit.on_exit(lambda: print("begun"), order=-1)
        refusing.allow(0)
    """)
    joining.wait_for("begun")
    joining.send_until_it_ends(SIGTERM)  # it may not be in the join yet
    lines, status = joining.finish()
    assert without(lines, INLINE) == ["closed"]
    assert status == -SIGTERM


def test_a_signal_while_the_items_run_on_the_main_thread_lets_them_end(script):
    """It is to leave the join and nothing else."""
    lines, status = script("""
        import refusing, os, signal
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        graceexit.on_exit(lambda: (os.kill(os.getpid(), signal.SIGTERM), print("closing")))
        refusing.allow(0)
    """).finish()
    assert without(lines, INLINE) == ["closing", "closed"]
    assert status == -SIGTERM


def test_a_child_without_threads_runs_its_items_before_the_join(script, start_method):
    """A child of multiprocessing may come to no exit function."""
    lines, status = script(
        """
        import multiprocessing
        import sys

        def work():
            import refusing
            import graceexit

            graceexit.on_exit(lambda: print("closed"))
            refusing.allow(0)

        if __name__ == "__main__":
            child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
            child.start()
            child.join()
            sys.exit(child.exitcode)
        """,
        start_method,
    ).finish()
    assert without(lines, INLINE) == ["closed"]
    assert status == 0


def test_a_child_without_threads_dies_of_sigterm_after_its_items(script):
    """The handler runs them itself."""
    lines, status = script("""
        import multiprocessing, sys, time

        def work(begun):
            import refusing
            import graceexit

            graceexit.on_exit(lambda: print("closed"))
            refusing.allow(0)
            print("begun")
            begun.set()
            while True:
                time.sleep(0.01)

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            begun = context.Event()
            child = context.Process(target=work, args=[begun])
            child.start()
            begun.wait()
            child.terminate()
            child.join()
            print(child.exitcode)
    """).finish()
    assert without(lines, INLINE) == ["begun", "closed", "-15"]
    assert status == 0


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="there is no ender there")
@pytest.mark.parametrize("where", ["main", "fork", "spawn"])
def test_an_ender_alone_is_enough(script, where):
    """The limit is reached by the ender: it joins the others, and nothing joins it."""
    lines, status = script(
        """
        import multiprocessing, sys, threading, time

        def work():
            import refusing
            import graceexit

            other = threading.Thread(target=lambda: (time.sleep(0.5), print("other")))
            other.start()
            graceexit.on_exit(lambda: print("closed"))
            refusing.allow(1)

        if __name__ == "__main__":
            if sys.argv[1] == "main":
                work()
            else:
                child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
                child.start()
                child.join()
                sys.exit(child.exitcode)
        """,
        where,
    ).finish()
    assert without(lines, INLINE) == ["other", "closed"]
    assert status == 0


# What is broken or closed.


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
    broken.wait_for("ready")
    broken.send(SIGTERM)
    _, status = broken.finish()
    assert status == -SIGTERM
    assert (tmp_path / "closed").exists()


@pytest.mark.skipif(NO_THREADS_AT_THE_END, reason="nothing waits for other threads there")
def test_an_ignored_ctrl_c_stays_ignored_during_the_exit(script):
    """As under nohup and in the background of a shell."""
    ignoring = script("""
        import signal, threading, time
        import graceexit

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        graceexit.on_exit(lambda: (print("begun"), time.sleep(1), print("closed")))
        graceexit._exit.SAME_PRESS = 0
    """)
    ignoring.wait_for("begun")
    ignoring.send(SIGINT)
    lines, status = ignoring.finish()
    assert (lines, status) == (["closed"], 0)


# Pieces.


def exit_of(process, grace=None, linger=5.0, clock=time.monotonic):
    """Return the end of a process, of which nothing has begun, and which ends nothing."""
    process.settings.change(grace=grace, linger=linger)
    given = process.registry, process.exiting, process.handlers, Executors()
    ending = Exit(*given, process.settings, process.be_first)
    ending.limits.clock = clock
    ending.limits._timer = None
    return ending


def test_a_thread_that_cannot_be_joined_yet_is_tried_again():
    """It is being started at this moment."""
    ender = exit_of(Process()).ender
    asked = []
    ender.others = lambda: [] if asked[1:] else asked.append(1) or [threading.Thread()]
    ender._accompany()
    assert len(asked) == 2
    assert ender._bell.wait(0)


def test_the_main_thread_leaves_the_join_and_nothing_else():
    """Neither the hook, nor the exit functions; and nothing before it is asked to."""
    ending = exit_of(Process())

    def _shutdown(frame):
        ending.leave(0, frame(), None)

    # As a function of threading's, such as that which joins.
    join = FunctionType(_shutdown.__code__, vars(threading), closure=_shutdown.__closure__)
    join(sys._getframe)
    ending.ender.phase = "leaving"
    ending.ender.main.ended.set()
    ending.leave(0, sys._getframe(), None)
    with pytest.raises(Leave):
        join(sys._getframe)


def test_the_first_signal_is_the_one_that_is_told():
    """A parent may send SIGTERM after the SIGHUP of a terminal."""
    process = Process()
    ending = exit_of(process)
    ending.notice(SIGTERM)
    ending.notice(SIGINT)
    assert (process.exiting.is_set(), process.exiting.signum) == (True, SIGTERM)


def test_ctrl_c_counts_from_the_press_before_and_no_more_once_it_ends_the_process(
    monkeypatch, capfd
):
    """Two within half a second are one, and a third does not begin the death anew."""
    monkeypatch.setattr("graceexit._signals.die", lambda signum: died.append(now[0]))
    died = []
    now = [100.0]
    ending = exit_of(Process(), clock=lambda: now[0])
    ending.end_by = lambda *_, **__: ending.limits.ask()
    ending.ender.main.hooks_over.set()
    ending.ender.phase = "waiting"
    for now[0] in (100.0, 100.4, 100.6, 102.0):
        ending.interrupt(SIGINT, None, SimpleNamespace(previous=None))
    ending.ender._jobs.end()
    assert died == [100.6]
    assert said(capfd.readouterr().err.splitlines()) == ["ended at once; still running: nothing"]


def test_ctrl_c_as_the_exit_begins_is_a_notice():
    """What stood there before would raise into Python's join, and skip the hooks of others."""
    process = Process()
    process.registry._attend = None
    process.registry.register(print)
    ending = exit_of(process)
    ending.ender.started = True
    ending.end_by = lambda *_: None
    python = SimpleNamespace(previous=lambda *_: pytest.fail("it has been raised"))
    ending._handlers.take_over = lambda interrupt, _: interrupt(SIGINT, None, python)
    ending.ender.main_ends = lambda: None
    ending._begin()
    ending.ender.abandon()
    assert process.exiting.signum == SIGINT
    process.uninstall()


def test_the_grace_counts_from_the_first_sign_of_the_end():
    """The end of the main thread, which has taken some of it to unwind, begins no new one."""
    now = [100.0]
    limits = exit_of(Process(), grace=10.0, clock=lambda: now[0]).limits
    limits.begin()
    now[0] = 105.0
    limits.begin()
    limits.close()
    assert limits.left() == 5.0


@pytest.mark.parametrize(("grace", "limit"), [(2.0, 101.8), (60.0, 159.5)])
def test_some_of_the_grace_is_left_for_the_death(grace, limit):
    """A tenth of it, half a second at most: items and exit functions have to be over by then."""
    limits = exit_of(Process(), grace=grace, clock=lambda: 100.0).limits
    assert limits.limit() is None
    limits.begin()
    limits.close()
    assert limits.limit() == limit


def test_items_wait_until_the_main_thread_has_ended():
    """However long it unwinds."""
    ender, ran = exit_of(Process()).ender, []
    ender.run = lambda **_: ran.append(ender.main.ended.is_set()) or []
    ender.others = list
    ender._finish = lambda: None
    thread = threading.Thread(target=ender._end, daemon=True)
    thread.start()
    while thread.is_alive() and not (ender.phase == "waiting" or ran):
        time.sleep(0.001)
    ender.main.ended.set()
    ender._bell.ring()
    thread.join()
    assert ran == [True]


@pytest.mark.parametrize(("grace", "patience"), [(2.0, 0.5), (60.0, 1.0), (None, 1.0)])
def test_the_log_has_a_second_or_a_quarter_of_what_is_left(grace, patience):
    """It may be the very thing that is stuck."""
    process, waited = Process(), []
    process.registry._say().flush = waited.append
    ending = exit_of(process, grace=grace, clock=lambda: 100.0)
    ending.limits.begin()
    ending.limits.close()
    ending.story.flush()
    assert waited == [patience]


def test_the_last_resort_is_not_armed_while_a_thread_forks():
    """The child would hang as it ends; the signal may come at any moment of the fork."""
    armed = []
    process = Process()
    process.exit = ending = exit_of(process, grace=10.0)
    ending.limits._timer = SimpleNamespace(
        dump_traceback_later=lambda *_, **__: armed.append(True),
        cancel_dump_traceback_later=lambda: None,
    )
    process._fork(1)
    ending.limits.begin()
    assert armed == []
    process._fork(-1)
    ending.limits.close()
    assert armed == [True]


def test_an_exit_that_begins_while_a_thread_forks_knows_of_it():
    """The signal may come at any moment of the fork."""
    process = Process()
    process._installed, process._pid, process._executors = True, os.getpid(), Executors()
    process._fork(1)
    assert process.ending().limits.forking == 1
    process._fork(-1)
    assert process.ending().limits.forking == 0


def test_linger_counts_from_the_first_sign():
    """The end of the main thread, which has taken some of it to unwind, begins no new one."""
    times = [100.0]
    limits = Limits(linger=5.0, clock=lambda: times[-1])
    limits.ask()
    times.append(102.0)
    limits.ask()
    assert limits.patience() == 3.0


def test_streams_that_are_gone_are_passed_over(monkeypatch, capfd):
    """A program under `pythonw` has none."""
    monkeypatch.setattr(sys, "stdout", None)
    exit_of(Process()).story.last_words("said all the same\n")
    assert capfd.readouterr().err == "said all the same\n"


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


def test_a_stack_that_is_not_known_is_none():
    """The thread has ended, or there never was one."""
    assert stack_of(None) is None
    assert stack_of(12345) is None


def test_a_handler_that_was_there_before_python_stays(monkeypatch):
    """Python cannot put it back, so nothing goes in front of it and nothing takes its place."""
    handlers = Handlers(pytest.fail, pytest.fail)
    monkeypatch.setattr("graceexit._signals.getsignal", lambda signum: None)
    before = signal.getsignal(SIGTERM), signal.getsignal(SIGINT)
    handlers.install([SIGTERM, SIGINT])
    handlers.take_over(pytest.fail, pytest.fail)
    assert (signal.getsignal(SIGTERM), signal.getsignal(SIGINT)) == before
    handlers.uninstall()


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
    interrupted.wait_for("ready")
    interrupted.send(SIGINT)
    lines, status = interrupted.finish()
    assert "left" in lines
    assert any(
        line.startswith("callback 'broken' ") and " failed: " in line for line in said(lines)
    )
    assert status == -SIGINT
