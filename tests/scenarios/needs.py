"""
Items of every kind and order, each of which needs pools, a loop, a host name and a thread.

Arguments: when pools are imported, before graceexit, after it or by the items alone; whose items
they are, those of the script or of a child by that start method; how it ends.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time

imports, whose, how = sys.argv[1:]
if imports == "before":
    import concurrent.futures.process
    import concurrent.futures.thread

import graceexit

if imports == "after":
    import concurrent.futures.process
    import concurrent.futures.thread  # noqa: F401

SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
pools = []
asked = threading.Event()  # the program's own handler has been called


def make_pools():
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    made = ThreadPoolExecutor(1), ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    for pool in made:
        pool.submit(len, "").result()
    return made


async def need_everything(what):
    try:
        found = [pool.submit(len, "ab").result() for pool in pools or make_pools()]
        found.append(await asyncio.to_thread(len, "abc"))
        found.append(len(await asyncio.get_running_loop().getaddrinfo("localhost", 80)) > 0)
        print(what, *found)
    except Exception as error:
        print(what, type(error).__name__, error)


def register(order):
    def work():
        stop.wait()
        asyncio.run(need_everything(f"thread {order}:"))

    async def async_callback():
        await need_everything(f"async callback {order}:")

    stop = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    settings = {"order": order, "timeout": 30}
    graceexit.register(thread, stop=stop, **settings)
    graceexit.on_exit(lambda: asyncio.run(need_everything(f"callback {order}:")), **settings)
    graceexit.on_exit(async_callback, **settings)


def handler(*_):
    print("the handler of the program")
    asked.set()
    if how == "handler raises":
        sys.exit(0)


def main(ready):
    if how.startswith("handler"):
        signal.signal(signal.SIGTERM, handler)
    if imports != "by items":
        pools.extend(make_pools())
    for order in (-1, 0, 1):
        register(order)
    ready()
    while how != "end" and not asked.is_set():
        time.sleep(0.01)


def child(ready):
    try:
        main(ready.set)
    except KeyboardInterrupt:
        sys.exit(5)


if __name__ == "__main__":
    sys.excepthook = lambda kind, *_: print(kind.__name__)
    if whose == "script":
        main(lambda: print("ready"))
    else:
        context = multiprocessing.get_context(whose)
        ready = context.Event()
        process = context.Process(target=child, args=[ready])
        process.start()
        ready.wait()
        if how != "end":
            os.kill(process.pid, SIGNALS.get(how, signal.SIGTERM))
        process.join()
        print("exit code", process.exitcode)
