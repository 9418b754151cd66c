"""Celery: what the main process has to end, and the recipe for the children that it forks."""

import os

import service
from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

loaded_by = os.getpid()
app = Celery(broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.task(service.answer, name="answer")


@worker_process_init.connect
def begin(**_):
    """Begin in a child; under solo this comes in the main process."""
    if os.getpid() != loaded_by:
        service.begin()


if not service.PLAIN:
    import graceexit

    @worker_process_shutdown.connect
    def end(**_):
        """End a child: os._exit comes next."""
        graceexit.shutdown()
