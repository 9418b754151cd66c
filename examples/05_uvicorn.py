"""
uvicorn: what belongs to the event loop ends in the lifespan, everything else after it.

uvicorn --workers 2 --timeout-graceful-shutdown 20 05_uvicorn:app
"""

import asyncio
import threading

import graceexit

stop = threading.Event()
thread = threading.Thread(target=lambda: (stop.wait(), print("stopped the thread", flush=True)))
thread.start()
graceexit.register(thread, stop=stop)


@graceexit.on_exit
async def leave_the_cluster():
    """Run in a loop of its own: the server's is closed by now."""
    print("left the cluster", flush=True)


async def lifespan(receive, send):
    """Start a task of the server's loop, and end it there."""
    await receive()
    task = asyncio.create_task(asyncio.sleep(10**6))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("cancelled the task", task.cancel(), flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    """Answer with nothing."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
