"""Nobody holds the exit: no registrations, no code of the program, no process, no terminal."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from functools import partial
from textwrap import dedent, indent

import pytest
from harness import INLINE, WITHOUT_GIL, needs_threads_at_the_end, without
from wording import assert_one_says, own, steps

from graceexit import Registry

SIGTERM = signal.SIGTERM

needs_an_ender = needs_threads_at_the_end("no item is left behind")


def at_depth(depth, source):
    """Return *source* so that it can stand in a program at that depth."""
    return indent(dedent(source), "    " * depth).strip()


def needs(module):
    """Skip by name what needs somebody else's package, where that is missing."""
    missing = not importlib.util.find_spec(module)
    return pytest.mark.skipif(missing, reason=f"{module} is not installed")


@pytest.fixture
def ended(script):
    """Run a program to the end, its own or that which SIGTERM brings; return lines and status."""

    def run(source, how, **options):
        worker = script(source, *["waits"] * (how == "SIGTERM"), **options)
        worker.wait_for("ready")
        if how == "SIGTERM":
            worker.send(SIGTERM)
        return worker.finish()

    return run


STATUS = {"end": 0, "SIGTERM": -SIGTERM}
HOW = pytest.mark.parametrize("how", STATUS)
REST = """
        print("ready")
        while len(sys.argv) > 1:
            time.sleep(0.01)
"""


# Registrations that come and go


@pytest.mark.field(kind="registrations that come and go")
@HOW
@pytest.mark.parametrize("subject", ["nothing", "lambda: None"], ids=["the same", "another one"])
def test_registrations_that_come_and_go_cannot_keep_the_exit(ended, subject, how):
    """Threads register and unregister for each job, all the while."""
    lines, status = ended(
        f"""
        import atexit, sys, threading, time
        import graceexit

        def work():
            while not over.is_set():
                item = graceexit.register({subject})
                end = time.perf_counter() + 3e-6
                while time.perf_counter() < end:
                    pass
                graceexit.unregister(item)

        def nothing():
            pass

        @atexit.register  # after the items: a busy daemon thread can crash Python 3.10 as it ends
        def end_all():
            over.set()
            for thread in threads:
                thread.join()

        over = threading.Event()
        graceexit.on_exit(lambda: print("closed"))
        threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        """
        + REST,
        how,
    )
    assert (own(lines), status) == (["closed"], STATUS[how])


@HOW
def test_items_that_register_items_for_ever_are_run_a_thousand_times(ended, how):
    """The rest is one result, which counts them; the process ends."""
    lines, status = ended(
        """
        import sys, time
        import graceexit

        def again():
            count.append(1)
            graceexit.on_exit(lambda: again())

        count = []
        graceexit.on_exit(lambda: print("closed"))
        graceexit.on_exit(again)
        """
        + REST,
        how,
    )
    assert (own(lines), status) == (["closed"], STATUS[how])


def test_what_is_not_run_for_ever_is_one_result_that_counts(script):
    """Generation after generation is run, up to a thousand of them."""
    lines, status = script("""
        import graceexit

        def again():
            ran.append(1)
            registry.on_exit(lambda: again())
            registry.on_exit(lambda: None, name="the other")

        ran, registry = [], graceexit.Registry()
        registry.on_exit(again)
        report = registry.run()
        rest = [result for result in report.results if result.outcome != "done"]
        print("generations:", len(ran) in (1000, 1001), report.ok)
        print(len(rest), rest[0].outcome, "2" in f"{rest[0].name} {rest[0].error}")
    """).finish()
    assert (own(lines), status) == (["generations: True False", "1 not run True"], 0)


@pytest.mark.field(kind="an item that registers thousands")
def test_all_that_one_item_registers_is_run():
    """They are one generation, however many they are."""
    registry, ran = Registry(), []

    @registry.on_exit
    def close_all():
        for _ in range(12_000):
            registry.on_exit(lambda: ran.append(1))

    report = registry.run()
    assert (len(ran), report.ok) == (12_000, True)


def seconds_for(count):
    """Return the processor time in which so many items run that each register one more."""
    registry = Registry()
    for _ in range(count):
        registry.register(lambda: registry.register(lambda: None, timeout=None), timeout=None)
    began = time.process_time()
    report = registry.run()
    assert (len(report.results), report.ok) == (2 * count, True)
    return time.process_time() - began


