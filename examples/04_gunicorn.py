"""
gunicorn: jobs that requests have left to a thread pool finish, and then the connection is closed.

gunicorn --workers 2 --worker-class gthread --threads 4 04_gunicorn:app

Python lets a pool finish what it has been given. graceexit waits for that, `linger` seconds at
most, before it closes what the jobs use. A job that takes longer goes on without it, until gunicorn
kills the worker (`graceful_timeout`).
"""

import time
from concurrent.futures import ThreadPoolExecutor

import graceexit

graceexit.install(linger=10)
pool = ThreadPoolExecutor(max_workers=2)


@graceexit.on_exit(timeout=2)
def close_connection():
    """Close what the jobs use."""
    print("closed the connection", flush=True)


def send_mail(to):
    """Do what takes too long for a request."""
    time.sleep(1)
    print("sent a mail to", to, flush=True)


def app(environ, start_response):
    """Answer before the mail has been sent."""
    pool.submit(send_mail, environ["PATH_INFO"].strip("/"))
    start_response("202 Accepted", [("Content-Length", "0")])
    return [b""]
