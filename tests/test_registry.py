"""What can be registered, what is refused, and what one run of a registry does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import itertools
import multiprocessing
import operator
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import types
import weakref
from unittest import mock

import pytest

import graceexit
from graceexit import Registry
from graceexit._latch import TO_BEGIN, Bell, start_thread
from graceexit._plan import GENERATIONS, Plan
from graceexit._runner import SLACK, Run


@pytest.fixture
def registry():
    """Return an empty registry of the test's own."""
    return Registry()


def outcomes(report):
    """Return what the report says of each item."""
    return [(result.name, result.outcome) for result in report.results]


def a_run(registry, **options):
    """Return a run over the items of a registry, which reports to nobody."""
    registry._runs().now = Run(registry._items, registry._late, lambda outcome: None, **options)
    return registry._runs().now


def nothing():
    """Be a callback that does nothing."""


class Ended:
    """Something like a thread, that has ended."""

    ident = 1
    name = "ended"

    def is_alive(self):
        """Return that it is over."""
        return False

    def join(self, timeout=None):
        """Return at once."""


# What is refused.


class Pool:
    """What is to be shut down, and can be closed as well."""

    def __repr__(self):
        """Say what the message has."""
        return "a pool"

    def close(self):
        """Be what is not recommended."""

    def shutdown(self):
        """Be what is meant."""


class PoolOfProcesses(Pool):
    """What is closed, and then has work to end."""

    shutdown = None

    def join(self):
        """Be what waits for that."""

    def terminate(self):
        """Be what a queue, which can be closed and joined too, has not."""


class Closable:
    """What is to be closed."""

    def __repr__(self):
        """Say what the message has."""
        return "a connection"

    def close(self):
        """Be what is meant."""


class Needy:
    """A callable whose code asks for two arguments."""

    def __call__(self, a, b=1, *more, c, d=2, **others):
        """Do nothing."""


def needy(a, b=1, *more, c, d=2, **others):
    """Ask for two arguments."""


def generator():
    """Run nothing when it is called."""
    yield


async def async_generator():
    """Run nothing when it is called."""
    yield


EVENT = threading.Event()
IDLE = threading.Thread(name="idle")
REFUSED = [
    (7, {}, TypeError, "expected a thread or a callback; got 7"),
    (None, {}, TypeError, "expected a thread or a callback; got None: write on_exit(f), not on_ex"),
    (threading.Thread, {}, TypeError, "got <class 'threading.Thread'>: give an instance of it"),
    (Ended, {"stop": nothing}, TypeError, "Ended'>: give an instance of it"),
    (int, {"stop": nothing}, TypeError, "expected a thread; got <class 'int'>: give an instance"),
    (Pool(), {}, TypeError, "got a pool: write on_exit(x.shutdown)"),
    (Closable(), {}, TypeError, "got a connection: write on_exit(x.close)"),
    (
        PoolOfProcesses(),
        {"stop": nothing},
        TypeError,
        "got a pool: write on_exit(x.join) and then on_exit(x.close), which runs first",
    ),
    (generator, {}, TypeError, "is a generator function: to call it runs nothing; write a functio"),
    (functools.partial(generator), {}, TypeError, "is a generator function: to call it runs noth"),
    (async_generator, {}, TypeError, "is a generator function: to call it runs nothing"),
    (needy, {}, TypeError, "needs arguments (a, c): use functools.partial, or a method of an inst"),
    (Needy(), {}, TypeError, "needs arguments (a, c): use functools.partial"),
    (Needy.__call__, {}, TypeError, "needs arguments (self, a, c): use functools.partial"),
    (Needy().__call__, {}, TypeError, "needs arguments (a, c): use functools.partial"),
    (functools.wraps(nothing)(needy), {}, TypeError, "needs arguments (a, c)"),
    (IDLE, {}, TypeError, "needs stop=, which tells it to end: a callable, or an object with set"),
    (IDLE, {"stop": 7}, TypeError, "stop must be a callable or have set(); got 7"),
    (IDLE, {"stop": EVENT.is_set}, TypeError, "asks and does not tell: write event, or event.set"),
    (
        IDLE,
        {"stop": threading.Event},
        TypeError,
        "stop must be an instance; got <class 'threading.Ev",
    ),
    (IDLE, {"stop": needy}, TypeError, "needs arguments (a, c): use functools.partial"),
    (IDLE, {"stop": generator}, TypeError, "is a generator function: to call it runs nothing"),
    (
        IDLE,
        {"stop": graceexit.exiting},
        TypeError,
        "graceexit.exiting is no stop flag: it can be se",
    ),
    (IDLE, {"stop": graceexit.exiting.set}, TypeError, "graceexit.exiting is no stop flag"),
    (IDLE, {"stop": nothing, "each_process": True}, TypeError, "each_process= is for callbacks"),
    (nothing, {"stop": nothing}, TypeError, "stop= is for threads"),
    (nothing, {"timeout": 0}, ValueError, "timeout must be seconds above zero, or None for no li"),
    (nothing, {"timeout": -1.5}, ValueError, "got -1.5"),
    (nothing, {"timeout": float("nan")}, ValueError, "got nan"),
    (nothing, {"timeout": float("inf")}, ValueError, "got inf"),
    (nothing, {"timeout": "5"}, TypeError, "got '5'"),
    (nothing, {"timeout": True}, TypeError, "got True"),
    (nothing, {"order": 1.0}, TypeError, "order must be an int; got 1.0"),
    (nothing, {"order": True}, TypeError, "order must be an int; got True"),
    (nothing, {"name": 7}, TypeError, "name must be a str or None; got 7"),
    (nothing, {"each_process": 1}, TypeError, "each_process must be True or False; got 1"),
]


