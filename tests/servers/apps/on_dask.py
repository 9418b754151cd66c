"""Dask: what a worker preloads, the recipe for Ctrl-C, and when a lifetime is over."""

import asyncio
import signal

import service


def dask_setup(worker):
    """Leave Ctrl-C to the nanny, which tells its workers; both at once leave them stuck."""
    if worker.nanny:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if worker.lifetime and not service.is_struck():
        worker.loop.add_callback(end_lifetime, worker)


async def end_lifetime(worker):
    """End it as Dask does, but when the driver strikes: a loaded machine has no task after 15 s."""
    while not service.is_struck():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await worker.close_gracefully(reason="worker-lifetime-reached")