@pytest.mark.field(kind="items that each register one more")
def test_items_that_each_register_one_more_cost_each_what_one_costs():
    """Ten times as many take about ten times as long, not a hundred times."""
    # No more than a cache of the processor holds, which others use too.
    many, few = (min(seconds_for(count) for _ in range(3)) for count in (5_000, 500))
    assert many < 30 * few


def test_a_chain_of_items_that_each_register_one_more_is_run():
    """It may be as long as the generations are many."""
    registry, ran = Registry(), []

    def one():
        ran.append(1)
        if len(ran) < 900:
            registry.on_exit(partial(one))

    registry.on_exit(one)
    report = registry.run()
    assert (len(ran), len(report.results), report.ok) == (900, 900, True)


# The program's own texts, names and comparisons

HANGS = {
    "the text of an error": """
        class Error(Exception):
            def __str__(self):
                hang()

        def fail():
            raise Error

        graceexit.on_exit(fail)
    """,
    "the representation of an error": """
        class Error(Exception):
            def __repr__(self):
                hang()

            __str__ = __repr__

        def fail():
            raise Error from Error()

        graceexit.on_exit(fail)
    """,
    "the name of a thread": """
        class Thread:
            name = property(lambda self: hang())

            def join(self, timeout=None):
                time.sleep(min(timeout or 0, 0.1))

            def is_alive(self):
                return True

        graceexit.register(Thread(), stop=nothing, timeout=0.3)
    """,
    "is_alive": """
        class Thread:
            def join(self, timeout=None):
                pass

            def is_alive(self):
                return not graceexit.exiting.is_set() or hang()

        graceexit.register(Thread(), stop=nothing, timeout=0.3)
    """,
    "join": """
        class Thread:
            def join(self, timeout=None):
                hang()

            def is_alive(self):
                return True

        graceexit.register(Thread(), stop=nothing, timeout=0.3)
    """,
    "stop": """
        thread = threading.Thread(target=hang, daemon=True)
        thread.start()
        graceexit.register(thread, stop=hang, timeout=0.3)
    """,
    "the name of a callback": """
        class Callback:
            def __getattr__(self, name):
                return hang()

            def __call__(self):
                raise ValueError

        graceexit.on_exit(Callback())
    """,
    "==": """
        class Callback:
            __hash__ = None

            def __eq__(self, other):
                return hang()

            def __call__(self):
                pass

        atexit.register(Callback())
        graceexit.on_exit(Callback())
    """,
}
HANG = """
        import atexit, sys, threading, time
        import graceexit

        def hang():
            while graceexit.exiting.is_set():
                time.sleep(0.01)
            return "text"

        def nothing():
            pass

        graceexit.on_exit(lambda: print("closed"))
"""


@pytest.mark.field(kind="a text that hangs")
@needs_an_ender
@HOW
@pytest.mark.parametrize("what", HANGS)
def test_no_code_of_the_program_keeps_the_exit(ended, what, how):
    """Whatever asks for it does so within a limit, and the process ends as it would."""
    lines, status = ended(HANG + HANGS[what] + REST, how)
    assert "closed" in lines
    assert status == STATUS[how]


RAISES = {
    "str": "class Error(Exception):\n    def __str__(self): raise KeyError",
    "a name": "class Error(Exception):\n    __name__ = property(lambda self: 1 / 0)",
}


@pytest.mark.parametrize("what", RAISES)
def test_no_text_of_the_program_raises_out_of_the_exit(what):
    """An error whose text fails is reported all the same."""
    scope = {}
    exec(RAISES[what], scope)  # noqa: S102 - the class that a program has

    def fail():
        raise scope["Error"]

    registry = Registry()
    registry.on_exit(fail)
    report = registry.run()
    assert [result.outcome for result in report.results] == ["failed"]
    assert "failed" in str(report)
    assert str(report.results[0])


# What it has beside it


@pytest.mark.field(kind="two copies of the package")
@HOW
def test_two_copies_of_the_package_do_not_wait_for_each_other(ended, how):
    """One vendored by a library, one installed: both run their items."""
    lines, status = ended(
        """
        import sys, threading, time
        import graceexit as one

        for name in [name for name in sys.modules if name.startswith("graceexit")]:
            del sys.modules[name]
        import graceexit as two

        def work():
            one.exiting.wait()
            time.sleep(0.3)
            print("worked")

        one.install(linger=60)
        two.install(linger=60)
        one.on_exit(lambda: print("one closed"))
        two.on_exit(lambda: print("two closed"))
        threading.Thread(target=work).start()
        """
        + REST,
        how,
    )
    assert own(lines)[:1] == ["worked"]
    assert (sorted(own(lines)), status) == (["one closed", "two closed", "worked"], STATUS[how])


