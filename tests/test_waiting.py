"""What items wait for, for how long, and what a person at the keyboard can do about it."""

from __future__ import annotations

import _thread
import os
import re
import signal
import threading

import pytest
from harness import NO_THREADS_AT_THE_END, WHO, cut_off, needs_threads_at_the_end, said, steps
from wording import assert_one_says, own, place

from graceexit._cpython import joined_at_exit

needs_an_ender = needs_threads_at_the_end("Python itself waits for threads, and says nothing")
WORKS = {
    "thread": ["worked", "closed"],
    "executor": ["worked", "closed"],
    "executor first": ["worked", "closed"],
    "poller": ["the main thread has ended", "closed"],
    "client": ["client closed", "closed"],
}


@pytest.mark.parametrize(("ends", "status"), [("end", 0), ("signal", -signal.SIGTERM)])
@pytest.mark.parametrize("what", WORKS)
def test_items_wait_for_the_rest_of_the_program(scenario, what, ends, status):
    """Threads that nobody has registered finish first, whatever they wait for themselves."""
    worker = scenario("waiting", what, ends)
    worker.wait_for("ready")
    if ends == "signal":
        worker.send(signal.SIGTERM)
    lines, ended = worker.finish()
    assert (steps(lines), ended) == (WORKS[what], status)


@needs_an_ender
@pytest.mark.parametrize("ends", ["end", "signal"])
def test_the_ender_is_told_what_it_waits_for(script, ends):
    """That the main thread has ended, and that a signal has come: it need not look for them."""
    worker = script(
        """
        import sys, threading, time
        import graceexit

        def other():
            while not graceexit._process.own.exit:  # the program has ended
                time.sleep(0.01)
            print("ready")
            time.sleep(60)

        graceexit.install(linger=0.2 if sys.argv[1] == "end" else 3600)
        graceexit._ender.LOOK = 3600
        graceexit.on_exit(lambda: print("closed"))
        if sys.argv[1] == "end":
            threading.Thread(target=other).start()
        else:
            client = threading.Event()
            threading.Thread(target=client.wait).start()
            graceexit.on_exit(client.set, order=-1)
            try:
                print("ready")
                while True:
                    time.sleep(0.01)
            finally:
                time.sleep(0.5)  # the ender waits already
        """,
        ends,
    )
    lines, status = worker.end_by(signal.SIGTERM)
    lines, cut = cut_off(lines)
    assert (lines, status) == (["closed"], -signal.SIGTERM)
    assert cut == ["Thread-1 (other)"] * (ends == "end")


def test_a_job_that_outlives_linger_is_finished_under_the_programs_own_handler(scenario):
    """The items run after `linger`; the signal was not ours, so nothing else is cut short."""
    worker = scenario("terminated")
    lines, status = worker.end_by(signal.SIGTERM)
    lines, cut = cut_off(lines)
    rest = ["closed", "the job is done"]
    if NO_THREADS_AT_THE_END:  # there Python itself waits for it
        rest.reverse()
    assert (steps(lines), status) == (["the handler of the program", *rest], 4)
    assert cut == ["ThreadPoolExecutor-0_0"] * (not NO_THREADS_AT_THE_END)


@needs_an_ender
def test_whoever_is_waited_for_is_named_after_a_while(scenario):
    """One warning names the threads and where their code is, and the remedies."""
    lines, status = scenario("patience").finish()
    warning, *rest = lines
    assert re.fullmatch(
        r"WARNING graceexit\[\d+\]: at the end of the program: waiting for thread 'uploader'"
        r" \(\S+/patience\.py:15\) at \S+/patience\.py:16 in upload; to have a thread stopped,"
        r" write register\(thread, stop=\.\.\.\); to tell its owner, on_exit\(tell, order=-1\)",
        warning,
    )
    assert (rest, status) == (["uploaded", "closed"], 0)


def test_a_thread_is_waited_for_whatever_its_class_makes_of_join(script):
    """Python does not call it either."""
    lines, status = script("""
        import threading, time
        import graceexit

        class Odd(threading.Thread):
            def run(self):
                time.sleep(0.3)
                print("worked")

            def join(self):
                raise NotImplementedError

        Odd().start()
        graceexit.on_exit(lambda: print("closed"))
    """).finish()
    assert (steps(lines), status) == (["worked", "closed"], 0)


def test_threads_are_listed_while_somebody_holds_the_lock_of_threading():
    """A thread that Python freezes at its end would keep that lock, and Python waits for it."""
    found, done = [], _thread.allocate_lock()
    done.acquire()

    def look():
        found.extend(joined_at_exit())
        done.release()

    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with threading._active_limbo_lock:
        _thread.start_new_thread(look, ())
        was_done = done.acquire(timeout=10)
    stop.set()
    thread.join()
    assert (was_done, thread in found) == (True, True)


