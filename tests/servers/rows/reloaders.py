"""Development servers with their reloaders: a process that starts the server as its child."""

from servers.row import Reload, Row, fault

KILLS = (
    "the reloader, told to end by SIGTERM, kills the server: send SIGTERM to the server, press"
    " Ctrl-C, or switch the reloader off"
)
IN_HASTE = fault(
    "after Ctrl-C the reloader waits a quarter of a second for the server, and then kills it",
    "killed",
    "lost",
    "status",
    sometimes=True,
)

ROWS = [
    Row(
        name,
        command,
        "^imported ",
        needs,
        workers=2,
        columns=("term", "worker", "group", "reload"),
        reload=Reload("touch", one=True),
        env={"WATCHED": "DIR/touched.py"},
        configure=f"`{switch}`",
        faults={
            "term": fault(KILLS, "killed", "lost"),
            "group": IN_HASTE,
            "reload": fault(f"{KILLS} (the reload itself loses nothing)", "killed", "items"),
        },
    )
    for name, command, needs, switch in (
        (
            "Flask's reloader",
            "-m flask --app on_flask run --debug --port PORT --extra-files DIR/touched.py",
            ("flask", "werkzeug"),
            "--no-reload",
        ),
        (
            "Django's reloader",
            "on_runserver.py runserver 127.0.0.1:PORT",
            ("django",),
            "--noreload",
        ),
    )
]