@HOW
def test_two_copies_of_the_package_do_not_wait_for_what_the_other_is_to_stop(ended, how):
    """Each would take the thread of the other for one that nobody has registered."""
    lines, status = ended(
        """
        import sys, threading, time
        import graceexit as one

        for name in [name for name in sys.modules if name.startswith("graceexit")]:
            del sys.modules[name]
        import graceexit as two

        for copy in (one, two):
            flag = threading.Event()
            thread = threading.Thread(target=lambda flag=flag: (flag.wait(), print("stopped")))
            thread.start()
            copy.install(linger=60)
            copy.register(thread, stop=flag)
            copy.on_exit(lambda: print("closed"))
        """
        + REST,
        how,
    )
    assert own(lines)[0] == "stopped"
    assert (sorted(own(lines)), status) == (["closed"] * 2 + ["stopped"] * 2, STATUS[how])


@pytest.mark.field(kind="eventlet")
@needs("eventlet")
@pytest.mark.filterwarnings("ignore")
@HOW
def test_a_process_that_eventlet_has_patched_ends(ended, how):
    """A patched `threading` lists a second main thread, which never ends."""
    lines, status = ended(
        """
        import warnings
        warnings.simplefilter("ignore")
        import eventlet
        eventlet.monkey_patch()
        import sys, time
        import graceexit

        graceexit.install(linger=60)
        graceexit.on_exit(lambda: print("closed"))
        """
        + REST,
        how,
    )
    assert (own(lines), status) == (["closed"], STATUS[how])


