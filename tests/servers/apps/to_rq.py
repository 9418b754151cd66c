"""Put a job in flight, or say what has come of it."""

import os
import sys

from redis import Redis
from rq import Queue
from rq.job import Job

connection = Redis.from_url(os.environ["BROKER"])
if sys.argv[1] == "put":
    Queue(connection=connection).enqueue("service.answer", job_id="job")
else:
    print(Job.fetch("job", connection).get_status())
