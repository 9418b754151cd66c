"""What stands above programs: supervisors, terminals, init processes, reloaders."""

from __future__ import annotations

import signal

from supervisors.row import Row

HUP = ("SIGTERM", "SIGINT", "SIGHUP")
WRITE_HUP = "`install(signals=(SIGTERM, SIGINT, SIGHUP))`"

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

SUPERVISORS = [
    Row(
        "supervisord",
        "supervisord -n -c DIR/supervisord.conf",
        version="supervisord --version",
        files={"supervisord.conf": f"{SUPERVISORD}OPTION\n"},
        kills=("process",),
        after=10,
        option="stopwaitsecs=2",
        says="`stopwaitsecs`",
    ),
    Row(
        "supervisord, for the group",
        "supervisord -n -c DIR/supervisord.conf",
        version="supervisord --version",
        files={"supervisord.conf": f"{SUPERVISORD}stopasgroup=true\nOPTION\n"},
        gets=("SIGTERM", "SIGTERM", ""),
        kills=("process", "group"),
        after=10,
        option="stopwaitsecs=2",
        says="`stopwaitsecs`",
    ),
    Row(
        "circus",
        "circusd DIR/circus.ini",
        version="circusd --version",
        files={"circus.ini": f"{CIRCUS}OPTION\n"},
        kills=("process",),
        perhaps=("group",),
        after=30,
        option="graceful_timeout = 2",
        says="`graceful_timeout`",
    ),
    Row(
        "honcho",
        "honcho start",
        version="honcho --version",
        files={"Procfile": "app: PROGRAM\n"},
        gets=("SIGTERM", "SIGTERM", ""),
    ),
    Row(
        "pm2",
        "pm2 start DIR/app.json",
        how="`pm2 stop`",
        stop="pm2 stop app",
        version="pm2 --version",
        files={"app.json": PM2},
        env={"PM2_HOME": "DIR/pm2"},
        gets=("SIGINT", "SIGINT", "SIGINT"),
        kills=("process", "group", "session"),
        after=1.6,
        option=', "kill_timeout": 2000',
        says="`kill_timeout`",
    ),
]
INITS = [
    Row("tini", "tini -s -- PROGRAM", version="tini --version"),
    Row(
        "tini -g",
        "tini -s -g -- PROGRAM",
        version="tini --version",
        gets=("SIGTERM", "SIGTERM", ""),
    ),
    Row(
        "dumb-init",
        "dumb-init PROGRAM",
        version="dumb-init --version",
        gets=("SIGTERM", "SIGTERM", ""),
    ),
    Row(
        "dumb-init --single-child",
        "dumb-init --single-child PROGRAM",
        version="dumb-init --version",
    ),
    Row(
        "sh -c",
        "sh -c 'cd . && PROGRAM'",
        gets=("", "", ""),
        runs=False,
        write="`exec` before the program: the shell dies, and the program goes on",
        short=True,
    ),
    Row("sh -c, with exec", "sh -c 'cd . && exec PROGRAM'", short=True),
]
TERMINALS = [
    Row(
        "a closed terminal",
        "PYTHON HERE/terminal.py PROGRAM",
        how="the terminal is closed",
        gets=("SIGHUP", "", ""),
        signals=HUP,
        write=WRITE_HUP,
        short=True,
    ),
    Row(
        "tmux",
        "tmux -L NAME -f /dev/null new-session -d PROGRAM",
        how="`tmux kill-session`",
        stop="tmux -L NAME kill-session",
        version="tmux -V",
        gets=("SIGHUP", "", ""),
        signals=HUP,
        write=WRITE_HUP,
    ),
    Row(
        "nohup",
        "PYTHON HERE/terminal.py sh -c 'nohup PROGRAM & wait'",
        how="the terminal is closed",
        version="nohup --version",
        gets=("", "", ""),
        runs=False,
        write="nothing: the program goes on",
    ),
    Row(
        "setsid",
        "PYTHON HERE/terminal.py sh -c 'setsid PROGRAM & wait'",
        how="the terminal is closed",
        version="setsid --version",
        gets=("", "", ""),
        runs=False,
        write="nothing: the program goes on",
    ),
]
RUNNERS = [
    Row(
        "timeout",
        "timeout 5 PROGRAM",
        how="its time is over",
        stop="",
        version="timeout --version",
        gets=("SIGTERM", "SIGTERM", ""),
        short=True,
    ),
    Row(
        "timeout -k",
        "timeout -k 2 5 PROGRAM",
        how="its time is over",
        stop="",
        version="timeout --version",
        gets=("SIGTERM", "SIGTERM", ""),
        kills=("process", "group"),
        after=2,
        says="`-k 2`",
    ),
    Row(
        "timeout, SIGTERM",
        "timeout 60 PROGRAM",
        version="timeout --version",
        gets=("SIGTERM", "SIGTERM", ""),
    ),
    Row(
        "mpirun",
        "mpirun --allow-run-as-root OPTION -np 1 PROGRAM",
        version="mpirun --version",
        gets=("SIGTERM", "SIGTERM", ""),
        kills=("process", "group"),
        after=1,
        option="--mca odls_base_sigkill_timeout 3",
        says="`--mca odls_base_sigkill_timeout`",
    ),
    Row(
        "mpirun, SIGUSR1",
        "mpirun --allow-run-as-root -np 1 PROGRAM",
        how="SIGUSR1",
        stop=signal.SIGUSR1,
        version="mpirun --version",
        gets=("SIGUSR1", "SIGUSR1", ""),
        signals=("SIGTERM", "SIGINT", "SIGUSR1"),
        write="`install(signals=(SIGTERM, SIGINT, SIGUSR1))`",
    ),
    Row("uv run", "uv run --offline --no-project -- PROGRAM", version="uv --version"),
    Row(
        "poetry run",
        "poetry run PROGRAM",
        version="poetry --version",
        files={"pyproject.toml": '[project]\nname = "app"\nversion = "1"\n'},
        env={"POETRY_VIRTUALENVS_CREATE": "false"},
    ),
]
RELOADERS = [
    Row(
        "watchfiles, a change",
        "watchfiles OPTION 'PROGRAM' DIR/watched",
        how="a file has changed",
        stop="touch",
        version="watchfiles --version",
        option="--sigint-timeout 2",
        says="`--sigint-timeout`",
        gets=("SIGINT", "", ""),
        kills=("process",),
        after=5,
    ),
    Row(
        "watchfiles",
        "watchfiles OPTION 'PROGRAM' DIR/watched",
        version="watchfiles --version",
        option="--sigint-timeout 2",
        says="`--sigint-timeout`",
        gets=("SIGINT", "", ""),
        kills=("process",),
        after=5,
    ),
    Row(
        "watchmedo, a change",
        "watchmedo auto-restart -d DIR/watched OPTION -- PROGRAM",
        how="a file has changed",
        stop="touch",
        version="watchmedo --version",
        option="--kill-after 2",
        says="`--kill-after`",
        gets=("SIGINT", "SIGINT", ""),
        kills=("process", "group"),
        after=10,
    ),
    Row(
        "watchmedo",
        "watchmedo auto-restart -d DIR/watched OPTION -- PROGRAM",
        version="watchmedo --version",
        option="--kill-after 2",
        says="`--kill-after`",
        gets=("SIGINT", "SIGINT", ""),
        kills=("process", "group"),
        after=10,
    ),
]
ROWS = [*SUPERVISORS, *INITS, *TERMINALS, *RUNNERS, *RELOADERS]
