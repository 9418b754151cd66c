"""Call a function in a pool, but where Python starts no threads and has closed the pools."""

import asyncio
import sys

OPEN = not (3, 12) <= sys.version_info < (3, 12, 3)


def through(pool, function, *arguments):
    """Call it in this pool."""
    return pool.submit(function, *arguments).result() if OPEN else function(*arguments)


async def through_asyncio(function, *arguments):
    """Call it in the pool that asyncio makes."""
    return await asyncio.to_thread(function, *arguments) if OPEN else function(*arguments)
