"""Dramatiq, with one task."""

import os

import dramatiq
import service
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=os.environ["BROKER"]))
dramatiq.actor(service.answer, max_retries=0)
