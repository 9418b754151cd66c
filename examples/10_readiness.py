"""Early notice: what must know of SIGTERM while the server drains (granian, gunicorn, uvicorn)."""

import asyncio
import contextlib

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse

import graceexit


@contextlib.asynccontextmanager
async def lifespan(app):
    """Go in front of the handler that the server has set since it imported this module."""
    graceexit.install()
    yield


async def ready(request):
    """Answer a probe: not ready any more, once the end has been asked for."""
    return PlainTextResponse("", 503 if graceexit.exiting.is_set() else 200)


async def events(request):
    """Answer with a stream of events."""
    return StreamingResponse(ticks(), media_type="text/event-stream")


async def ticks():
    """Send an event a second; if this did not end, the server would wait for it."""
    while not graceexit.exiting.is_set():
        yield "data: tick\n\n"
        await asyncio.sleep(1)
    yield "event: moved\ndata: connect again\n\n"


app = Starlette(lifespan=lifespan)
app.add_route("/ready", ready)
app.add_route("/events", events)
