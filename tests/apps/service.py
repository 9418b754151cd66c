"""
The application under every server: a thread to stop, a pool to close, a request that takes 1.5 s.

With PLAIN=1 it is the same without graceexit, and the thread a daemon.
"""

import asyncio
import os
import threading
import time

PLAIN = os.environ.get("PLAIN") == "1"
flag = threading.Event()


def say(what):
    """Write a line in one piece, whichever process writes another one."""
    os.write(1, f"{what} {os.getpid()}\n".encode())


def flush_for_ever():
    """Do what a flush loop does."""
    while not flag.is_set():
        time.sleep(0.01)
    say("stopped")


thread = threading.Thread(target=flush_for_ever, daemon=PLAIN)
thread.start()

if not PLAIN:
    import graceexit

    graceexit.register(thread, stop=flag, timeout=5)

    @graceexit.on_exit
    def close_pool():
        """Close what the thread uses."""
        say("closed")


def wsgi(environ, start_response):
    """Answer after 1.5 s."""
    say("requested")
    time.sleep(1.5)
    say("answered")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


async def asgi(scope, receive, send):
    """Answer after 1.5 s."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    say("requested")
    await asyncio.sleep(1.5)
    say("answered")
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def rsgi(scope, protocol):
    """Answer after 1.5 s."""
    say("requested")
    await asyncio.sleep(1.5)
    say("answered")
    protocol.response_str(200, [("content-length", "2")], "ok")


say("imported")
