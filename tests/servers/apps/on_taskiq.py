"""taskiq, with one task."""

import os

import service
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

broker = ListQueueBroker(os.environ["BROKER"]).with_result_backend(
    RedisAsyncResultBackend(os.environ["BROKER"])
)
broker.task(task_name="answer")(service.answer_async)
