"""
Register, start threads, fork and end, as a seed says; signals come at any instant.

Prints one line by one system call for each event: "pid registered N" after `register` has
returned, "pid ran N" in the item.
"""

import os
import random
import sys
import threading
import time

import graceexit

chance = random.Random(int(sys.argv[1]))  # noqa: S311
ending = sys.argv[2]


def say(what, number):
    os.write(1, f"{os.getpid()} {what} {number}\n".encode())


def add(number, **options):
    """Register a callback or a thread that notes that it was run."""
    if chance.random() < 0.4:
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait)
        thread.start()

        def tell():
            say("ran", number)
            stop.set()

        graceexit.register(thread, stop=tell, order=chance.choice([-1, 0, 0, 1]), **options)
    else:
        pause = chance.choice([0, 0, 0.02])

        def call():
            say("ran", number)
            time.sleep(pause)

        graceexit.register(call, order=chance.choice([-1, 0, 0, 1]), **options)
    say("registered", number)


def child():
    """Be a forked child with an item of its own."""
    add(1000)
    sys.exit(0)


graceexit.install(linger=1)
say("ready", 0)
for number in range(1, chance.randrange(4, 16)):
    add(number)
    act = chance.random()
    if act < 0.15:
        pid = os.fork()
        if not pid:
            child()
        os.waitpid(pid, 0)
    elif act < 0.5:
        time.sleep(chance.random() * 0.03)
if ending == "exit":
    sys.exit(3)
if ending == "error":
    raise ValueError("the end")
if ending == "wait":
    while True:
        time.sleep(0.01)