def test_a_task_of_asyncio_is_refused_and_the_message_says_where_it_belongs(registry):
    """It has to end on its own loop, before that is closed."""

    async def register():
        task = asyncio.ensure_future(asyncio.sleep(0))
        with pytest.raises(TypeError, match="a task belongs to its loop: cancel it in a `finally`"):
            registry.register(task, stop=task.cancel)
        await task

    asyncio.run(register())
    assert len(registry) == 0


@pytest.mark.parametrize(("subject", "options", "error", "message"), REFUSED)
def test_bad_input_is_refused_and_nothing_is_lost(registry, subject, options, error, message):
    """The message says what was given and what was expected; the registry is as it was."""
    registry.register(nothing)
    with pytest.raises(error, match=re.escape(message)):
        registry.register(subject, **options)
    with pytest.raises(error, match=re.escape(message)):
        graceexit.register(subject, **options)
    assert len(registry) == 1


@functools.wraps(needy)
def wraps_one_with_arguments():
    """Take none, whatever the code that is wrapped does."""


@types.coroutine
def coroutine_of_old():
    """Be a coroutine, though its code is a generator's."""
    yield from asyncio.sleep(0).__await__()


def takes_whatever_comes(*arguments, **options):
    """Need nothing."""


def takes_what_has_a_default(a=1, *, b=2):
    """Need nothing."""


@pytest.mark.parametrize(
    "callback",
    [
        functools.partial(needy, 1, c=2),
        Closable,  # a class may be what is meant, unless it is one of threads
        wraps_one_with_arguments,
        Pool().close,
        mock.Mock(),
        coroutine_of_old,
        takes_whatever_comes,
        takes_what_has_a_default,
        operator.attrgetter("name"),  # its code is C, and not asked
    ],
)
def test_what_its_code_does_not_show_to_fail_is_taken(registry, callback):
    """The outermost callable's own code is judged, and a Mock is a callback, whatever it has."""
    assert registry.register(callback).kind == "callback"


def test_a_popen_is_told_to_end_by_its_stop_and_waited_for(registry):
    """It has `terminate`, `wait` and `poll`, but no `join`; without `stop=` it is refused."""
    hint = re.escape("needs stop=, which tells it to end: write register(process, stop=process.ter")
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeps) as process:
        with pytest.raises(TypeError, match=hint):
            registry.register(process)
        registry.register(process, stop=process.terminate, timeout=30, name="sleeps")
        assert outcomes(registry.run()) == [("sleeps", "done")]
        assert process.returncode == -signal.SIGTERM


def test_a_popen_that_overruns_is_named_with_what_ends_it(registry, caplog):
    """A process that ignores SIGTERM can be killed, which a thread cannot."""
    sleeps = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeps) as process:
        registry.register(process, stop=nothing, timeout=0.1)
        assert outcomes(registry.run()) == [("Popen", "overran")]
        process.kill()
    [line] = caplog.messages
    assert line.endswith("; left behind; to end such a process write on_exit(process.kill)")


def test_a_greenlet_is_a_thread_here(registry):
    """It has `join` and `dead`."""

    class Greenlet:
        dead = False

        def join(self, timeout=None):
            self.dead = told.is_set()

    told = threading.Event()
    registry.register(Greenlet(), stop=told, name="ends")
    assert outcomes(registry.run()) == [("ends", "done")]
    registry.register(Greenlet(), stop=told.clear, timeout=0.1, name="goes on")
    assert outcomes(registry.run()) == [("goes on", "overran")]


def test_on_exit_refuses_stop_and_returns_the_function_unchanged(registry):
    """With options and without."""
    assert registry.on_exit(nothing) is nothing
    assert registry.on_exit(timeout=2, order=1, name="the pool")(nothing) is nothing
    with pytest.raises(TypeError, match=re.escape("is for callbacks: write register(thread, stop")):
        registry.on_exit(stop=nothing)(nothing)
    with pytest.raises(TypeError, match=re.escape("is for callbacks: write register(thread, stop")):
        registry.on_exit(timeout=2)(threading.Thread())
    with pytest.raises(TypeError, match=r"^expected a callback; got 7$"):
        registry.on_exit(7)
    with pytest.raises(TypeError, match=re.escape("got (7,) too: use functools.partial")):
        registry.on_exit(print, 7)
    with pytest.raises(TypeError, match=re.escape("got None: write on_exit(f), not on_exit(f())")):
        registry.on_exit(nothing())
    with pytest.raises(TypeError, match="unexpected keyword argument 'tiemout'"):
        registry.on_exit(tiemout=2)(nothing)
    assert outcomes(registry.run()) == [("nothing", "done"), ("the pool", "done")]


def test_unregister_forgets_an_item_or_every_registration_of_a_subject(registry):
    """What could never have been registered is refused; what is not there is no error."""
    item = registry.register(nothing)
    registry.register(nothing)
    registry.register(IDLE, stop=nothing)
    assert registry.unregister(item)
    assert not registry.unregister(item)
    registry.register(nothing)
    assert registry.unregister(nothing)
    assert not registry.unregister(nothing)
    assert registry.unregister(IDLE)
    assert len(registry) == 0
    with pytest.raises(TypeError, match="expected an Item, a thread or a callback; got 7"):
        registry.unregister(7)
    with pytest.raises(TypeError, match="expected an Item, a thread or a callback; got 'join'"):
        registry.unregister("join")


