"""Whose items run in which process: children of multiprocessing, forks, pools, containers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import (
    INLINE,
    cut_off,
    needs_threads_at_the_end,
    said,
    steps,
    without,
)
from wording import assert_one_says

# Python 3.12 and later warn of a fork where there are threads, which is what some programs do.
FORKS = {"PYTHONWARNINGS": "ignore:This process:DeprecationWarning"}
UNSHARE = ("unshare", "--fork", "--pid", "--kill-child", "--user", "--map-root-user")


def of(lines, *names):
    """Return the lines that begin with one of the names: no traceback, no warning."""
    return [line for line in lines if line.startswith(names)]


@pytest.mark.parametrize(("ends", "code"), [("end", 0), ("exit", 7), ("exception", 1)])
def test_a_child_runs_what_it_has_registered_and_nothing_of_its_parent(
    scenario, start_method, ends, code
):
    """Its exit code is what it would be; the parent's item runs once, in the parent."""
    lines, status = scenario("child", start_method, ends, "joins").finish()
    lines = without(lines, INLINE)
    own, parents = of(lines, "child", "graceexit"), of(lines, "exit", "parent")
    assert own == ["child stopped", "child closed"]  # what was dropped is worth no warning here
    assert (parents, status) == ([f"exit code {code}", "parent closed"], 0)


@pytest.mark.field(kind="a stuck thread in a child")
def test_a_stuck_thread_of_a_child_is_left_behind_and_the_exit_code_is_kept(scenario, start_method):
    """The child ends with the 7 of its `sys.exit(7)`, though a thread of it does not stop."""
    lines, status = scenario("child", start_method, "stuck", "joins").finish()
    assert of(lines, "told", "child", "exit", "parent") == [
        *("told", "child closed", "exit code 7", "parent closed")
    ]
    assert [line for line in said(lines) if "did not end within timeout=0.2 s" in line]
    assert status == 0


@pytest.mark.parametrize(
    ("parent", "expected", "status"),
    [
        ("terminates", ["child stopped", "child closed", "exit code -15", "parent closed"], 0),
        ("registers", ["child stopped", "child closed", "parent closed"], -signal.SIGTERM),
        ("waits", ["child closed", "child stopped", "parent closed"], -signal.SIGTERM),
    ],
)
def test_sigterm_runs_the_items_of_whoever_gets_it(
    scenario, start_method, parent, expected, status
):
    """A child ended by its parent, as an item of its parent, or together with its group."""
    running = scenario("child", start_method, "wait", parent)
    running.wait_for("ready")
    if parent == "registers":
        running.send(signal.SIGTERM)
    elif parent == "waits":
        running.send_group(signal.SIGTERM)
    _, ended = running.finish()
    lines = of(running.lines, "child", "exit", "parent")
    if parent == "waits":  # each on its own
        lines.sort()
    assert (lines, ended) == (expected, status)


DROPPED = (
    "registered by the parent process, and not run in this fork of it: callback '<lambda>'"
    " (forked.py:26), thread 'Thread-1 (wait)'; threads and connections do not follow a fork: make"
    " them in the child, and register them there; each_process=True is for a callback that needs"
    " nothing of the parent"
)


@pytest.mark.parametrize(
    ("words", "child"),
    [
        ("", []),
        ("registers", ["child closes what it has opened"]),
        ("each", ["child closes its own"]),
        ("each registers", ["child closes what it has opened", "child closes its own"]),
    ],
)
@pytest.mark.parametrize("ends", ["exit", "signal"])
def test_a_forked_child_runs_only_what_is_for_each_process(scenario, words, child, ends):
    """The rest is its parent's; what is dropped is said when the child ends by itself."""
    forked = scenario("forked", *words.split(), *["waits"] * (ends == "signal"), env=FORKS)
    pid = int(forked.wait_for(re.compile("^ready")).split()[1])
    if ends == "signal":
        os.kill(pid, signal.SIGTERM)
    lines, status = forked.finish()
    code = -signal.SIGTERM if ends == "signal" else 7
    lines = without(lines, INLINE)
    warned = [] if ends == "signal" and not child else [DROPPED]
    parents = [f"exit code {code}", "parent stops the thread"]
    parents += ["parent closes its own"] * ("each" in words) + ["parent closes"]
    assert of(lines, "child") == child
    assert [re.sub(r"/\S+/", "", line) for line in said(lines)] == warned
    assert of(lines, "exit", "parent") == parents
    assert (len(lines), status) == (len(child) + len(warned) + len(parents), 0)


def test_of_many_items_that_a_fork_drops_a_few_are_named(script):
    """The ones registered last."""
    lines, status = script("""
        import os, sys
        import graceexit

        for number in range(8):
            graceexit.on_exit(lambda: None, name=f"item {number}")
        if pid := os.fork():
            os.waitpid(pid, 0)
    """).finish()
    assert status == 0
    names = r"callback 'item 7' \(\S+\), .*, callback 'item 3' \(\S+\) and 3 more; threads and"
    assert_one_says(lines, names)


