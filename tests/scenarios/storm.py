"""
Register, start threads, fork and end, as a seed says; signals come at any instant.

Prints one line by one system call for each event: "pid registered N" after `register` has
returned, "pid ran N" in the item, "pid unregisters N" before that is tried and "pid unregistered N"
once it has succeeded, "pid raises N" before it sends itself the signal N, "pid ends 0" as the main
thread comes to its end. Numbers from 500 upwards are for each process, those from 1000 upwards are
of children.
"""

import atexit
import multiprocessing
import os
import random
import signal
import sys
import threading
import time

import graceexit

chance = random.Random(int(sys.argv[1]))  # noqa: S311
ending = sys.argv[2]
SIGNALS = [signal.SIGTERM] * 3 + [signal.SIGINT]


def say(what, number):
    os.write(1, f"{os.getpid()} {what} {number}\n".encode())


callbacks = []


def add(number, **options):
    """Register a callback or a thread that notes that it was run."""
    if number < 500 and chance.random() < 0.4:
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)

        def tell():
            say("ran", number)
            stop.set()

        # Registered first: nobody would end one that a Ctrl-C in `start` has kept from it.
        graceexit.register(thread, stop=tell, order=chance.choice([-1, 0, 0, 1]), **options)
        thread.start()
    else:
        pause = chance.choice([0, 0, 0.02])

        def call():
            say("ran", number)
            time.sleep(pause)

        item = graceexit.register(call, order=chance.choice([-1, 0, 0, 1]), **options)
        callbacks.append((number, item))
    say("registered", number)


def forget():
    """Unregister a callback, if there is one."""
    if callbacks:
        number, item = callbacks.pop()
        say("unregisters", number)
        if graceexit.unregister(item):
            say("unregistered", number)


def shut_down(pause):
    """Run everything at a random instant, by a call."""
    time.sleep(pause)
    graceexit.shutdown()


def send(pause, kill):
    """Send a signal to this process, in one of the ways that there are."""
    signum = chance.choice(SIGNALS)
    time.sleep(pause)
    say("raises", signum)
    if kill:
        os.kill(os.getpid(), signum)
    else:
        signal.raise_signal(signum)


def fork_and_wait(work):
    """Fork, and wait for the end of the child, which does its work."""
    pid = os.fork()
    if not pid:
        work()
    os.waitpid(pid, 0)


def child():
    """Be a forked child with an item of its own."""
    add(1000)
    sys.exit(0)


def keep_forking(seed):
    """Start children of multiprocessing at random instants, and terminate some of them."""
    chance = random.Random(seed)  # noqa: S311
    context = multiprocessing.get_context("fork")
    for number in range(chance.randrange(1, 4)):
        time.sleep(chance.random() * 0.05)
        process = context.Process(target=add, args=[1001 + number])
        process.start()
        if chance.random() < 0.3:
            time.sleep(chance.random() * 0.02)
            process.terminate()
        process.join()


graceexit.install(linger=1)
for event in ("item", "exit function"):
    if chance.random() < 0.1:
        register = graceexit.register if event == "item" else atexit.register
        register(lambda: fork_and_wait(lambda: os._exit(0)))
    if chance.random() < 0.1:
        pause, kill = chance.random() * 0.02, chance.random() < 0.5
        register = graceexit.register if event == "item" else atexit.register
        register(lambda pause=pause, kill=kill: send(pause, kill))
say("ready", 0)
for _ in range(chance.choice([0, 0, 1, 2, 3])):
    threading.Thread(target=keep_forking, args=[chance.random()]).start()
if chance.random() < 0.2:
    threading.Thread(target=send, args=[chance.random() * 0.2, True], daemon=True).start()
if chance.random() < 0.1:
    threading.Thread(target=shut_down, args=[chance.random() * 0.2]).start()
if chance.random() < 0.3:
    add(500, each_process=True)
for number in range(1, chance.randrange(4, 16)):
    add(number)
    act = chance.random()
    if act < 0.15:
        fork_and_wait(child)
    elif act < 0.18:
        send(0, act < 0.165)
    elif act < 0.22:
        graceexit.install()
    elif act < 0.3:
        forget()
    elif act < 0.5:
        time.sleep(chance.random() * 0.03)
say("ends", 0)
if ending == "exit":
    sys.exit(3)
if ending == "error":
    raise ValueError("the end")
if ending == "dies":  # as a server does that has drained
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    say("raises", signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
if ending == "wait":
    while True:
        time.sleep(0.01)
