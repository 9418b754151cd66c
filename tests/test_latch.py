"""The flag that a signal handler may set."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from graceexit._latch import Latch


def test_a_latch_is_set_once_and_for_all():
    """Waiting returns whether it is set, and does not wait once it is."""
    latch = Latch()
    assert not latch.is_set()
    assert latch.wait(0) is latch.wait(-1) is latch.wait(0.01) is False
    assert repr(latch) == "<graceexit.Latch unset signum=None>"
    latch.set()
    latch.set()
    assert latch.is_set()
    assert latch.wait() is latch.wait() is latch.wait(0) is True
    latch.signum = 15
    assert repr(latch) == "<graceexit.Latch set signum=15>"


def test_it_wakes_everybody_who_waits():
    """With a limit or without one, and whatever the limit is."""
    latch = Latch()
    woken = []
    limits = [None, 60, 1e9, float("inf"), None]
    threads = [threading.Thread(target=lambda n=n: woken.append(latch.wait(n))) for n in limits]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    assert woken == []
    latch.set()
    for thread in threads:
        thread.join(10)
    assert woken == [True] * len(limits)


def test_clear_begins_anew():
    """A forked child has noticed nothing yet."""
    latch = Latch()
    latch.set()
    latch.signum = 15
    latch.clear()
    assert (latch.is_set(), latch.wait(0), latch.signum) == (False, False, None)
    latch.set()
    assert latch.wait() is True


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this platform has no SIGUSR1")
def test_a_handler_may_set_it_wherever_the_main_thread_is():
    """
    A handler runs between any two instructions of `set` and of `wait`.

    `Event.set` takes a lock there, for which a handler that runs inside another call waits for
    ever. Here hundreds of handlers interrupt both.
    """
    latch = Latch()
    came = 0

    def handler(*_):
        nonlocal came
        came += 1
        latch.set()

    def send():
        while not over.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            time.sleep(0)

    over = threading.Event()
    previous = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        while came < 300:
            latch.clear()
            latch.set()
            assert latch.wait()
            latch.wait(0)
            assert latch.is_set()
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, previous)


def test_an_exception_that_a_handler_raises_in_wait_takes_no_wake_up_with_it():
    """Who is interrupted while it waits wakes the next one all the same."""
    latch = Latch()

    class Bell:
        def wait(self, timeout):
            latch.set()
            raise KeyboardInterrupt

        def ring(self):
            rung.append(True)

    rung = []
    latch._bell = Bell()
    with pytest.raises(KeyboardInterrupt):
        latch.wait()
    assert rung == [True, True]  # by set() and by the waiter that was interrupted
