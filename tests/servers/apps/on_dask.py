"""Dask: what a worker preloads, and the recipe for Ctrl-C."""

import signal

import service  # noqa: F401


def dask_setup(worker):
    """Leave Ctrl-C to the nanny, which tells its workers; both at once leave them stuck."""
    if worker.nanny:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
