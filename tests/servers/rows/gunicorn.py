"""gunicorn: sync, gthread and gevent workers, the application loaded before or after the fork."""

from servers.row import Row

ROWS = [
    Row(
        "gunicorn sync",
        "-m gunicorn -b 127.0.0.1:PORT -w 2 service:wsgi",
        "Booting worker",
        ("gunicorn",),
        workers=2,
        short=("term", "worker"),
    ),
]
