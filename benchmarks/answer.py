"""An application that answers, with a thread beside it; WITH=1 registers that with graceexit."""

import os
import threading

stop = threading.Event()
thread = threading.Thread(target=stop.wait, daemon=True)
thread.start()

if os.environ.get("WITH"):
    import graceexit

    graceexit.register(thread, stop=stop)
    graceexit.on_exit(lambda: None)

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok"}


async def app(scope, receive, send):
    """Answer."""
    if scope["type"] == "http":
        await send(START)
        await send(BODY)
