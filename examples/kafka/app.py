"""The application: each POST queues a message, on whichever interface the server speaks."""

import os

if os.environ.get("CLEANUP", "graceexit") == "graceexit":
    from flusher import messages
else:
    from without import messages


def wsgi(environ, start_response):
    """Answer as a WSGI application."""
    messages.put(environ["wsgi.input"].read())
    start_response("200 OK", [("content-length", "0")])
    return [b""]


async def asgi(scope, receive, send):
    """Answer as an ASGI application."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    messages.put(body)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def rsgi(scope, protocol):
    """Answer as an RSGI application."""
    messages.put(await protocol())
    protocol.response_empty(200, [])
