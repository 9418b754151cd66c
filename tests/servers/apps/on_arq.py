"""arq, with one task."""

import os

import service
from arq.connections import RedisSettings
from arq.worker import func


async def answer(_):
    """Answer."""
    return await service.answer_async()


class Worker:
    """What a worker needs; it may wait for its jobs."""

    functions = (func(answer, name="answer"),)
    redis_settings = RedisSettings.from_dsn(os.environ["BROKER"])
    job_completion_wait = int(os.environ["PATIENCE"])