def test_bound_methods_are_equal_and_whoever_cannot_be_compared_is_not(registry):
    """`unregister(pool.close)` finds what `register(pool.close)` has registered."""

    class Incomparable:
        __hash__ = None

        def __eq__(self, other):
            raise ValueError("compare me not")

        def __call__(self):
            """Do nothing."""

    assert registry.on_exit(registry.__len__) == registry.__len__
    odd = Incomparable()
    registry.register(odd)
    assert registry.unregister(registry.__len__)
    assert registry.unregister(odd)
    assert not registry.unregister(odd)


# What a run does.


def test_a_run_empties_the_registry_and_it_can_be_used_again(registry):
    """The report says what was run; a `with` block runs at its end, whatever ends it."""
    calls = []
    registry.register(functools.partial(calls.append, 1))
    assert len(registry) == 1
    assert repr(registry) == "<graceexit.Registry items=1>"
    assert registry.run().ok
    assert (calls, len(registry), registry.run().results) == ([1], 0, [])

    def fail():
        with registry as same:
            same.register(functools.partial(calls.append, 2))
            raise OSError("no pool")

    with pytest.raises(OSError, match="no pool"):
        fail()
    assert calls == [1, 2]


def test_what_an_item_raises_is_kept_and_the_next_one_runs(registry):
    """SystemExit and KeyboardInterrupt too; each error is in its result."""
    errors = [ValueError("no pool"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()]

    def fail(error):
        raise error

    for error in reversed(errors):
        registry.register(functools.partial(fail, error))
    report = registry.run()
    assert [result.error for result in report.results] == errors
    assert {result.outcome for result in report.results} == {"failed"}
    assert not report.ok


def test_a_stop_that_raises_fails_its_thread_which_is_joined_all_the_same(registry):
    """A thread that ends nevertheless has been waited for."""
    flag = threading.Event()

    def stop():
        flag.set()
        raise OSError("cannot tell")

    thread = threading.Thread(target=flag.wait)
    thread.start()
    registry.register(thread, stop=stop)
    (result,) = registry.run().results
    assert (result.kind, result.outcome, str(result.error)) == ("thread", "failed", "cannot tell")
    assert not thread.is_alive()


def test_an_item_that_overruns_is_left_behind_with_its_stack(registry, monkeypatch):
    """The next one runs at once; so does one behind a thread that does not stop."""
    monkeypatch.setattr("graceexit._runner.LOOK", 3600)  # the watcher is told of each that is due
    release = threading.Event()

    def stuck_in_here():
        release.wait()

    thread = threading.Thread(target=stuck_in_here, name="stubborn")
    thread.start()
    registry.register(nothing, order=1)
    registry.register(stuck_in_here, timeout=0.1, order=1)
    registry.register(thread, stop=nothing, timeout=0.1)
    report = registry.run()
    assert outcomes(report) == [
        ("stubborn", "overran"),
        (stuck_in_here.__qualname__, "overran"),
        ("nothing", "done"),
    ]
    for result in report.results[:2]:
        assert 0.1 <= result.seconds < 5  # which it would have without a timeout of its own
        assert "release.wait()" in result.stack
        assert re.fullmatch(r".*test_registry\.py:\d+", result.where)
        first, *stack = str(result).splitlines()
        assert first.endswith(f" ({result.where}) overran after {result.seconds:.3g} s")
        assert "\n".join(stack) == result.stack.rstrip()
        assert result.limit == "timeout"
    release.set()
    thread.join()


def test_threads_that_never_ran_or_have_ended_need_no_waiting(registry):
    """One that was never started is told to stop all the same; one that has ended is forgotten."""
    told = []
    ended = threading.Thread(target=nothing)
    ended.start()
    ended.join()
    timer = threading.Timer(60, nothing)
    timer.start()
    registry.register(ended, stop=lambda: told.append("ended"))
    registry.register(threading.Thread(), stop=lambda: told.append("never started"), name="idle")
    registry.register(timer, stop=timer.cancel, name="timer")
    assert sorted(outcomes(registry.run())) == [("idle", "done"), ("timer", "done")]
    assert told == ["never started"]


def test_a_process_of_multiprocessing_is_a_thread_here(registry):
    """It has `join`, `is_alive`, and something that tells it to stop."""
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=[60])
    process.start()
    registry.register(process, stop=process.terminate, timeout=30, name="child")
    assert outcomes(registry.run()) == [("child", "done")]
    assert process.exitcode == -signal.SIGTERM
    process.close()


def test_threads_that_have_ended_do_not_pile_up(registry):
    """A process may register a million short-lived threads and does not grow."""
    for _ in range(10_000):
        registry.register(Ended(), stop=nothing)
    registry.register(nothing)
    assert len(registry) <= 64 + 1


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="about a lock that Thread.is_alive takes up to Python 3.12"
)
def test_threads_that_go_on_are_looked_at_seldom():
    """A process may have thousands of them; each registration costs the same."""
    looks = []

    class Thread:
        def join(self, timeout=None):
            """Be a thread."""

        def is_alive(self):
            looks.append(self)
            return True

    registry = graceexit.Registry()
    for _ in range(1000):
        registry.register(Thread(), stop=print)
    assert len(looks) < 2000


