"""
A thread that stays for ever, a callback behind it, and a request that may wait for the callback.

STUCK=0 leaves the thread out. With WAIT=1 a request ends when the callback has run, and not before.
"""

import os
import threading
import time

from through import through_asyncio

import graceexit

closed = threading.Event()


def say(what):
    """Write a line in one piece, whichever process writes another one."""
    os.write(1, f"{what} {os.getpid()}\n".encode())


if os.environ.get("STUCK") != "0":
    thread = threading.Thread(target=time.sleep, args=[10**6], name="stuck")
    thread.start()
    graceexit.register(thread, stop=lambda: None, timeout=100)


@graceexit.on_exit
async def close():
    """Say that it has come to this."""
    await through_asyncio(say, "closed")
    closed.set()


def wsgi(environ, start_response):
    """Answer."""
    say("requested")
    if os.environ.get("WAIT") == "1":
        while not closed.wait(0.2):  # a wait without a limit can lose a signal
            pass
    say("answered")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
