"""A queue, and a thread that sends what is in it: at the end it sends the rest."""

import queue
import threading
import time

import graceexit

messages = queue.SimpleQueue()
stop = threading.Event()


def send_all():
    """Send what is queued. A real one talks to a broker or to a database here."""
    while not messages.empty():
        print("sent", messages.get(), flush=True)


def flush_for_ever():
    """Send once a second; once told to stop, send the rest and return."""
    while not stop.wait(1):
        send_all()
    send_all()


thread = threading.Thread(target=flush_for_ever, name="flush loop")
thread.start()
graceexit.register(thread, stop=stop, timeout=5)


@graceexit.on_exit
def close_connection():
    """Close what the thread uses: it is gone by now."""
    print("closed the connection", flush=True)


for number in range(10**6):
    messages.put(number)
    print("queued", number, flush=True)
    time.sleep(0.1)
