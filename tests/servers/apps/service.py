"""
The application under every server: a thread to stop, a pool to close, a request that takes a while.

At its end the thread needs a pool that was there all along, and the callback one of asyncio's.
With PLAIN=1 it is the same without graceexit, and the thread a daemon. With EACH_PROCESS=1 it is
written for a server that loads it before it forks. A task queue has a hook for each process that it
forks, and there calls `begin`.
"""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from through import through, through_asyncio

PLAIN = os.environ.get("PLAIN") == "1"
EACH_PROCESS = os.environ.get("EACH_PROCESS") == "1"
is_struck = Path(os.environ["STRUCK"]).exists  # whether the driver has done what the test is about


def say(*what):
    """Write a line in one piece, though another thread or process is in the middle of one."""
    os.write(1, f"\n{' '.join(map(str, what))}\n".encode())


if PLAIN:

    def is_exiting():
        """Return nothing: nobody knows."""
else:
    import graceexit

    is_exiting = graceexit.exiting.is_set


def begin():
    """Start and register what has to end in this process."""
    flag = threading.Event()
    pool = ThreadPoolExecutor()

    def flush_for_ever():
        """Do what a flush loop does, which sends its last batch through a pool."""
        while not flag.is_set():
            time.sleep(0.01)
        through(pool, say, "stopped", os.getpid())

    thread = threading.Thread(target=flush_for_ever, daemon=PLAIN)
    thread.start()
    if not PLAIN:
        graceexit.register(thread, stop=flag, timeout=5)

        @graceexit.on_exit(each_process=EACH_PROCESS)
        async def close_pool():
            """Close what the thread uses."""
            await through_asyncio(say, "closed", os.getpid())

    pool.submit(int).result()  # before it says so, for a signal comes then
    say("imported", os.getpid())
    return pool


def answer():
    """Take 1.5 s from the blow, and say whether the end of the process was known by then."""
    say("requested", os.getpid())
    while not is_struck():
        time.sleep(0.05)
    time.sleep(1.5)
    say("answered", os.getpid(), is_exiting())
    return "ok"


async def answer_async():
    """Do the same in a coroutine."""
    say("requested", os.getpid())
    while not is_struck():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    say("answered", os.getpid(), is_exiting())
    return "ok"


def wsgi(environ, start_response):
    """Answer."""
    body = answer().encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    """Answer."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    body = (await answer_async()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def rsgi(scope, protocol):
    """Answer."""
    body = await answer_async()
    protocol.response_str(200, [("content-length", str(len(body)))], body)


if EACH_PROCESS:
    os.register_at_fork(after_in_child=lambda: say("forked", os.getpid()))
pool = begin()
