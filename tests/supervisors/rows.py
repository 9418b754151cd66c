"""What stands above programs: supervisors, terminals, init processes, reloaders."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

from supervisors.row import Row

# Who gets a signal, and who is killed: the program with its process group, and all that it started.
GROUP = ("process", "group")
ALL = (*GROUP, "session")
TERM_GROUP = ("SIGTERM", "SIGTERM", "")
INT_GROUP = ("SIGINT", "SIGINT", "")
# What to write for a signal that graceexit does not take by itself, and that nothing has to be.
HUP: dict[str, Any] = {
    "gets": ("SIGHUP", "", ""),
    "signals": ("SIGTERM", "SIGINT", "SIGHUP"),
    "write": "`install(signals=(SIGTERM, SIGINT, SIGHUP))`",
}
UNTOLD: dict[str, Any] = {"gets": ("", "", ""), "runs": False}

SUPERVISORD = """
[supervisord]
nodaemon=true
user=root
logfile=DIR/supervisord.log
pidfile=DIR/supervisord.pid
[program:app]
command=PROGRAM
"""
CIRCUS = """
[circus]
endpoint = ipc://DIR/endpoint
pubsub_endpoint = ipc://DIR/pubsub
[watcher:app]
cmd = PROGRAM
copy_env = True
"""
PM2 = """{"apps": [{
    "name": "app",
    "script": "/bin/sh",
    "args": ["-c", "exec PROGRAM"],
    "interpreter": "none"
    OPTION
}]}"""

# It runs a module, and not a command.
HUPPER = """
import runpy
import shlex
import sys