@pytest.mark.skipif(
    not hasattr(threading, "_shutdown_locks_lock"), reason="from 3.13 on is_alive() takes no lock"
)
def test_no_lock_of_threading_is_taken_by_a_registration(registry):
    """A finalizer may register in the middle of `Thread.start`, which holds this one."""
    for _ in range(64):  # as many as are waiting when it first looks for those that have ended
        thread = threading.Thread(target=nothing)
        registry.register(thread, stop=nothing)
        thread.start()
    for thread in [item.subject for item in registry._items]:
        while thread._tstate_lock.locked():  # to ask is_alive() would take the lock
            time.sleep(0.001)
    with threading._shutdown_locks_lock:
        registry.register(threading.Thread(), stop=nothing)
    assert len(registry) == 1


def test_one_thread_runs_every_callback_in_time_and_an_async_one_in_its_loop(registry):
    """An item costs no thread; it runs on a helper, not on the thread that runs the registry."""
    idents = set()

    async def coroutine():
        idents.add(threading.get_ident())

    for _ in range(500):
        registry.register(lambda: idents.add(threading.get_ident()))
    registry.register(coroutine)
    assert registry.run().ok
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_what_is_registered_during_a_run_is_run_in_it_once(registry):
    """Also of an order that is over, and first then; a subject that has run is not run again."""
    calls = []

    def first():
        calls.append("first")
        registry.register(second, order=-3)
        registry.register(first)

    def second():
        calls.append("second")
        registry.register(third, order=7)
        registry.unregister(never)

    def third():
        calls.append("third")

    def never():
        calls.append("never")

    registry.register(never, order=5)
    registry.register(first)
    report = registry.run()
    assert calls == ["first", "second", "third"]
    assert [result.outcome for result in report.results] == ["done", "done", "not run", "done"]
    assert str(report.results[2]).endswith("not run")


def test_a_thread_that_is_forgotten_during_a_run_is_not_told_to_stop(registry):
    """Though the others of its order are."""
    told = []
    first = registry.register(threading.Thread(), stop=lambda: told.append("first"), order=1)
    registry.register(threading.Thread(), stop=lambda: told.append("second"), order=1)
    registry.register(lambda: registry.unregister(first))
    assert registry.run().ok
    assert told == ["second"]


def test_a_helper_that_could_not_be_hired_is_hired_by_the_next_watcher(registry):
    """A handler may raise as the one that follows what has overrun is about to be started."""
    hired = []

    def start(helper):
        hired.append(helper)
        if len(hired) == 2:
            raise KeyboardInterrupt
        return start_thread(helper)

    go_on = threading.Event()
    registry.register(go_on.wait, timeout=0.01)
    run = a_run(registry, start_thread=start)
    with pytest.raises(KeyboardInterrupt):
        run.go()
    run.go()
    go_on.set()
    assert [(how, len(hired)) for _, how, *_ in run.outcomes] == [("overran", 3)]


def test_a_helper_that_comes_back_late_does_nothing_more(registry):
    """Its item has been reported, and the next items are somebody else's."""
    release, idents = threading.Event(), []

    def comes_back():
        idents.append(threading.get_ident())
        release.wait()

    def next_one():
        release.set()
        while idents[0] in sys._current_frames():  # until the helper has ended
            time.sleep(0.001)
        idents.append("next one")

    registry.register(lambda: idents.append("last"), order=2, name="last")
    registry.register(next_one, order=1, name="next one", timeout=60)
    registry.register(comes_back, timeout=0.1, name="late")
    assert outcomes(registry.run()) == [("late", "overran"), ("next one", "done"), ("last", "done")]
    assert idents[1:] == ["next one", "last"]


def test_what_ends_at_the_very_instant_at_which_its_time_is_up_is_done(registry):
    """Either the helper or the watcher says how an item has ended, never both."""
    begun, release, watcher = threading.Event(), threading.Event(), threading.get_ident()

    def item():
        begun.set()
        release.wait()

    class Running(dict):
        def pop(self, key, default=None):
            if threading.get_ident() == watcher:
                release.set()
                while not run.outcomes:
                    time.sleep(0.001)
            return super().pop(key, default)

    registry.register(item, timeout=1)
    late = lambda: threading.get_ident() == watcher and begun.is_set()  # noqa: E731
    run = a_run(registry, clock=lambda: 100.0 if late() else 0.0)
    run._running = Running()
    run.go()
    release.set()
    assert [how for _, how, *_ in run.outcomes] == ["done"]


def test_a_helper_that_does_not_begin_is_not_waited_for(registry):
    """Where memory is at its limit it ends before its first line: the work is done here."""
    registry.register(nothing)
    times = itertools.count(0, TO_BEGIN / 2)
    run = a_run(registry, clock=lambda: float(next(times)), start_thread=lambda _: True)
    run.go()
    assert run.inline
    assert [how for _, how, *_ in run.outcomes] == ["done"]


