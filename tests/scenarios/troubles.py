"""Items that fail, hang, dawdle and come back, heard of through logging or without it."""

import asyncio
import sys
import threading

import graceexit

if "logging" in sys.argv:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s: %(message)s")


@graceexit.on_exit
def where_it_runs():
    on_main = threading.current_thread() is threading.main_thread()
    print("on", "the main thread" if on_main else "a helper")


@graceexit.on_exit
async def in_a_loop_of_its_own():
    await asyncio.sleep(0)
    print("in a loop of its own")


@graceexit.on_exit
def again():
    print("again")
    graceexit.register(again)


@graceexit.on_exit
def interrupted():
    raise KeyboardInterrupt


@graceexit.on_exit
def leaves():
    sys.exit(5)


@graceexit.on_exit(name="the pool")
def fails():
    raise ValueError("no such pool")


if "hang" in sys.argv:
    told, flag = threading.Event(), threading.Event()
    first, second = (threading.Thread(target=flag.wait) for _ in range(2))
    first.start()
    second.start()
    graceexit.register(first, stop=lambda: (print("told the first"), told.set()), timeout=30)
    graceexit.register(second, stop=lambda: (told.wait(), flag.set()), timeout=30)

    @graceexit.on_exit(timeout=0.3)
    def hangs():
        threading.Event().wait()
