"""What the rehearsal of a server is about: items to run, and with FORGET=1 a thread to forget."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from through import through, through_asyncio

import graceexit

pool = ThreadPoolExecutor()
pool.submit(int).result()
stop = threading.Event()
for_ever = threading.Event()


def flush():
    """Do what a flush loop does, which sends its last batch through a pool."""
    stop.wait()
    through(pool, int)


def poll():
    """Do what a client's thread does that nobody knows of."""
    for_ever.wait()


thread = threading.Thread(target=flush, name="flush")
thread.start()
graceexit.register(thread, stop=stop)


@graceexit.on_exit
async def close_pool():
    """Close what the thread uses."""
    await through_asyncio(int)


if os.environ.get("FORGET"):
    threading.Thread(target=poll, name="kafka").start()


def wsgi(environ, start_response):
    """Answer."""
    time.sleep(0.1)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


async def asgi(scope, receive, send):
    """Answer."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    await asyncio.sleep(0.1)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