def test_an_item_that_has_begun_before_the_signal_has_half_of_what_is_left_then(registry):
    """A run whose watcher was taken away goes on, and what came before the grace does not count."""
    release, watcher = threading.Event(), threading.get_ident()
    now, looks = [0.0], []

    def clock():
        if threading.get_ident() == watcher:
            looks.append(now[0])
            if not now[0] and run._running:
                raise KeyboardInterrupt
            if len(looks) > 2 and now[0]:  # it has been waited for
                release.set()
        return now[0]

    registry.register(nothing, order=1)  # else it would be the last one, which has all of it
    registry.register(release.wait, timeout=60)
    run = a_run(registry, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        run.go()
    now[0] = 10.0
    looks.clear()
    run.go(deadline=10.2)
    assert [how for _, how, *_ in run.outcomes] == ["done", "done"]


def test_an_item_has_half_of_what_is_left_or_its_timeout_if_that_is_less():
    """What is left counts from its begin, or from when that became known."""
    run = a_run(Registry(), clock=lambda: 10.0)
    run.plan.is_last = lambda: False

    def ends(verb):
        """Return when actions are over, each with its begin and its timeout."""
        actions = [(10.0, None), (14.0, 60.0), (14.0, 0.5), (5.0, None)]
        return [run._end((None, verb, *action)) for action in actions]

    assert ends("call") == [float("inf"), 74.0, 14.5, float("inf")]
    run.go(deadline=18.0)
    assert ends("call") == ends("stop") == [14.0, 16.0, 14.5, 14.0]
    assert ends("join") == [end + SLACK for end in ends("call")]
    # The last one has all that is left; a thread to be joined still comes behind its stop.
    run.plan.is_last = lambda: True
    assert ends("call") == [18.0, 18.0, 14.5, 18.0]
    assert ends("stop") == [14.0, 16.0, 14.5, 14.0]
    run.plan.told[mock.sentinel.another] = 10.0, None
    assert ends("call") == [14.0, 16.0, 14.5, 14.0]


def test_a_run_that_was_interrupted_and_has_ended_by_itself_is_over(registry):
    """Its helper has gone on; the next run is a new one, with a report of its own."""
    idents = []

    def interrupt():
        idents.append(threading.get_ident())
        for _ in range(2):  # at the first it goes on waiting
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    registry.register(interrupt)
    with pytest.raises(KeyboardInterrupt):
        registry.run()
    while idents[0] in sys._current_frames():
        time.sleep(0.001)
    registry.register(nothing)
    registry.register(interrupt, name="again", order=1)
    with pytest.raises(KeyboardInterrupt):
        registry.run()
    while idents[1] in sys._current_frames():
        time.sleep(0.001)
    registry.register(nothing)
    assert outcomes(registry.run()) == [("nothing", "done")]


def test_where_no_thread_can_be_started_a_join_has_its_limit(registry):
    """Nobody watches, and the thread does not stop."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    registry.register(nothing)
    registry.register(thread, stop=nothing, timeout=0.1)
    run = a_run(registry, start_thread=lambda function: False)
    run.go()
    release.set()
    thread.join()
    assert [how for _, how, *_ in run.outcomes] == ["overran", "done"]


def test_the_watcher_is_woken_once_and_not_for_each_item(registry, monkeypatch):
    """A ring takes as long as an item, and the watcher looks after the first as it would later."""
    rings = []

    class Counted(Bell):
        def ring(self):
            rings.append(len(registry))
            super().ring()

    monkeypatch.setattr("graceexit._runner.Bell", Counted)
    for _ in range(1000):
        registry.register(nothing, timeout=0.5)  # sooner than the watcher looks by itself
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1)  # seconds: the watcher does not get to look before they have all run
    try:
        registry.run()
    finally:
        sys.setswitchinterval(interval)
    assert 0 < len(rings) < 500


def test_what_is_registered_again_and_forgotten_during_a_run_is_not_mentioned(registry):
    """Its subject has been run, and nobody wants it run once more."""
    registry.on_exit(lambda: registry.unregister(registry.register(nothing)), name="again")
    registry.register(nothing)
    assert outcomes(registry.run()) == [("nothing", "done"), ("again", "done")]


def test_a_method_that_has_been_run_is_not_run_again_in_the_same_run(registry):
    """Each time that it is asked for it is another object, of C code too."""

    class Client:
        def close(self):
            calls.append("closed")
            registry.register(client.close, name="again")
            registry.register(calls.append, name="needs what nobody gives")
            registry.register(numbers.clear, name="clear again")

    calls, numbers, client = [], [1], Client()
    registry.register(client.close, name="close")
    registry.register(numbers.clear, name="clear")
    assert outcomes(registry.run()) == [
        ("clear", "done"),
        ("close", "done"),
        ("clear again", "not run"),
        ("needs what nobody gives", "failed"),
        ("again", "not run"),
    ]
    assert calls == ["closed"]


def test_items_that_register_items_without_an_end_do_not_keep_the_run_from_ending(registry):
    """So many generations are run; the rest is one result that counts them."""
    calls = []

    def register():
        calls.append(len(registry))
        if len(calls) < 2 * GENERATIONS:  # else a failure would never be seen
            registry.register(functools.partial(register))  # another subject each time

    registry.register(nothing, order=1)
    registry.register(register)
    report = registry.run()
    assert len(calls) == 1 + GENERATIONS
    *ran, rest = outcomes(report)
    assert {outcome for _, outcome in ran} == {"done"}
    assert ran[-1] == ("nothing", "done")
    assert (len(registry), rest) == (0, ("1 item registered during the exit", "not run"))
    assert ", 1 not run in " in report.summary


@pytest.mark.parametrize("early", [60.0, 0.0])
def test_items_of_other_threads_come_by_order_for_a_moment(registry, monkeypatch, early):
    """Then they come behind what was planned; those that an item registers never do."""
    monkeypatch.setattr("graceexit._plan.EARLY", early)
    ready, registered = threading.Event(), threading.Event()

    def from_outside():
        ready.wait()
        registry.register(nothing, order=-7, name="from outside")
        registered.set()

    def item():
        ready.set()
        registered.wait()
        registry.register(threading.Thread(), stop=nothing, order=1, name="a thread")
        registry.register(nothing, order=1, name="from inside")
        registry.register(nothing, order=-7, name="of a past order")

    outside = threading.Thread(target=from_outside)
    outside.start()
    registry.register(nothing, order=1, name="planned")
    registry.register(item, name="item")
    assert [name for name, _ in outcomes(registry.run())] == [
        *("item", "of a past order", *["from outside"] * bool(early)),
        *("a thread", "from inside", "planned", *["from outside"] * (not early)),
    ]
    outside.join()


def test_items_of_other_threads_do_not_come_by_order_when_the_process_is_in_a_hurry(registry):
    """What was there is run first, for it has a part of what is left."""
    calls = []

    def register_outside():
        outside = threading.Thread(target=registry.on_exit, args=[lambda: calls.append("outside")])
        outside.start()
        outside.join()

    registry.on_exit(register_outside)
    registry.on_exit(lambda: calls.append("planned"), order=1)
    registry._runs().advance(deadline=time.monotonic() + 60)
    assert calls == ["planned", "outside"]


def test_what_other_threads_have_registered_before_a_pass_is_planned_in_it(registry):
    """Items of negative order have run, and the others have waited for the rest of the program."""
    calls = []
    registry.on_exit(lambda: calls.append("negative"), order=-1)
    registry.on_exit(lambda: calls.append("closed"), order=10)
    registry._runs().advance(before=0)
    registry.on_exit(lambda: calls.append("flushed"))
    registry._runs().advance(deadline=time.monotonic() + 60)
    assert calls == ["negative", "flushed", "closed"]


@pytest.mark.field(kind="a thread that hands over what it has")
def test_what_a_thread_registers_as_it_is_stopped_is_run_in_its_place(registry, monkeypatch):
    """It may hand over what it has, before that is closed which this needs."""
    monkeypatch.setattr("graceexit._plan.EARLY", 0.0)  # else it would be so for any thread
    calls, handed_over = [], threading.Event()

    def work():
        stop.wait()
        registry.on_exit(lambda: calls.append("flushed"))
        handed_over.set()

    def tell():  # has it registered before it is known to have been told
        stop.set()
        handed_over.wait()

    stop = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    registry.register(thread, stop=tell)
    registry.register(lambda: calls.append("closed"), order=10)
    assert registry.run().ok
    assert calls == ["flushed", "closed"]


def test_a_thread_that_registers_without_an_end_does_not_keep_the_run_from_ending(
    registry, monkeypatch
):
    """Its items are run for some time after the last one that was planned, and then no more."""
    monkeypatch.setattr("graceexit._plan.LATE", 0.1)
    over, calls = threading.Event(), []

    def keep_registering():
        while not over.wait(0.001) and len(calls) < 1000:  # as above
            registry.register(lambda: (calls.append(1), time.sleep(0.005)))

    def begin():
        outside.start()
        while len(registry) < 9:
            time.sleep(0.001)

    outside = threading.Thread(target=keep_registering)
    registry.register(begin, timeout=60)
    report = registry.run()
    over.set()
    outside.join()
    assert len(calls) > 8
    rest = report.results[-1]
    assert (rest.outcome, rest.kind, rest.where) == ("not run", "callback", "")
    assert rest.name.endswith(" items registered during the exit")


def test_threads_of_one_order_have_outcomes_and_seconds_of_their_own(registry):
    """Not those of a neighbour that is waited for in front of them."""
    release, flag = threading.Event(), threading.Event()
    slow = threading.Thread(target=lambda: flag.wait() and time.sleep(0.4))
    quick = threading.Thread(target=flag.wait)
    stuck = threading.Thread(target=release.wait)
    for thread, name, timeout in ((quick, "quick", 60), (slow, "slow", 60), (stuck, "stuck", 0.2)):
        thread.start()
        stop = nothing if thread is stuck else flag
        registry.register(thread, stop=stop, name=name, timeout=timeout)
    report = registry.run()
    release.set()
    stuck.join()
    assert outcomes(report) == [("quick", "done"), ("stuck", "overran"), ("slow", "done")]
    quickly, overrun, slowly = [result.seconds for result in report.results]
    assert quickly < 0.2 <= overrun < 0.4 <= slowly


def test_a_thread_that_dies_of_an_exception_after_its_stop_has_failed(registry, monkeypatch):
    """With what it has died of, which `threading.excepthook` is told as ever."""
    heard = []

    def die(flag, error):
        flag.wait()
        raise error

    monkeypatch.setattr(threading, "excepthook", lambda args: heard.append(args.exc_type))
    for error in (ValueError("no pool"), SystemExit(3)):
        flag = threading.Event()
        thread = threading.Thread(target=die, args=[flag, error], name=type(error).__name__)
        thread.start()
        registry.register(thread, stop=flag)
    results = {result.name: result for result in registry.run().results}
    failed, left = results["ValueError"], results["SystemExit"]
    assert (failed.outcome, str(failed.error)) == ("failed", "no pool")
    assert (left.outcome, left.error) == ("done", None)
    assert ValueError in heard


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_by_sys_exit_after_its_stop_is_done():
    """For `threading` that is an end like any other."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: (stop.wait(), sys.exit(1)))
    thread.start()
    registry = graceexit.Registry()
    registry.register(thread, stop=stop)
    assert [result.outcome for result in registry.run().results] == ["done"]


@pytest.mark.parametrize("place", [0, 1])
def test_a_stop_that_waits_for_the_stop_of_another_thread_is_left_to_go_on(place):
    """The next one is called meanwhile, whichever of them it is."""
    registry = graceexit.Registry()
    told = threading.Event()
    events = [threading.Event() for _ in range(3)]
    stops = [event.set for event in events]
    stops[place] = lambda: (told.wait(), events[place].set())
    stops[2] = lambda: (told.set(), events[2].set())
    for event, stop in reversed([*zip(events, stops, strict=True)]):
        thread = threading.Thread(target=event.wait)
        thread.start()
        registry.register(thread, stop=stop)
    outcomes = [result.outcome for result in registry.run().results]
    told.set()
    assert outcomes == ["done"] * 3


@pytest.mark.parametrize("more", [[], ["late"]], ids=["planned", "late"])
def test_a_run_up_to_an_order_leaves_the_rest(more):
    """What was there, and what an item has registered meanwhile."""
    registry = graceexit.Registry()
    early = lambda: [registry.register(lambda: None, name=name) for name in more]  # noqa: E731
    registry.register(early, name="early", order=-1)
    registry.register(lambda: None, name="planned")
    names = lambda outcomes: [item.name for item, *_ in outcomes]  # noqa: E731
    assert names(registry._runs().advance(before=0)) == ["early"]
    assert sorted(names(registry._runs().advance())) == ["early", *more, "planned"]


def test_where_no_thread_can_be_started_the_caller_is_not_traced(registry):
    """What a debugger has asked of new threads is nothing to it."""
    seen = []
    registry.register(lambda: seen.append(sys.getprofile()))
    before = sys.getprofile()
    threading.setprofile(print)
    try:
        a_run(registry, start_thread=lambda _: False).go()
    finally:
        threading.setprofile(None)
        sys.setprofile(before)
    assert seen == [before]


def test_a_stop_that_dawdles_and_then_raises_fails_its_thread(registry):
    """It goes on by itself, and what it raises is not lost."""
    flag, told = threading.Event(), []

    def dawdle():
        time.sleep(0.3)
        flag.set()
        raise OSError("cannot tell")

    for stop in (lambda: told.append("another"), dawdle):
        thread = threading.Thread(target=lambda: flag.wait() and time.sleep(0.2))
        thread.start()
        registry.register(thread, stop=stop, timeout=60, name=stop.__name__)
    results = {result.name: result for result in registry.run().results}
    assert told == ["another"]
    assert (results["<lambda>"].outcome, results["dawdle"].outcome) == ("done", "failed")
    assert str(results["dawdle"].error) == "cannot tell"


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="about a fault of Thread.join up to Python 3.12"
)
def test_a_thread_that_a_join_has_marked_as_stopped_is_waited_for(registry):
    """An exception that leaves `join` does that to one that goes on (python/cpython#90882)."""
    flag = threading.Event()
    thread = threading.Thread(target=lambda: flag.wait() and time.sleep(0.2))
    thread.start()
    thread._tstate_lock.release()
    thread._wait_for_tstate_lock()
    assert not thread.is_alive()
    registry.register(thread, stop=flag, name="marked")
    (result,) = registry.run().results
    assert (result.name, result.outcome) == ("marked", "done")
    assert result.seconds >= 0.2