@needs_an_ender
@pytest.mark.parametrize("pressed", ["once", "again"])
def test_ctrl_c_while_threads_are_waited_for_is_a_notice_first_and_then_the_end(scenario, pressed):
    """It names who is waited for and starts `linger`; pressed again, the process dies of it."""
    limit = 1 if pressed == "once" else 60
    worker = scenario("ctrl_c", "thread", limit)
    worker.wait_for(re.compile("waiting for thread 'backup'"))
    worker.send(signal.SIGINT)
    notice = re.fullmatch(
        r"waiting (\S+) s more for thread 'backup' \(\S+/ctrl_c\.py:16\) at"
        r" \S+/ctrl_c\.py:18 in works_on; press Ctrl-C again to end now",
        *said([worker.wait_for(re.compile("s more for"))]),
    )
    assert limit - 10 < float(notice[1]) <= limit  # some of it may have gone by
    if pressed == "again":
        worker.send_until_it_ends(signal.SIGINT)
    lines, status = worker.finish()
    lines, cut = cut_off(lines)
    if pressed == "once":
        assert (lines, cut) == (["closed"], ["backup"])
    else:
        (last,) = said(lines)
        who = r"thread 'backup' \(\S+/ctrl_c\.py:16\) at \S+/ctrl_c\.py:18 in works_on"
        rest = "not run: callback '<lambda>'"
        assert re.fullmatch(f"ended at once; still running: {who}; {rest}", last)
        assert cut == []
        assert len(lines) == 1
    assert status == -signal.SIGINT


@needs_an_ender
@pytest.mark.parametrize("ends", ["end", "SIGTERM"])
def test_a_thread_that_an_item_starts_is_waited_for(script, ends):
    """Python would join it; after a signal it has what is left of `linger`."""
    worker = script(
        """
        import sys, threading, time
        import graceexit

        def work():
            time.sleep(0.5)
            print("worked")
            graceexit.on_exit(lambda: print("closed too"))

        @graceexit.on_exit
        def close():
            threading.Thread(target=work, daemon=False).start()
            print("closed")

        print("ready")
        while sys.argv[1] == "SIGTERM":
            time.sleep(0.01)
        """,
        ends,
    )
    worker.wait_for("ready")
    if ends == "SIGTERM":
        worker.send(signal.SIGTERM)
    lines, status = worker.finish()
    expected = (["closed", "worked", "closed too"], -signal.SIGTERM if ends == "SIGTERM" else 0)
    assert (steps(lines), status) == expected


