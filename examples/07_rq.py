"""
rq: a job that has threads cleans up after itself.

rq worker --path . --worker-class 07_rq.Worker

rq forks a process for each job, which ends by os._exit: nothing runs there by itself. After a
signal it dies of that as ever, which tells rq what has become of the job.
"""

import signal
import threading
import time

import rq

import graceexit


class Worker(rq.Worker):
    """A worker whose jobs clean up."""

    def perform_job(self, *args):
        """Run what the job has registered, however it has ended."""
        try:
            return super().perform_job(*args)
        finally:
            report = graceexit.shutdown()
            if report.signum is not None:
                graceexit.uninstall()
                signal.raise_signal(report.signum)


def greet(who, seconds=0):
    """Leave the greeting to a thread, which sends it when told to stop."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: (stop.wait(), print("sent", who, flush=True)))
    thread.start()
    graceexit.register(thread, stop=stop)
    print("greeted", who, flush=True)
    time.sleep(seconds)