@pytest.mark.parametrize("then", ["pass", 'graceexit.on_exit(lambda: print("its own"))'])
def test_a_forked_child_that_uninstalls_is_told_of_nothing(script, then):
    """It has said that it wants no items run, its parent's least of all."""
    lines, status = script(f"""
        import os, sys
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        if pid := os.fork():
            print("exit code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        else:
            graceexit.uninstall()
            {then}
            sys.exit(3)
    """).finish()
    lines = without(lines, INLINE)
    own = ["its own"] * (then != "pass")
    assert (lines, status) == ([*own, "exit code 3", "closed"], 0)


@pytest.mark.parametrize("how", ["close", "terminate"])
def test_the_workers_of_a_pool_run_their_items_once_each(scenario, start_method, how):
    """Whether the pool is closed or terminated, nothing hangs and nothing runs twice."""
    lines, status = scenario("pool", start_method, how).finish()
    assert sorted(of(lines, "worker", "joined", "parent")) == [
        *("joined", "parent closed", "worker closed", "worker closed")
    ]
    assert status == 0


@pytest.mark.parametrize("how", ["busy", "idle"])
def test_a_worker_of_an_executor_dies_of_sigterm_and_its_parent_sees_that(
    scenario, start_method, how
):
    """A SystemExit would be handed to the parent as the task's result; the signal breaks it."""
    pool = scenario("pool", start_method, how)
    busy = int(pool.wait_for(re.compile("^busy")).split()[1])
    if how == "busy":
        os.kill(busy, signal.SIGTERM)
    lines, status = pool.finish()
    expected = ["worker closed", *["broken"] * (how == "busy"), "joined", "parent closed"]
    assert (of(lines, "worker", "broken", "joined", "parent"), status) == (expected, 0)


LINGERS = """
import multiprocessing, sys, threading, time

def work(closed, over):
    import graceexit

    def wait():
        while not (own.exit and own.exit.ender.over.is_set()):
            time.sleep(0.01)
        closed.set()
        over.wait()

    own = graceexit._process.own
    graceexit.install(linger=0.2)
    graceexit.on_exit(lambda: print("closed"))
    threading.Thread(target=wait).start()

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    closed, over = context.Event(), context.Event()
    child = context.Process(target=work, args=[closed, over])
    child.start()
    closed.wait()
    if sys.argv[2] == "waits":
        over.set()
    else:
        child.terminate()
    child.join()
    print(child.exitcode)
"""


@pytest.mark.parametrize(("parent", "code"), [("waits", 0), ("terminates", -signal.SIGTERM)])
def test_items_of_a_child_wait_for_its_threads_as_long_as_linger(
    script, start_method, parent, code
):
    """The child itself waits for them as ever, unless its parent sends a signal, however late."""
    lines, status = script(LINGERS, start_method, parent, env=FORKS).finish()
    lines, cut = cut_off(without(lines, INLINE))
    assert (lines, status) == (["closed", str(code)], 0)
    assert cut == ["Thread-1 (wait)"]


@needs_threads_at_the_end("Python does not fork then either")
@pytest.mark.parametrize("where", ["helper", "main"])
@pytest.mark.parametrize(("child", "code"), [("exits", 5), ("returns", 0)])
def test_a_fork_inside_an_item_runs_nothing_of_its_parent(scenario, child, code, where):
    """The thread that forked goes on in the child, and stops where its item ends."""
    lines, status = scenario("fork_inside", child, where, env=FORKS).finish()
    lines = without(lines, INLINE)
    assert (lines, status) == (["opened True", f"exit code {code}", "closed True"], 0)


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this platform has no fork")
def test_a_signal_that_a_forked_child_gets_at_once_is_its_own(script):
    """One that comes before graceexit has begun anew there: it dies of it, and runs nothing."""
    lines, status = script("""
        import os, signal, time
        import graceexit

        parent = os.getpid()
        # Before graceexit's own, which the first registration puts in place.
        os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
        graceexit.on_exit(lambda: print("closed", os.getpid() == parent))
        if not (child := os.fork()):
            print("the child goes on")
            time.sleep(1)
            os._exit(9)
        print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """).finish()
    assert (steps(lines), status) == (["exit code -15", "closed True"], 0)


