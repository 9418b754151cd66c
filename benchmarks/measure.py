"""
Measure one thing of one way, in an interpreter that has done nothing else, and print it as JSON.

python measure.py WHAT WAY [NUMBER [OPTION]]

Times are in seconds by `perf_counter_ns`, memory in bytes by tracemalloc, which sees what Python
and its C modules allocate for an item: the object, its part of a dict or list, closures, bound
methods. The collector is on, as it is in a program.
"""

import gc
import json
import os
import sys
import threading
import time
import tracemalloc
from itertools import pairwise

from ways import WAYS

TIMEOUT = 0.02  # seconds for a callback that never ends
TO_STOP = 0.1  # seconds that a thread takes to stop


def callbacks(number):
    """Return *number* callbacks that do nothing; a way may refuse to have the same one twice."""
    return [lambda: None for _ in range(number)]


def seconds_of(action, *arguments):
    """Return how long *action* takes."""
    begun = time.perf_counter_ns()
    action(*arguments)
    return (time.perf_counter_ns() - begun) / 1e9


def check(new):
    """Have three callbacks run, so that what is measured is known to run them."""
    ran = []
    way = new()
    # Kept, for pyterminate itself does not keep them.
    functions = [lambda number=number: ran.append(number) for number in range(3)]
    way.register_all(functions)
    way.run()
    assert sorted(ran) == [0, 1, 2], ran


def repeated(once, times):
    """Return the mean of what *once* returns, after a first time; of fewer if it is slow."""
    once()
    until = time.monotonic() + 0.5
    taken = [once()]
    while len(taken) < times and time.monotonic() < until:
        taken.append(once())
    return sum(taken) / len(taken)


def register(new, number):
    """Return the seconds for one registration of a callback."""
    functions = callbacks(number)

    def once():
        way = new()
        taken = seconds_of(way.register_all, functions)
        way.run()
        return taken / number

    return repeated(once, 10)


def register_thread(new, number):
    """Return the seconds for one registration of a thread that an Event tells to stop."""
    threads = [threading.Thread(target=print)] * number
    stop = threading.Event()
    return repeated(lambda: seconds_of(new().register_threads, threads, stop) / number, 10)


def memory(new, number, kind="callback"):
    """Return the bytes that one registration keeps allocated."""
    functions = callbacks(number)
    threads = [threading.Thread(target=print)] * number
    stop = threading.Event()
    new().register_all(functions[:1])  # whatever is imported by that
    way = new()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    # Nobody has to keep what is returned.
    if kind == "thread":
        way.register_threads(threads, stop)
    else:
        way.register_all(functions)
    gc.collect()
    return (tracemalloc.get_traced_memory()[0] - before) / number


def run(new, number):
    """Return the seconds that one callback which does nothing takes to be run."""
    functions = callbacks(number)

    def once():
        way = new()
        way.register_all(functions)
        gc.collect()
        return seconds_of(way.run) / number

    mean = repeated(once, 5)
    check(new)  # again, for a way may work only once
    return mean


def steps(new, number, cold=""):
    """
    Return the seconds for an item of each step, and how many of them the collector took.

    With *cold*, the processor's caches have been filled with something else before each step.
    """
    functions = callbacks(number)
    names = ("register", "unregister", "run")
    shares = dict(zip(names, (number, number / 2, number / 2), strict=True))
    total = dict.fromkeys([*names, *(f"{name}, collector" for name in names)], 0.0)
    clock, collecting = time.perf_counter_ns, [0]
    other = bytes(64 << 20 if cold else 0)  # more than a cache holds

    def note(phase, _):
        collecting[0] += clock() if phase == "stop" else -clock()

    def step(name, action, *arguments):
        other.count(1)
        begun, collected = clock(), collecting[0]
        result = action(*arguments)
        total[name] += (clock() - begun) / shares[name]
        total[f"{name}, collector"] += (collecting[0] - collected) / shares[name]
        return result

    gc.callbacks.append(note)
    times, until = 0, time.monotonic() + 1
    while times < 20_000 // number + 2 and (times < 1 or time.monotonic() < until):
        way = new()
        handles = step("register", way.register_all, functions)
        step("unregister", way.unregister_all, handles[::2])
        step("run", way.run)
        times += 1
        gc.collect()
    return {name: nanoseconds / times / 1e9 for name, nanoseconds in total.items()}


def stop_threads(new, number):
    """Return how long *number* threads take to end, and how long the slowest of them took."""
    way = new()
    taken = []

    def work(stop, told):
        stop.wait()
        time.sleep(TO_STOP)
        taken.append(time.monotonic() - told[0])

    def tell(stop, told):
        told.append(time.monotonic())
        stop.set()

    enders = []
    for _ in range(number):
        stop, told = threading.Event(), []
        thread = threading.Thread(target=work, args=(stop, told))
        thread.start()
        if hasattr(way, "register_threads"):
            way.registry.register(thread, stop=lambda s=stop, t=told: tell(s, t))
        else:
            enders.append(lambda s=stop, t=told, one=thread: (tell(s, t), one.join()))
    if enders:
        way.register_all(enders)
    whole = seconds_of(way.run)
    assert len(taken) == number
    return {"whole": whole, "slowest": max(taken)}


def lateness(way, number):
    """Return for each of *number* callbacks that never end how late the next one began."""
    begun = []
    released = threading.Event()

    def stuck():
        begun.append(time.monotonic())
        released.wait()

    LATENESS[way](number + 1, stuck, begun)
    released.set()
    return [later - earlier - TIMEOUT for earlier, later in pairwise(begun)]


def stuck_in_graceexit(number, stuck, _):
    """Run the callbacks in a registry."""
    from graceexit import Registry

    registry = Registry()
    for _ in range(number):
        registry.register(stuck, timeout=TIMEOUT)
    registry.run()


def stuck_in_executor(number, stuck, _):
    """Run the callbacks in an executor, which needs a thread for each that does not end."""
    from concurrent.futures import ThreadPoolExecutor, wait

    pool = ThreadPoolExecutor(number)
    for _ in range(number):
        wait([pool.submit(stuck)], timeout=TIMEOUT)


def stuck_in_threads(number, stuck, _):
    """Run the callbacks in a thread each."""
    for _ in range(number):
        thread = threading.Thread(target=stuck, daemon=True)
        thread.start()
        thread.join(timeout=TIMEOUT)


def stuck_in_a_lock(number, _, begun):
    """Wait for a lock as long: the floor."""
    lock = threading.Lock()
    lock.acquire()
    for _ in range(number):
        begun.append(time.monotonic())
        lock.acquire(timeout=TIMEOUT)


LATENESS = {
    "graceexit": stuck_in_graceexit,
    "executor": stuck_in_executor,
    "thread each": stuck_in_threads,
    "timed lock": stuck_in_a_lock,
}
WHAT = {
    "register": register,
    "register_thread": register_thread,
    "memory": memory,
    "run": run,
    "steps": steps,
    "stop_threads": stop_threads,
}


def main():
    """Measure and print; what is left behind is not waited for."""
    what, way, number, *option = sys.argv[1:]
    if what == "lateness":
        result = lateness(way, int(number))
    else:
        check(WAYS[way])
        result = WHAT[what](WAYS[way], int(number), *option)
    print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