_, *sys.argv = shlex.split("PROGRAM")
runpy.run_path(sys.argv[0], run_name="__main__")
"""

supervisord = Row(
    "supervisord",
    "supervisord -n -c DIR/supervisord.conf",
    files={"supervisord.conf": f"{SUPERVISORD}OPTION\n"},
    kills=("process",),
    after=10,
    option="stopwaitsecs=2",
    says="`stopwaitsecs`",
)
SUPERVISORS = [
    supervisord,
    replace(
        supervisord,
        name="supervisord, for the group",
        files={"supervisord.conf": f"{SUPERVISORD}stopasgroup=true\nOPTION\n"},
        gets=TERM_GROUP,
        kills=GROUP,
    ),
    Row(
        "circus",
        "circusd DIR/circus.ini",
        files={"circus.ini": f"{CIRCUS}OPTION\n"},
        kills=("process",),
        perhaps=("group",),
        after=30,
        option="graceful_timeout = 2",
        says="`graceful_timeout`",
    ),
    Row("honcho", "honcho start", files={"Procfile": "app: PROGRAM\n"}, gets=TERM_GROUP),
    Row(
        "pm2",
        "pm2 start DIR/app.json",
        how="`pm2 stop`",
        stop="pm2 stop app",
        files={"app.json": PM2},
        env={"PM2_HOME": "DIR/pm2"},
        gets=("SIGINT", "SIGINT", "SIGINT"),
        kills=ALL,
        after=1.6,
        option=', "kill_timeout": 2000',
        says="`kill_timeout`",
    ),
]
INITS = [
    Row("tini", "tini -s -- PROGRAM"),
    Row("tini -g", "tini -s -g -- PROGRAM", gets=TERM_GROUP),
    Row("dumb-init", "dumb-init PROGRAM", gets=TERM_GROUP),
    Row("dumb-init --single-child", "dumb-init --single-child PROGRAM"),
    Row(
        "sh -c",
        "sh -c 'cd . && PROGRAM'",
        version="",
        **UNTOLD,
        write="`exec` before the program: the shell dies, and the program goes on",
        short=True,
    ),
    Row("sh -c, with exec", "sh -c 'cd . && exec PROGRAM'", version="", short=True),
]
closed = Row(
    "a closed terminal",
    "PYTHON HERE/terminal.py PROGRAM",
    how="the terminal is closed",
    version="",
    **HUP,
    short=True,
)
# What keeps SIGHUP away. The shell is the terminal's, and waits for the program.
kept = replace(
    closed,
    **UNTOLD,
    signals=(),
    write="nothing: the program goes on",
    short=False,
)
TERMINALS = [
    closed,
    Row(
        "tmux",
        "tmux -L NAME -f /dev/null new-session -d PROGRAM",
        how="`tmux kill-session`",
        stop="tmux -L NAME kill-session",
        version="tmux -V",
        **HUP,
    ),
    Row(
        "screen",
        "screen -S NAME -c /dev/null -D -m PROGRAM",
        how="`screen -X quit`",
        stop="screen -S NAME -X quit",
        **HUP,
    ),
    replace(
        kept,
        name="nohup",
        command="PYTHON HERE/terminal.py sh -c 'nohup PROGRAM & wait'",
        version="nohup --version",
    ),
    replace(
        kept,
        name="setsid",
        command="PYTHON HERE/terminal.py sh -c 'setsid PROGRAM & wait'",
        version="setsid --version",
    ),
]
timeout = Row(
    "timeout", "timeout 5 PROGRAM", how="its time is over", stop="", gets=TERM_GROUP, short=True
)
mpirun = Row(
    "mpirun",
    "mpirun --allow-run-as-root OPTION -np 1 PROGRAM",
    gets=TERM_GROUP,
    kills=GROUP,
    after=1,
    option="--mca odls_base_sigkill_timeout 3",
    says="`--mca odls_base_sigkill_timeout`",
)
RUNNERS = [
    timeout,
    replace(
        timeout,
        name="timeout -k",
        command="timeout -k 2 5 PROGRAM",
        kills=GROUP,
        after=2,
        says="`-k 2`",
        short=False,
    ),
    Row("timeout, SIGTERM", "timeout 60 PROGRAM", gets=TERM_GROUP),
    mpirun,
    Row(
        "mpirun, SIGUSR1",
        "mpirun --allow-run-as-root -np 1 PROGRAM",
        how="SIGUSR1",
        stop=signal.SIGUSR1,
        gets=("SIGUSR1", "SIGUSR1", ""),
        signals=("SIGTERM", "SIGINT", "SIGUSR1"),
        write="`install(signals=(SIGTERM, SIGINT, SIGUSR1))`",
    ),
    Row("uv run", "uv run --offline --no-project -- PROGRAM"),
    Row(
        "poetry run",
        "poetry run PROGRAM",
        files={"pyproject.toml": '[project]\nname = "app"\nversion = "1"\n'},
        env={"POETRY_VIRTUALENVS_CREATE": "false"},
    ),
]
# Each twice: a file has changed, and told to stop.
RELOADERS = []
for reloader, change in (
    (
        Row(
            "watchfiles",
            "watchfiles OPTION 'PROGRAM' DIR/watched",
            option="--sigint-timeout 2",
            says="`--sigint-timeout`",
            gets=("SIGINT", "", ""),
            kills=("process",),
            after=5,
        ),
        "touch",
    ),
    (
        Row(
            "watchmedo",
            "watchmedo auto-restart -d DIR/watched OPTION -- PROGRAM",
            option="--kill-after 2",
            says="`--kill-after`",
            gets=INT_GROUP,
            kills=GROUP,
            after=10,
        ),
        "touch",
    ),
    (
        Row(
            "hupper",
            "hupper OPTION -w DIR/watched.py -m app",
            version="pip show hupper",
            files={"app.py": HUPPER, "watched.py": ""},
            option="--shutdown-interval 2",
            says="`--shutdown-interval`",
            kills=("process",),
            after=1,
        ),
        "cp DIR/app.py DIR/watched.py",
    ),
):
    changed = replace(
        reloader, name=f"{reloader.name}, a change", how="a file has changed", stop=change
    )
    RELOADERS += [changed, reloader]
ROWS = [*SUPERVISORS, *INITS, *TERMINALS, *RUNNERS, *RELOADERS]
