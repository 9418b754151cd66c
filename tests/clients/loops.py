"""
A client that belongs to the server's loop, used by each request: CLIENT is which of MAKE.

HOW is "lifespan" if it is closed there, or "callback" if graceexit is to do it later.
"""

import asyncio
import os
from importlib import import_module

import graceexit

ADDRESS = os.environ["ADDRESS"]


async def aiokafka():
    """Return how to send an item, and how to close the client."""
    producer = import_module("aiokafka").AIOKafkaProducer(bootstrap_servers=ADDRESS, linger_ms=1000)
    await producer.start()
    return lambda item: producer.send("messages", item.encode()), producer.stop


async def asyncpg():
    """Do the same."""
    words = dict(word.split("=") for word in ADDRESS.split())
    pool = await import_module("asyncpg").create_pool(
        host=words["host"], port=words["port"], user=words["user"], database=words["dbname"]
    )
    return lambda item: pool.execute("INSERT INTO items VALUES ($1)", item), pool.close


async def httpx():
    """Do the same."""
    client = import_module("httpx").AsyncClient()
    return lambda item: client.post(ADDRESS, content=item), client.aclose


async def aiohttp():
    """Do the same."""
    session = import_module("aiohttp").ClientSession()
    return lambda item: session.post(ADDRESS, data=item), session.close


async def redis_asyncio():
    """Do the same."""
    host, port = ADDRESS.split(":")
    client = import_module("redis.asyncio").Redis(host=host, port=int(port))
    return lambda item: client.rpush("handled", item), client.aclose


async def asgi(scope, receive, send):
    """Make the client and close it in the lifespan, or have it closed; send an item a request."""
    global send_item
    if scope["type"] == "lifespan":
        await receive()
        send_item, close = await globals()[os.environ["CLIENT"]]()
        if os.environ["HOW"] == "callback":
            graceexit.on_exit(close, timeout=2)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if os.environ["HOW"] == "lifespan":
            await close()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        items = [send_item(f"item-{number}.") for number in range(5)]
        await asyncio.gather(*items)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


send_item = None
