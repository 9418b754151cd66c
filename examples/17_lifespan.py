"""
aiokafka: a producer belongs to the server's loop, and ends in the lifespan. The rest ends after it.

uvicorn 17_lifespan:app
"""

import os
import threading
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

import graceexit

stop = threading.Event()
thread = threading.Thread(target=lambda: (stop.wait(), print("stopped the thread", flush=True)))
thread.start()
graceexit.register(thread, stop=stop)


@asynccontextmanager
async def lifespan(app):
    """Have a producer in the loop that uses it: it sends what it has accepted before it ends."""
    async with AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA"], linger_ms=1000) as producer:
        yield {"producer": producer}
    print("stopped the producer", flush=True)


async def accept(request):
    """Accept a message, which waits for a batch."""
    await request.state.producer.send("messages", await request.body(), partition=0)
    return Response(status_code=204)


app = Starlette(routes=[Route("/", accept, methods=["POST"])], lifespan=lifespan)