class Awaitable:
    """What can be awaited, and is no coroutine."""

    def __init__(self, awaited):
        self.awaited = awaited

    def __await__(self):
        """Note it."""
        yield from asyncio.sleep(0).__await__()
        self.awaited.append("awaitable")


def test_what_a_callback_returns_is_awaited(registry):
    """A coroutine, anything awaitable, and a Future of `concurrent.futures`, with its error."""
    awaited = []

    async def coroutine(what):
        awaited.append(what)

    broken = concurrent.futures.Future()
    broken.set_exception(OSError("no pool"))
    pending = concurrent.futures.Future()
    registry.register(lambda: pending, name="pending", timeout=0.1)
    registry.register(lambda: broken, name="broken")
    registry.register(lambda: Awaitable(awaited), name="awaitable")
    registry.register(lambda: coroutine("coroutine"), name="coroutine")
    report = registry.run()
    pending.set_result(None)
    assert awaited == ["coroutine", "awaitable"]
    assert outcomes(report) == [
        *(("coroutine", "done"), ("awaitable", "done"), ("broken", "failed")),
        ("pending", "overran"),
    ]
    assert str(report.results[2].error) == "no pool"


def test_a_future_of_a_running_loop_is_waited_for_there(registry):
    """It cannot be awaited in another loop."""
    loop, ended = asyncio.new_event_loop(), []
    runs = threading.Thread(target=loop.run_forever)
    runs.start()

    async def work():
        await asyncio.sleep(0.05)
        ended.append(asyncio.get_running_loop())

    async def begin():
        return asyncio.ensure_future(work())

    registry.register(lambda: asyncio.run_coroutine_threadsafe(begin(), loop).result())
    assert registry.run().ok
    loop.call_soon_threadsafe(loop.stop)
    runs.join()
    loop.close()
    assert ended == [loop]


