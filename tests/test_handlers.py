"""Handlers are there when a signal comes, whoever came first and whatever C code has done."""

from __future__ import annotations

import os
import re
import signal

import pytest
from harness import INLINE, without
from wording import MAIN_THREAD, assert_one_says, own, said, steps

SIGTERM = signal.SIGTERM
FORKS = {"PYTHONWARNINGS": "ignore:This process:DeprecationWarning"}

LATE = """
    import sys, threading, time
    import graceexit

    def first():
        graceexit.on_exit(lambda: print("of the thread"))

    thread = threading.Thread(target=first)
    thread.start()
    thread.join()
    {then}
    print("ready")
    while "waits" in sys.argv:
        time.sleep(0.01)
"""
STARTS = """
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    graceexit.register(thread, stop=lambda: (print("told"), stop.set()))
""".strip()
ON_THE_MAIN_THREAD = {
    "on_exit": ('graceexit.on_exit(lambda: print("of the main thread"))', ["of the main thread"]),
    "register": (STARTS, ["told"]),
    "install": ("graceexit.install()", []),
}


@pytest.mark.field(kind="a first registration by a thread")
@pytest.mark.parametrize("how", ON_THE_MAIN_THREAD)
def test_the_first_registration_may_come_from_any_thread(script, how):
    """Handlers are set by the first one that comes on the main thread."""
    then, more = ON_THE_MAIN_THREAD[how]
    worker = script(LATE.format(then=then), "waits")
    lines, status = worker.end_by(SIGTERM)
    assert (steps(lines), status) == ([*more, "of the thread"], -SIGTERM)


@pytest.mark.field(kind="a first registration by a thread")
def test_what_was_missed_is_said_where_no_registration_comes_on_the_main_thread(script):
    """One warning, with what to write; the items run, as the process ends by itself."""
    worker = script(LATE.format(then=""))
    lines, status = worker.finish()
    assert (own(lines), status) == (["ready", "of the thread"], 0)
    assert_one_says(lines, MAIN_THREAD, r"install\(\)")
    assert len(said(lines)) == 1


@pytest.mark.parametrize("when", ["before", "behind"])
def test_nothing_is_missed_where_a_server_has_a_handler(script, when):
    """It ends as its handler says, whoever has registered what in the meantime."""
    worker = script(
        """
        import signal, sys, threading, time
        import graceexit

        def end(*_):
            if sys.argv[1] == "before":
                signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as a loop that is closed
            sys.exit(3)

        def answer():
            thread = threading.Thread(
                target=lambda: graceexit.on_exit(lambda: print("of the request"))
            )
            thread.start()
            thread.join()

        if sys.argv[1] == "behind":
            answer()
        signal.signal(signal.SIGTERM, end)
        if sys.argv[1] == "before":
            answer()
        print("ready")
        while True:
            time.sleep(0.01)
        """,
        when,
    )
    lines, status = worker.end_by(SIGTERM)
    assert (without(lines, INLINE), status) == (["of the request"], 3)


def test_a_registration_of_another_thread_touches_no_handlers_but_the_first(script):
    """Without a GIL what it touches is locked in a child that is forked at that moment."""
    lines, status = script("""
        import threading
        import graceexit
        from graceexit import _process

        def install(signals):
            calls.append(threading.current_thread().name)
            return real(signals)

        def register():
            for _ in range(3):
                graceexit.on_exit(print)

        calls, real = [], _process.own.handlers.install
        _process.own.handlers.install = install
        thread = threading.Thread(target=register, name="another")
        thread.start()
        thread.join()
        graceexit.unregister(print)
        graceexit.on_exit(lambda: print(*calls))
    """).finish()
    assert (own(lines), status) == (["another MainThread"], 0)


REPLACED = """
    import ctypes, os, signal, time
    import graceexit

    graceexit.on_exit(lambda: print("parent closed"))
    child = os.fork()
    if child == 0:
        c_signal = ctypes.CDLL(None).signal
        c_signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        c_signal(signal.SIGTERM, None)
        {then}
        print("ready", os.getpid())
        while True:
            time.sleep(0.01)
    print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
CLOSES = 'graceexit.on_exit(lambda: print("child closed"))'


@pytest.mark.field(kind="a handler that C code has replaced")
@pytest.mark.parametrize(
    "then", [CLOSES, "graceexit.install(); " + CLOSES], ids=["on_exit", "both"]
)
def test_a_forked_child_sets_its_handlers_again(script, then):
    """C code may have put others in place, of which `getsignal` knows nothing."""
    forked = script(REPLACED.format(then=then), env=FORKS)
    pid = int(forked.wait_for(re.compile("^ready")).split()[1])
    os.kill(pid, SIGTERM)
    lines, status = forked.finish()
    expected = ["child closed", f"exit code {-SIGTERM}", "parent closed"]
    assert (own(lines), status) == (expected, 0)


@pytest.mark.parametrize(
    ("then", "more"),
    [("graceexit.install()", []), (CLOSES, ["child closed"])],
    ids=["install", "on_exit"],
)
def test_a_forked_child_sets_them_again_for_what_it_has_inherited(script, then, more):
    """A callback for each process was registered before the fork."""
    source = REPLACED.replace(
        'graceexit.on_exit(lambda: print("parent closed"))',
        'graceexit.on_exit(lambda: print("closed", os.getpid() == parent), each_process=True)\n'
        "    parent = os.getpid()",
    )
    forked = script(source.format(then=then), env=FORKS)
    pid = int(forked.wait_for(re.compile("^ready")).split()[1])
    os.kill(pid, SIGTERM)
    lines, status = forked.finish()
    expected = [*more, "closed False", f"exit code {-SIGTERM}", "closed True"]
    assert (own(lines), status) == (expected, 0)


BLOCKED = {
    "the main thread blocks it": """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    """,
    "no descriptor is left": """
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    """,
}


@pytest.mark.field(kind="a signal that is blocked")
@pytest.mark.parametrize("goes_on", [False, True], ids=["unwinds", "goes on"])
@pytest.mark.parametrize("what", BLOCKED)
def test_the_process_dies_of_the_signal_all_the_same(script, what, goes_on):
    """From the main thread, and from another one where the main thread does not unwind."""
    worker = script(f"""
        import resource, signal, sys, time
        import graceexit

        graceexit.install(linger=0.3)
        graceexit.on_exit(lambda: print("closed"))
        try:
            print("ready")
            while True:
                time.sleep(0.01)
        finally:
            {BLOCKED[what].strip()}
            while {goes_on}:
                time.sleep(0.01)
    """)
    lines, status = worker.end_by(SIGTERM)
    assert (own(lines), status) == (["closed"], -SIGTERM)


def test_install_takes_its_place_in_front_of_a_later_handler(script):
    """A handler that is set after the first registration switches `grace` off; this mends it."""
    worker = script("""
        import signal, time
        import graceexit

        graceexit.on_exit(lambda: print("closed"))
        signal.signal(signal.SIGTERM, lambda *_: print("the handler of the program"))
        graceexit.install(grace=1)
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    lines, status = worker.end_by(SIGTERM)
    assert own(lines)[:2] == ["the handler of the program", "closed"]
    assert status in (1, -SIGTERM)
