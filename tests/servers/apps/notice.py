"""
An application whose request says whether it has learnt of the end by the time that it ends.

A request ends as soon as `exiting` is set, or 1.5 s after the file STRUCK is there. With HOOK=1
`install` is called again from the server's hook for the start of a worker.
"""

import asyncio
import os
import time
from pathlib import Path

from through import through_asyncio

import graceexit

LOOK, LATER = 0.02, 1.5
is_struck = Path(os.environ["STRUCK"]).exists


def say(*words):
    """Write a line in one piece, though another thread or process is in the middle of one."""
    os.write(1, f"\n{' '.join(map(str, words))} {os.getpid()}\n".encode())


@graceexit.on_exit(each_process=True)
async def close():
    """Close, with a pool that asyncio makes for it."""
    await through_asyncio(say, "closed", graceexit.exiting.signum)


def start():
    """Do what an application does in the hook."""
    if os.environ.get("HOOK") == "1":
        graceexit.install()


def looks():
    """Yield while the request is to go on, and say how it was at its end."""
    say("requested")
    until = None
    while not graceexit.exiting.is_set() and (until is None or time.monotonic() < until):
        if until is None and is_struck():
            until = time.monotonic() + LATER
        yield
    say("answered", graceexit.exiting.is_set())


def wsgi(environ, start_response):
    """Answer as a WSGI application."""
    for _ in looks():
        time.sleep(LOOK)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


async def asgi(scope, receive, send):
    """Answer as an ASGI application."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            if event == "lifespan.startup":
                start()
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    for _ in looks():
        await asyncio.sleep(LOOK)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


class Rsgi:
    """Answer as an RSGI application."""

    def __rsgi_init__(self, loop):
        """Be told of the start of a worker."""
        start()

    async def __rsgi__(self, scope, protocol):
        """Answer."""
        for _ in looks():
            await asyncio.sleep(LOOK)
        protocol.response_str(200, [("content-length", "2")], "ok")


rsgi = Rsgi()


def post_worker_init(worker):
    """Be told of the start of a worker, where this module is gunicorn's configuration."""
    start()