def test_a_signal_that_a_forked_child_gets_at_once_begins_an_exit_that_goes_on(script):
    """What its handler has begun is not begun anew: the child runs what each process runs."""
    lines, status = script(
        """
        import os, signal, time
        import graceexit

        parent = os.getpid()
        # Before graceexit's own, which the first registration puts in place.
        os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
        graceexit.on_exit(lambda: print("closed", os.getpid() == parent), each_process=True)
        if not (child := os.fork()):
            time.sleep(1)
            os._exit(9)
        print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    ).finish()
    lines = without(lines, INLINE)  # each process says it
    assert (lines, status) == (["closed False", "exit code -15", "closed True"], 0)


@needs_threads_at_the_end("nothing is logged by a thread")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_handler_that_raises_as_a_child_says_what_it_has_dropped_skips_no_hook(script):
    """The hooks of others run all the same."""
    lines, status = script("""
        import logging, os, signal, sys, threading
        import graceexit

        class Signals(logging.Handler):
            def emit(self, record):
                os.kill(os.getpid(), signal.SIGTERM)
                handled.wait()

        def handler(*_):
            handled.set()
            sys.exit(5)

        handled = threading.Event()
        logging.getLogger("graceexit").addHandler(Signals())
        threading._register_atexit(print, "the other hook")  # which runs after ours
        graceexit.on_exit(lambda: None)
        if not (child := os.fork()):
            signal.signal(signal.SIGTERM, handler)
            sys.exit(3)
        print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    """).finish()
    assert (steps(lines), status) == (["the other hook", "exit code 3"], 0)


TWICE = """
import multiprocessing, os, signal, sys, threading

def end_twice():
    import graceexit

    def hook():
        print("hook")
        if not handled.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            handled.wait()

    def handler(*_):
        handled.set()
        sys.exit(5)

    handled = threading.Event()
    threading._register_atexit(hook)
    graceexit.install(linger=None)
    graceexit.on_exit(lambda: print("closed"))
    signal.signal(signal.SIGTERM, handler)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=end_twice)
    child.start()
    child.join()
    print("exit code", child.exitcode)
"""


@needs_threads_at_the_end("nobody waits for what runs the items")
def test_a_child_that_is_interrupted_in_its_hooks_runs_them_twice_and_its_items_once(script):
    """What waits for the end is started once: two would wait for each other."""
    lines, status = script(TWICE).finish()
    assert of(lines, "hook", "closed", "exit") == ["hook", "closed", "hook", "exit code 5"], lines
    assert status == 0


@needs_threads_at_the_end("Python does not fork then either")
def test_a_fork_inside_an_item_begins_anew(scenario):
    """It has noticed nothing, has Python's handlers, and can register and run."""
    lines, status = scenario("fork_inside", "begins anew", "helper", env=FORKS).finish()
    anew = ["exiting False", "Python's handler True", "cleaned up"]
    assert (lines, status) == (["opened True", *anew, "exit code 5", "closed True"], 0)


@needs_threads_at_the_end("Python does not fork then either")
def test_a_fork_inside_a_stop_tells_no_other_thread_in_the_child(script):
    """Those threads are not there, and what would tell them may be shared with the parent."""
    lines, status = script(
        """
        import os, threading
        import graceexit

        parent = os.getpid()
        flag = threading.Event()

        def tell():
            print("told", os.getpid() == parent)
            flag.set()

        def fork():
            if child := os.fork():
                print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        for stop in (tell, fork):
            thread = threading.Thread(target=flag.wait)
            thread.start()
            graceexit.register(thread, stop=stop)
        """,
        env=FORKS,
    ).finish()
    assert (sorted(lines), status) == (["exit code 0", "told True"], 0)


@pytest.mark.field(kind="a fork beside threads that register")
def test_a_fork_asks_for_nothing_that_another_thread_may_have_locked(script):
    """Without a GIL a dict has a lock, which nobody gives back in the child."""
    lines, status = script(
        """
        import os
        import graceexit
        from graceexit import _process

        class Locked(dict):
            def wait(self, *args):
                if os.getpid() != parent:
                    print("waits for ever", flush=True)
                    os._exit(1)

            def __iter__(self):
                self.wait()
                return super().__iter__()

            def clear(self):
                self.wait()

        parent = os.getpid()
        graceexit.install()
        _process.own.registry._items = Locked()
        graceexit.on_exit(lambda: print("closed", os.getpid() == parent), each_process=True)
        if child := os.fork():
            os.waitpid(child, 0)
        """,
        env=FORKS,
    ).finish()
    assert (of(lines, "closed", "waits"), status) == (["closed False", "closed True"], 0)


def test_what_is_unregistered_as_a_fork_begins_is_not_run_in_the_child(script):
    """A hook of somebody else may do so behind ours, and a thread at that moment."""
    lines, status = script(
        """
        import os
        import graceexit

        os.register_at_fork(before=lambda: print("unregistered", graceexit.unregister(item)))
        item = graceexit.register(lambda: print("closed"), each_process=True)
        if child := os.fork():
            os.waitpid(child, 0)
        """,
        env=FORKS,
    ).finish()
    assert (lines, status) == (["unregistered True"], 0)