def test_what_the_grace_cuts_short_or_leaves_is_said_to_be_its_doing(registry, caplog):
    """The timeout of an item is not what it has overrun then."""
    release = threading.Event()
    registry.register(nothing, order=1, name="left")
    registry.register(release.wait, timeout=60, name="cut")
    begun = time.monotonic()
    results = registry._runs().advance(deadline=begun + 0.2, grace=7.0)
    registry._runs().log.flush(5)
    release.set()
    assert [(item.name, how, limit) for item, how, *_, limit in results] == [
        ("cut", "overran", "grace"),
        ("left", "done", None),
    ]
    registry.register(nothing, name="left")
    [outcome] = registry._runs().advance(deadline=begun, grace=7.0)
    registry._runs().log.flush(5)
    assert (outcome[1], outcome[6]) == ("not run", "grace")
    overran, left = caplog.messages
    assert re.search(
        r"did not return within 0\.\d+ s, its share of grace=7 s; left behind", overran
    )
    assert re.search(r"callback 'left' \(\S+\) not run: grace=7 s is over$", left)


def test_at_debug_the_begin_and_the_end_of_each_item_is_said(registry, caplog):
    """The log is asked once, when the run begins."""
    caplog.set_level("DEBUG", "graceexit")
    registry.register(nothing)
    registry.register(threading.Thread(), stop=nothing, name="idle")
    registry.run()
    said = [re.sub(r"\(\S+\)|[\de.-]+ s$", "...", line) for line in caplog.messages]
    head = f"graceexit[{os.getpid()}]: in run(): "
    assert said == [
        f"{head}thread 'idle' begins",
        f"{head}thread 'idle' done after ...",
        f"{head}callback 'nothing' ... begins",
        f"{head}callback 'nothing' ... done after ...",
    ]
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_an_item_that_cannot_be_compared_does_not_hold_up_the_others(registry):
    """Each subject that is registered late is compared with those that have been run."""

    class Incomparable:
        __hash__ = None

        def __eq__(self, other):
            raise ValueError("compare me not")

        def __call__(self):
            registry.register(nothing)
            registry.register(self, name="the same")

    registry.register(Incomparable(), name="odd")
    assert outcomes(registry.run()) == [
        ("odd", "done"),
        ("the same", "not run"),
        ("nothing", "done"),
    ]


