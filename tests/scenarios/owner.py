"""What an application of Streamlit, or a notebook of marimo, owns: a thread and a callback."""

import os
import threading
from pathlib import Path

import graceexit


def say(text):
    """Write it where neither of them catches it."""
    with Path(os.environ["SAID"]).open("a") as file:
        file.write(f"{text}\n")


def own():
    stop = threading.Event()
    thread = threading.Thread(target=lambda: (stop.wait(), say("stopped")))
    thread.start()
    graceexit.register(thread, stop=stop)
    graceexit.on_exit(lambda: say("closed"))