def test_a_fork_that_code_in_c_makes_is_noticed(script):
    """No hook of Python's is called then."""
    lines, status = script("""
        import ctypes, os
        import graceexit

        parent = os.getpid()
        graceexit.on_exit(lambda: print("closed", os.getpid() == parent), each_process=True)
        if child := ctypes.PyDLL(None).fork():
            os.waitpid(child, 0)
    """).finish()
    assert (of(lines, "closed", "waits"), status) == (["closed False", "closed True"], 0)


@pytest.mark.parametrize("ends", ["os._exit", "sys.exit", "registers"])
def test_a_fork_as_the_main_thread_unwinds_is_a_process_of_its_own(scenario, ends):
    """The signal was for its parent: it ends as it says, and runs what it has registered itself."""
    forked = scenario("fork_late", "finally", ends, env=FORKS)
    lines, status = forked.end_by(signal.SIGTERM)
    own = ["child closed"] * (ends == "registers")
    assert of(lines, "child", "exit", "closed") == [*own, "exit code 5", "closed True"]
    assert status == -signal.SIGTERM


@needs_threads_at_the_end("Python does not fork then either")
@pytest.mark.parametrize("where", ["hook", "thread", "exit function"])
def test_a_fork_while_the_process_ends_runs_nothing_of_its_parent(scenario, where):
    """In a hook of somebody else, in a thread that is waited for, and behind the items."""
    forked = scenario("fork_late", where, "os._exit", env=FORKS)
    lines, status = forked.end_by(signal.SIGTERM)
    expected = ["exit code 5", "closed True"]
    if where == "exit function":
        expected.reverse()
    assert (lines, status) == (expected, -signal.SIGTERM)


@pytest.mark.parametrize(("how", "status"), [("waits", 143), ("swallows", 143), ("raises", 3)])
def test_process_1_of_a_container_ends_with_the_status_of_the_signal(program, how, status):
    """The kernel lets no signal kill it; what a server raises itself comes back, as ever."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a namespace of processes (unshare) is not permitted here")
    path = Path(__file__).parent / "scenarios" / "process_1.py"
    container = program(*UNSHARE, sys.executable, path, how)
    container.wait_for("process 1")
    if how != "raises":
        inside = [
            pid for pid, words in container.members().items() if words.split()[0] != "unshare"
        ]
        os.kill(*inside, signal.SIGTERM)
    lines, ended = container.finish()
    lines, cut = cut_off(lines)
    dropped = ["the kernel has dropped it"] * (how == "raises")
    assert (steps(lines), ended) == (["closed", *dropped], status)
    assert cut == ["main thread"] * (how == "swallows")


@pytest.mark.parametrize(("ends", "status"), [("exit", 0), ("signal", -signal.SIGTERM)])
def test_a_child_of_a_process_that_has_only_imported_it_runs_its_own(script, ends, status):
    """A process begins with its first registration, not with the import."""
    lines, _ = script(
        """
        import os, signal, sys, time
        import graceexit

        if not (child := os.fork()):
            graceexit.on_exit(lambda: print("closed"))
            if sys.argv[1] == "signal":
                os.kill(os.getpid(), signal.SIGTERM)
                while True:
                    time.sleep(0.01)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        ends,
    ).finish()
    assert steps(lines) == ["closed", str(int(status))]


BUSY = """
import os, signal, time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

def work():
    import graceexit

    graceexit.install(linger=60)
    graceexit.on_exit(lambda: print("closed"))
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        time.sleep(0.01)

if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool:
        try:
            pool.submit(work).result()
        except BrokenProcessPool:
            print("broken")
"""


def test_the_worker_of_an_executor_that_stands_still_is_not_waited_for(script):
    """It has nothing to finish in `linger`, and is nobody who is cut off."""
    assert script(BUSY, env=FORKS).finish() == (["closed", "broken"], 0)


def test_a_fork_in_what_unwinds_writes_nothing_of_its_parent(script):
    """The file of a function that has ended belongs to the parent, with what is in its buffer."""
    worker = script(
        """
        import multiprocessing, time
        import graceexit

        def write():
            rows = open("rows", "w")
            rows.write("row")
            print("ready")
            while True:
                time.sleep(0.01)

        graceexit.on_exit(lambda: print(open("rows").read()))
        try:
            write()
        finally:
            child = multiprocessing.get_context("fork").Process(target=print, args=("child",))
            child.start()
            child.join()
        """,
        env={"PYTHONWARNINGS": "ignore:This process:DeprecationWarning"},
    )
    lines, status = worker.end_by(signal.SIGTERM)
    assert (without(lines, INLINE), status) == (["child", "row"], -signal.SIGTERM)
