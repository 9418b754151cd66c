"""Early notice; run it by uvicorn, granian --interface asgi, or gunicorn --worker-class asgi."""

import asyncio
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

import graceexit


@asynccontextmanager
async def lifespan(app):
    """Go in front of the handler that the server has set since it imported this module."""
    graceexit.install()
    yield


async def ready(request):
    """Answer a probe: not ready any more, once the end has been asked for."""
    return PlainTextResponse("", 503 if graceexit.exiting.is_set() else 200)


async def events(request):
    """Answer with an event a second; if this did not end, the server would wait for it."""

    async def ticks():
        while not graceexit.exiting.is_set():
            yield "data: tick\n\n"
            await asyncio.sleep(1)
        yield "event: moved\ndata: connect again\n\n"

    return StreamingResponse(ticks(), media_type="text/event-stream")


app = Starlette(routes=[Route("/ready", ready), Route("/events", events)], lifespan=lifespan)
