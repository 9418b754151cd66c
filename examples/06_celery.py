"""
Celery: each process that runs tasks has a thread, which sends the rest before the process ends.

celery --app 06_celery worker --concurrency 2

A process of the pool ends by os._exit: Celery's signal asks for what would not run by itself there.
"""

import queue
import threading

from celery import Celery, signals

import graceexit

app = Celery(broker="redis://127.0.0.1")
signals.worker_process_shutdown.connect(lambda **_: graceexit.shutdown(), weak=False)
events = queue.SimpleQueue()
stop = threading.Event()


def send_rest():
    """Send what there is when told to stop; a real one sends now and then as well."""
    stop.wait()
    while not events.empty():
        print("sent", events.get(), flush=True)


@signals.worker_process_init.connect
def begin(**_):
    """Start the thread here: one that the main process has started is not there after the fork."""
    thread = threading.Thread(target=send_rest)
    thread.start()
    graceexit.register(thread, stop=stop)


@app.task(name="greet")
def greet(who):
    """Leave the greeting to the thread of the process that does this task."""
    events.put(who)