@pytest.mark.field(kind="a greenlet")
@needs("gevent")
def test_a_greenlet_is_a_thread(script):
    """It has `join` and `dead`; it is told to stop, and waited for."""
    lines, status = script("""
        from gevent import monkey
        monkey.patch_all()
        import gevent, gevent.event
        import graceexit

        def work():
            stop.wait()
            gevent.sleep(0.1)
            print("drained")

        stop = gevent.event.Event()
        greenlet = gevent.spawn(work)
        gevent.sleep(0)
        graceexit.register(greenlet, stop=stop)
        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    assert (steps(lines), status) == (["drained", "closed"], 0)


@needs("gevent")
def test_the_number_of_a_greenlet_is_taken_for_no_thread(script):
    """To C it is an address, where a lock may be found that is never given back."""
    lines, status = script("""
        from gevent import monkey
        monkey.patch_all()
        import signal, sys, threading, time
        import graceexit

        def kill(ident, signum):
            print("no thread" if ident not in sys._current_frames() else "a thread")

        signal.pthread_kill = kill
        thread = threading.Thread(target=lambda: (time.sleep(2), print("worked")))
        thread.start()
        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    assert (steps(lines), status) == (["worked", "closed"], 0)


STUBBORN = {
    "Process": """
        process = multiprocessing.Process(target=stubborn, args=[ready])
        process.start()
        ready.wait()
    """,
    "Popen": """
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        code += "print('ignores it', flush=True); time.sleep(3600)"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        process.stdout.readline()
    """,
}


@pytest.mark.field(kind="a process that overruns")
@needs_an_ender
@HOW
@pytest.mark.parametrize("what", STUBBORN)
def test_a_process_that_does_not_stop_is_named_with_what_to_write(script, what, how):
    """It is left behind as a thread is, and does not keep this one."""
    worker = script(
        f"""
        import multiprocessing, signal, subprocess, sys, time
        import graceexit

        def stubborn(ready):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ready.set()
            time.sleep(3600)

        if __name__ == "__main__":
            ready = multiprocessing.Event()
            {at_depth(3, STUBBORN[what])}
            graceexit.register(process, stop=process.terminate, timeout=0.5)
            graceexit.on_exit(lambda: print("closed"))
            print("ready")
            while len(sys.argv) > 1:
                time.sleep(0.01)
        """,
        *["waits"] * (how == "SIGTERM"),
    )
    worker.wait_for("ready")
    if how == "SIGTERM":
        worker.send(SIGTERM)
    lines, status = worker.finish(orphans=True)
    assert (own(lines), status) == (["closed"], STATUS[how])
    assert_one_says(lines, r"timeout=0\.5 s", r"on_exit\(process\.kill\)")


def test_a_popen_is_told_to_stop_and_waited_for(script):
    """`register(process, stop=process.terminate)`, as for one of multiprocessing."""
    lines, status = script("""
        import subprocess, sys
        import graceexit

        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        graceexit.register(process, stop=process.terminate, timeout=60)
        graceexit.on_exit(lambda: print("its status:", process.returncode))
    """).finish()
    assert (steps(lines), status) == ([f"its status: {-SIGTERM}"], 0)


@pytest.mark.field(kind="the last item of a grace")
@needs_an_ender
def test_the_last_item_has_all_that_is_left_of_the_grace(ended):
    """There is nobody for whom half of it would be kept."""
    lines, status = ended(
        """
        import sys, time
        import graceexit

        graceexit.install(grace=4)

        @graceexit.on_exit(timeout=60)
        def save():
            time.sleep(2.5)
            print("saved")
        """
        + REST,
        "SIGTERM",
    )
    assert (steps(lines), status) == (["saved"], -SIGTERM)


# Futures


@pytest.mark.field(kind="a future of another loop")
def test_a_future_of_another_running_loop_is_waited_for(script):
    """And one of run_coroutine_threadsafe: what a callback returns is awaited where it lives."""
    lines, status = script("""
        import asyncio, threading
        import graceexit

        async def close(what):
            await asyncio.sleep(0.2)
            print(what, "closed")

        async def task(what):
            return asyncio.ensure_future(close(what))

        def of_the_loop():
            return asyncio.run_coroutine_threadsafe(task("a task"), loop).result()

        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        graceexit.on_exit(lambda: print("the last"), order=1)
        graceexit.on_exit(of_the_loop)
        graceexit.on_exit(lambda: asyncio.run_coroutine_threadsafe(close("a future"), loop))
    """).finish()
    assert (steps(lines), status) == (["a future closed", "a task closed", "the last"], 0)


# The last resort

LAST_RESORT = """
    import os, re, sys, time
    import graceexit

    {stderr}
    graceexit.install(grace=1)
    try:
        print("ready")
        while True:
            time.sleep(0.01)
    finally:
        re.match("(a+)+b", "a" * 60)
"""
NOBODY_READS = {
    "a terminal": """
        import pty, termios, tty
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(slave, False)
        full = 0
        while full < 20:
            try:
                os.write(slave, b"x" * 4096)
            except BlockingIOError:  # until the kernel has moved on what it has got
                full += 1
                time.sleep(0.01)
        os.set_blocking(slave, True)
        os.dup2(slave, 2)
    """,
    "a terminal that is stopped": """
        import pty, termios
        master, slave = pty.openpty()
        termios.tcflow(slave, termios.TCOOFF)
        os.dup2(slave, 2)
    """,
    "a socket": """
        import socket
        one, other = socket.socketpair()
        one.setblocking(False)
        try:
            while True:
                one.send(b"x" * 4096)
        except BlockingIOError:
            one.setblocking(True)
        os.dup2(one.fileno(), 2)
    """,
    "a pipe": """
        from full_pipe import fill
        fill(2)
    """,
}


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux opens a descriptor anew by its name"
)
@pytest.mark.parametrize("what", NOBODY_READS)
def test_a_stderr_that_nobody_reads_does_not_hold_up_the_last_resort(script, what):
    """A C call keeps the GIL, and stderr takes nothing: the process is gone all the same."""
    worker = script(LAST_RESORT.format(stderr=at_depth(1, NOBODY_READS[what])))
    lines, status = worker.end_by(SIGTERM)
    assert lines == []
    assert status == 1 or (WITHOUT_GIL and status == -SIGTERM)


@pytest.mark.field(kind="a report into a pipe")
def test_a_report_into_a_pipe_that_nobody_reads_holds_nothing_up(ended, tmp_path):
    """The path of the report is somebody else's; so may be what stands there."""
    os.mkfifo(tmp_path / "report")
    lines, status = ended(
        """
        import sys, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        """
        + REST,
        "SIGTERM",
        env={"GRACEEXIT_REPORT": str(tmp_path / "report")},
    )
    assert (own(lines), status) == (["closed"], -SIGTERM)


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
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
