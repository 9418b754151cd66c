"""A model in a process of its own. Whoever signals the group means the server, which ends it."""

import os
import signal
import time


def serve(requests, answers):
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    print("model", os.getpid(), flush=True)
    for number in iter(requests.get, None):
        time.sleep(1)  # so that a signal comes meanwhile
        answers.put(number * 2)
    print("freed", os.getpid(), flush=True)
