"""
A service on a loop, whose clean-up needs another task of it.

Arguments: what runs the loop, what handles SIGINT, and what the main task does in the end.
"""

import asyncio
import gc
import signal
import sys
import time
from pathlib import Path

import graceexit

runs, sigint, then, *go = sys.argv[1:]
# asyncio would complain of the task that a loop leaves behind, if a collection came upon it.
gc.disable()


async def send(queue, sleep):
    while True:
        message = await queue.get()
        await sleep(0.1)
        print("sent", message)
        queue.task_done()


def block():
    print("ready")
    while True:
        time.sleep(0.01)


def may_go():
    return Path(*go).exists()


async def close():
    if then == "raises":
        raise OSError("the broker is gone")
    if then == "exits":
        sys.exit(0)
    if then == "waits":
        print("waits")
        while not may_go():
            await asyncio.sleep(0.01)
    print("main unwinds")


async def main():
    queue = asyncio.Queue()
    sender = asyncio.create_task(send(queue, asyncio.sleep))
    for message in (1, 2):
        queue.put_nowait(message)
    try:
        # Not by a step of this task, for the exit would be raised there and not in the loop.
        if then == "blocks":
            block()
        asyncio.get_running_loop().call_soon(print, "ready")
        while True:
            await asyncio.sleep(0.01)
    finally:
        if then != "blocks":
            await queue.join()
        await close()
        sender.cancel()


async def alone():
    """Do the same without another task."""
    import trio

    try:
        print("ready")
        while True:
            await trio.sleep(0.01)
    finally:
        print("main unwinds")


async def in_nursery():
    """Do the same where a nursery is what tasks live in."""
    import trio

    async def child():
        try:
            await trio.sleep_forever()
        finally:
            print("child unwinds")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)
        await trio.testing.wait_all_tasks_blocked()
        await alone()


def run():
    if runs == "asyncio.run":
        asyncio.run(main())
    elif runs == "Runner":
        with asyncio.Runner() as runner:
            runner.run(main())
    elif runs == "run_until_complete":
        asyncio.new_event_loop().run_until_complete(main())
    elif runs == "uvloop.run":
        import uvloop

        uvloop.run(main())
    elif runs == "uvloop's run_until_complete":
        import uvloop

        uvloop.new_event_loop().run_until_complete(main())
    elif runs == "anyio":
        import anyio

        anyio.run(main)
    elif runs == "anyio on trio":
        import anyio
        import trio.testing

        anyio.run(in_nursery, backend="trio")
    elif runs == "trio":
        import trio
        import trio.testing

        trio.run(in_nursery)
    elif runs == "trio without a nursery":
        import trio

        trio.run(alone)


sys.excepthook = lambda kind, *_: print(kind.__name__)
if sigint == "ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
elif sigint == "the program's":
    signal.signal(signal.SIGINT, lambda *_: print("never"))
graceexit.install(linger=0.5 if then == "hangs" else 60)
graceexit.on_exit(lambda: print("closed"))
try:
    run()
    print("never: what follows it")
finally:
    print("unwound")
