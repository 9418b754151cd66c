"""
Dask: each worker has a thread, which sends the rest before the worker ends.

dask worker tcp://127.0.0.1:8786 --nworkers 2 --preload 08_dask

Everything runs by itself when the tasks in progress have ended, in workers, nannies and schedulers.
A nanny waits 8 s for that in all. Do not call shutdown() in the teardown of a plugin or a preload:
it comes before the tasks have ended.
"""

import queue
import signal
import threading

from distributed import get_worker

import graceexit


def send_rest(events, stop):
    """Send what there is when told to stop; a real one sends now and then as well."""
    stop.wait()
    while not events.empty():
        print("sent", events.get(), flush=True)


def dask_setup(worker):
    """Start the thread in a worker, and leave Ctrl-C to its nanny: it would get stuck by both."""
    if worker.nanny:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker.events, stop = queue.SimpleQueue(), threading.Event()
    thread = threading.Thread(target=send_rest, args=[worker.events, stop])
    thread.start()
    graceexit.register(thread, stop=stop)


def greet(who):
    """Leave the greeting to the thread of the worker that does this task."""
    get_worker().events.put(who)
