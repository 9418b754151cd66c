"""A scheduler's threads and an exporter's beside ours: a job, and somebody else's exit function."""

import atexit
import time

import prometheus_client
import service
from apscheduler.schedulers.background import BackgroundScheduler

atexit.register(lambda: service.say("exit function"))
prometheus_client.start_http_server(0, addr="127.0.0.1")
scheduler = BackgroundScheduler()
scheduler.add_job(service.answer)
scheduler.start()
while True:
    time.sleep(0.01)
