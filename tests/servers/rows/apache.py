"""Apache with mod_wsgi, which runs the hooks of Python when its processes end."""

import signal

from servers.row import Reload, Row

ROWS = [
    Row(
        "mod_wsgi",
        "on_mod_wsgi.py --host 127.0.0.1 --port PORT --processes 2 --threads 2"
        " --server-root DIR/apache",
        "^imported ",
        ("mod_wsgi",),
        workers=2,
        columns=("term", "worker", "group", "reload"),
        reload=Reload(signal.SIGUSR1),
        waits_in_c=True,
    ),
]