def test_an_error_of_the_runner_itself_ends_the_run_and_the_rest_runs_next(registry, monkeypatch):
    """Whoever waits for the run is not kept waiting for ever."""
    calls = []
    registry.register(lambda: calls.append("rest"), order=1)
    registry.register(nothing)

    def broken(self, item, outcomes):
        raise MemoryError

    def register_late():
        registry.register(nothing)

    registry.register(register_late)
    raised = queue.SimpleQueue()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda error: raised.put(error.exc_type))
        patch.setattr(Plan, "_has_run", broken)
        registry.run()
        # Python tells of it when the thread has ended, which the run does not wait for.
        assert raised.get(timeout=10) is MemoryError
    assert calls == []
    registry.run()
    assert calls == ["rest"]


def test_a_second_run_waits_for_the_first_and_one_inside_an_item_returns_at_once(registry):
    """Each item runs once, whoever runs them."""
    begun, go_on = threading.Event(), threading.Event()
    reports = {}

    def item():
        reports["inside"] = registry.run()
        begun.set()
        assert go_on.wait(30)

    registry.register(item)
    first = threading.Thread(target=lambda: reports.update(first=registry.run()))
    first.start()
    assert begun.wait(30)
    second = threading.Thread(target=lambda: reports.update(second=registry.run()))
    second.start()
    second.join(0.1)
    assert second.is_alive()
    go_on.set()
    first.join()
    second.join()
    assert reports["inside"].results == reports["second"].results == []
    assert [result.outcome for result in reports["first"].results] == ["done"]


def test_registering_is_safe_from_many_threads_and_from_finalizers(registry):
    """Every item whose `register` has returned runs once, unless it was unregistered."""
    calls = []
    counts = range(500)

    def work(number):
        for count in counts:
            registry.register(functools.partial(calls.append, (number, count)))
            if count % 2:
                assert registry.unregister(registry.register(nothing))

    class Finalized:
        """Registers as it is collected, perhaps in the middle of another `register`."""

        def __init__(self):
            self.me = self

        def __del__(self):
            registry.register(functools.partial(calls.append, ("finalizer", id(self))))

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        weakref.finalize(Finalized(), registry.register, functools.partial(calls.append, "weak"))
    for thread in threads:
        thread.join()
    gc.collect()
    report = registry.run()
    assert report.ok
    assert sorted(call for call in calls if call[0] in range(8)) == [
        (number, count) for number in range(8) for count in counts
    ]
    assert sum(call[0] == "finalizer" for call in calls) == calls.count("weak") == 200


# What an item says of itself.


class Named(threading.Thread):
    """A thread with a `run` of its own."""

    def run(self):
        """Do nothing."""


def test_an_item_is_named_by_its_name_its_thread_or_its_function(registry):
    """And placed by where its code is defined, if that is known."""
    here = __file__

    def line(function):
        return f"{here}:{function.__code__.co_firstlineno}"

    named = Named(name="flusher")
    assert [
        (item.name, item.kind, item.where)
        for item in (
            registry.register(nothing),
            registry.register(nothing, name="the pool"),
            registry.register(functools.partial(functools.partial(nothing))),
            registry.register(Ended().is_alive),
            registry.register([].clear),
            registry.register(int),
            registry.register(named, stop=nothing),
            registry.register(threading.Thread(target=nothing, name="t"), stop=nothing),
            registry.register(IDLE, stop=nothing),
            registry.register(multiprocessing.Process(name="p"), stop=nothing),
        )
    ] == [
        ("nothing", "callback", line(nothing)),
        ("the pool", "callback", line(nothing)),
        ("nothing", "callback", line(nothing)),
        ("Ended.is_alive", "callback", line(Ended.is_alive)),
        ("list.clear", "callback", ""),
        ("int", "callback", ""),
        ("flusher", "thread", line(Named.run)),
        ("t", "thread", line(nothing)),
        ("idle", "thread", ""),
        ("p", "thread", ""),
    ]
    assert repr(registry.register(nothing)) == (
        f"<graceexit.Item callback nothing {line(nothing)}>"
    )