@needs_an_ender
def test_the_first_ctrl_c_after_sigterm_is_a_notice_too(script):
    """It kills nothing that SIGTERM has left its time."""
    worker = script("""
        import threading, time
        import graceexit

        def work():
            main_has_ended.wait()
            time.sleep(0.3)  # and that item too
            print("waits")
            time.sleep(1)
            print("worked")

        main_has_ended = threading.Event()
        graceexit.install(linger=60)
        graceexit.on_exit(main_has_ended.set, order=-1)
        graceexit.on_exit(lambda: print("closed"))
        threading.Thread(target=work).start()
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    worker.wait_for("ready")
    worker.send(signal.SIGTERM)
    lines, status = worker.end_by(signal.SIGINT, after="waits")
    assert (own(lines), status) == (["worked", "closed"], -signal.SIGTERM)
    assert_one_says(lines, "waiting .* more for thread", place("work"))


@needs_an_ender
def test_ctrl_c_in_a_child_whose_main_thread_has_ended_is_a_notice(script, start_method):
    """A terminal sends it to the parent and to the children of it."""
    worker = script(
        """
        import multiprocessing, os, sys, threading, time
        import graceexit

        def work():
            time.sleep(0.5)
            print("waits", os.getpid())
            time.sleep(1)
            print("worked")

        def child():
            graceexit.install(linger=60)
            graceexit.on_exit(lambda: print("closed"))
            threading.Thread(target=work).start()

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            process = context.Process(target=child)
            process.start()
            process.join()
            print("exit code", process.exitcode)
        """,
        start_method,
    )
    pid = int(worker.wait_for(re.compile("^waits")).split()[1])
    os.kill(pid, signal.SIGINT)
    lines, status = worker.finish()
    assert (own(lines), status) == (["worked", "closed", f"exit code {-signal.SIGINT}"], 0)


@needs_an_ender
def test_ctrl_c_pressed_twice_quickly_is_one_press(scenario):
    """Whoever holds the keys down, or presses them in two terminals, has not asked for more."""
    worker = scenario("ctrl_c", "thread", 1, "same")
    worker.wait_for(re.compile("waiting for thread 'backup'"))
    worker.send(signal.SIGINT)
    worker.wait_for(re.compile("Ctrl-C: waiting"))
    for _ in range(3):
        worker.send(signal.SIGINT)
    lines, status = worker.finish()
    assert (*cut_off(lines), status) == (["closed"], ["backup"], -signal.SIGINT)


@pytest.mark.skipif(
    not NO_THREADS_AT_THE_END,
    reason="about Python 3.12.0 to 3.12.2, which start no thread at their end",
)
def test_ctrl_c_while_python_joins_the_threads_runs_the_items_at_once(scenario):
    """Where nobody can wait for them instead of the main thread, it leaves the join."""
    worker = scenario("ctrl_c", "thread", 60)
    worker.wait_for("the main thread has ended")
    worker.send_until_it_ends(signal.SIGINT)
    lines, status = worker.finish()
    assert (steps(lines), status) == (["closed"], -signal.SIGINT)


@needs_an_ender
@pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="this platform sends no signal to one thread"
)
def test_a_signal_that_another_thread_takes_is_noticed_while_threads_are_waited_for(script):
    """Python runs its handler on the main thread, which sits in a join and is not woken by it."""
    lines, status = script("""
        import signal, threading, time
        import graceexit

        def work():
            time.sleep(1)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            while True:
                time.sleep(60)

        graceexit.install(linger=0.5)
        graceexit.on_exit(lambda: print("closed"))
        threading.Thread(target=work).start()
    """).finish()
    assert any(re.match(WHO + "on SIGTERM: linger=0.5 s is over", line) for line in lines)
    assert (*cut_off(lines), status) == (["closed"], ["Thread-1 (work)"], -signal.SIGTERM)


@pytest.mark.parametrize(
    ("what", "running"),
    [
        ("callback", ["callback 'slow one' (ctrl_c.py:33) at ctrl_c.py:18 in works_on"]),
        (
            "stop",
            [
                "thread 'one' (ctrl_c.py:16) at ctrl_c.py:18 in works_on",
                "thread 'two' (ctrl_c.py:16) at ctrl_c.py:18 in works_on",
            ],
        ),
    ],
)
def test_ctrl_c_while_items_run_ends_at_once(scenario, what, running):
    """Whoever presses it then wants out; what was still running is said."""
    worker = scenario("ctrl_c", what, 60)
    worker.wait_for("closing")
    worker.send_until_it_ends(signal.SIGINT)
    lines, status = worker.finish()
    last = re.sub(r"[^\s(]+/", "", said(steps(lines)[-1:])[0])
    said_of = re.fullmatch("ended at once; still running: (.*); not run: (.*)", last)
    assert sorted(said_of[1].split(", ")) == running
    assert said_of[2] == "callback '<lambda>'"
    assert status == -signal.SIGINT


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(
    "name",
    [
        "raise ValueError",
        pytest.param(
            "time.sleep(3600)",
            marks=needs_threads_at_the_end("a name that hangs has no thread of its own"),
        ),
    ],
)
def test_no_name_keeps_a_second_ctrl_c_from_ending_the_process(script, name, order):
    """That of a thread that is waited for, or of one that would have been the next."""
    worker = script(
        f"""
        import sys, threading, time
        import graceexit

        class Thread(threading.Thread):
            @property
            def name(self):
                {name}

            @name.setter
            def name(self, name):
                pass

            def __init__(self):
                super().__init__(target=works, daemon=True)

        def works():
            while True:
                time.sleep(0.01)

        thread = Thread()
        thread.start()
        order = int(sys.argv[1])
        graceexit.register(thread, stop=lambda: None, timeout=None, order=order)
        graceexit.on_exit(lambda: (print("closing"), order and works()), timeout=None, order=-1)
        """,
        order,
    )
    worker.wait_for("closing")
    worker.send_until_it_ends(signal.SIGINT)
    lines, status = worker.finish()
    assert status == -signal.SIGINT
    # That of what is running is asked for, and then nothing can be said.
    assert any("not run: thread 'Thread'" in line for line in lines) == bool(order)


def test_ctrl_c_ends_at_once_what_was_registered_when_nothing_was_left_to_run(script):
    """The exit began without an item, so Ctrl-C was Python's own until the exit function."""
    worker = script("""
        import threading, time
        import graceexit

        def close():
            print("closing")
            while True:
                time.sleep(0.01)

        def register_late():
            threading.main_thread().join()
            graceexit.on_exit(close, timeout=None)

        graceexit.install()
        threading.Thread(target=register_late).start()
    """)
    worker.wait_for("closing")
    worker.send_until_it_ends(signal.SIGINT)
    lines, status = worker.finish()
    # Python may be about to say that it has ignored the first ones.
    assert re.search(
        r"Ctrl-C: ended at once; still running: callback 'close' \(\S+/script\.py:5\) at"
        r" \S+/script\.py:8 in close$",
        steps(lines)[-1],
    )
    assert status == -signal.SIGINT
