"""`python -m graceexit rehearse`: what it starts, sees, asks, kills and says."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import sys
import uuid
from pathlib import Path
from textwrap import dedent

import pytest
from harness import MARK, UNMEASURED, marked
from servers.driver import free_port

from graceexit._rehearsal.rehearsal import SETTLED

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="a rehearsal sees the tree of processes on Linux alone"
)

# A service without graceexit that never heard of its thread.
FORGOTTEN = """
    import signal, sys, threading

    for_ever = threading.Event()

    def poll():
        for_ever.wait()

    threading.Thread(target=poll, name="kafka").start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    print("ready")
    while True:
        for_ever.wait(0.01)
"""
KEPT_BY_KAFKA = [
    (
        "It is kept alive by thread 'kafka', which is not a daemon. "
        "It runs poll (service.py:5). It is at"
    ),
    "    service.py:6 in poll",
    "Write where the thread is made:",
    "    graceexit.register(thread, stop=flag, timeout=5)   # flag: what tells it to stop",
]
OBEDIENT = """
    import time
    print("ready")
    while True:
        time.sleep(0.01)
"""
# The first request is answered at once; the others when the signal has come, by argv[2].
SERVER = """
    import http.server, itertools, os, signal, sys, threading

    numbers, stopping = itertools.count(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status = 200
            if next(numbers):
                stopping.wait()
                status = int(sys.argv[2])
                if not status:
                    os._exit(0)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def stop(*_):
        stopping.set()
        threading.Thread(target=server.shutdown).start()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = False
    signal.signal(signal.SIGTERM, stop)
    server.serve_forever()
    server.server_close()
"""


class Rehearsed:
    """A rehearsal of a program that is given as text."""

    def __init__(self, program, folder, source, *options, words=(), python=(), env=()):
        (folder / "service.py").write_text(dedent(source).lstrip("\n"), encoding="utf-8")
        self.file = folder / "seen.json"
        self.running = program(
            *(sys.executable, "-m", "graceexit", "rehearse", "--json", self.file, *options, "--"),
            *(sys.executable, *python, "service.py", *words),
            cwd=folder,
            env={MARK: (mark := uuid.uuid4().hex), **dict(env)},
        )
        self.mark = mark

    def finish(self):
        """Wait for the end and return the exit status; what was seen is in `seen` then."""
        _, status = self.running.finish()
        self.lines = self.running.lines
        self.seen = json.loads(self.file.read_text()) if self.file.exists() else {}
        return status

    def processes(self):
        """Return the name of each process, how it ended, and whether it was killed."""
        return [(one["name"], one["status"], one["killed"]) for one in self.seen["processes"]]

    def lost(self):
        """Return what was lost, with P0 for the first pid."""
        return [
            [self.named(line) for line in (one["what"], *one["more"])] for one in self.seen["lost"]
        ]

    def named(self, text):
        """Return *text* with P0 for the first pid."""
        for number, one in enumerate(self.seen["processes"]):
            text = re.sub(rf"\b{one['pid']}\b", f"P{number}", text)
        return text

    def signals(self):
        """Return which signals were sent to whom."""
        return [(one["signal"], self.named(str(one["pids"]))) for one in self.seen["signals"]]


@pytest.fixture
def rehearse(program, tmp_path):
    """Rehearse a program of a few lines that prints "ready"; nothing may be left of it."""
    started = []

    def start(source, *options, sign=("--until", "ready"), **more):
        ready = [] if {"--url", "--until"} & {*options} else sign
        started.append(Rehearsed(program, tmp_path, source, *ready, *options, **more))
        return started[-1]

    yield start
    left = [pid for one in started for pid in marked(one.mark)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def test_a_program_that_ends_loses_nothing(rehearse):
    """Its output is shown, then its status as the shell tells it, and nothing was lost."""
    run = rehearse(OBEDIENT, env={"PYTHONUNBUFFERED": None})
    assert run.finish() == 0
    assert run.processes() == [("service.py", -signal.SIGTERM, False)]
    assert run.lines[0] == "  | ready"
    assert re.fullmatch(r"SIGTERM to the main process +0 s.*", run.lines[1])
    assert re.fullmatch(r"\d+ service.py +=+ +gone after [\d.]+ s, SIGTERM", run.lines[2])
    assert run.lines[3:5] == ["", "exit status  143: died of SIGTERM"]
    assert run.lines[-1] == "No item, request or process was lost."


def test_a_forgotten_thread_is_named_with_its_line_and_what_to_write(rehearse):
    """Who knows nothing else finds out in one run why a service hangs."""
    run = rehearse(FORGOTTEN, "--within", 2)
    assert run.finish() == 1
    assert run.processes() == [("service.py", -signal.SIGKILL, True)]
    assert run.lost() == [["process P0 service.py had to be killed after 2 s", *KEPT_BY_KAFKA]]
    assert run.lines[-1] == "Something was lost."
    assert all(f"      {line}" in run.lines for line in KEPT_BY_KAFKA[1:])


def test_a_stream_that_is_ascii_gets_the_drawing_all_the_same(rehearse):
    """What it cannot encode is escaped."""
    run = rehearse(
        FORGOTTEN.replace('"kafka"', r'"b\xfcro"'),
        *("--within", 2),
        env={"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"},
    )
    assert run.finish() == 1
    assert r"It is kept alive by thread 'b\xfcro'" in "\n".join(run.lines)


def test_a_command_that_does_not_exist_is_said_to_be_so(program):
    """The exit status is 2: the rehearsal could not begin."""
    run = program(sys.executable, "-m", "graceexit", "rehearse", "--", "no-such-command")
    assert run.finish() == (
        [
            "graceexit: the rehearsal of no-such-command could not begin:",
            (
                "graceexit: no-such-command cannot be started: "
                "[Errno 2] No such file or directory: 'no-such-command'"
            ),
        ],
        2,
    )


def test_a_program_that_ends_at_once_is_shown_with_its_status(rehearse):
    """The exit status is 2, and its last output stands above."""
    run = rehearse("print('no database'); raise SystemExit(7)")
    assert run.finish() == 2
    assert run.lines == [
        "  | no database",
        f"graceexit: the rehearsal of {sys.executable} service.py could not begin:",
        "graceexit: it ended (status 7) before it was ready",
        "graceexit: its last output stands above",
    ]


def test_a_program_that_leaves_others_behind_at_its_start_is_refused(rehearse):
    """Who makes itself a daemon has no main process to be signalled; all of it is killed."""
    run = rehearse(
        "import os, time; os.fork() or (os.setsid(), time.sleep(1e6))",
    )
    assert run.finish() == 2
    assert run.lines[-1] == (
        "graceexit: its main process ended (status 0) and left others behind; "
        "start it in the foreground"
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--until", "serving"], "has not printed 'serving'"),
        (
            ["--url", "http://127.0.0.1:1/"],
            "does not answer at http://127.0.0.1:1/ ([Errno 111] Connection refused)",
        ),
    ],
    ids=["until", "url"],
)
def test_a_program_that_is_never_ready_is_killed(rehearse, options, why):
    """The exit status is 2, with what was waited for, and where it is instead."""
    run = rehearse(OBEDIENT, *options, "--ready-within", 1)
    assert run.finish() == 2
    assert run.lines[:3] == [
        "  | ready",
        f"graceexit: the rehearsal of {sys.executable} service.py could not begin:",
        f"graceexit: it {why} within 1 s",
    ]
    assert re.fullmatch(r"graceexit: process \d+ service.py is at", run.lines[3])
    assert re.fullmatch(r"graceexit:     service.py:[34] in <module>", run.lines[4])


def test_a_server_that_answers_by_an_error_is_not_ready(rehearse):
    """A gateway answers 502 as long as nobody stands behind it."""
    url = f"http://127.0.0.1:{(port := free_port())}/"
    failing = SERVER.replace("next(numbers)", "0").replace("status = 200", "status = 502")
    run = rehearse(failing, "--url", url, "--ready-within", 2, words=[port])
    assert run.finish() == 2
    assert f"graceexit: it does not answer at {url} (status 502) within 2 s" in run.lines


def test_a_server_that_takes_its_time_for_an_answer_is_ready(rehearse):
    """A second is not enough for the answer of a service that waits for a database or a model."""
    port = free_port()
    slow = SERVER.replace("import http", "import time, http")
    slow = slow.replace("next(numbers)", "time.sleep(2.5)")
    url = f"http://127.0.0.1:{port}/"
    run = rehearse(slow, "--url", url, "--ready-within", 20, words=[port, 200])
    assert run.finish() == 0
    assert run.seen["requests"]["in_flight"] == 4


def test_a_server_whose_answer_never_ends_is_ready(rehearse):
    """An endless stream has a status as well, and is a request in flight."""
    port = free_port()
    endless = SERVER.replace("import http", "import time, http").replace(
        "if next(numbers):",
        "self.send_response(200), self.end_headers()\n            while not stopping.wait(0.1):",
    )
    endless = endless.replace("stopping.wait()\n", 'self.wfile.write(b".")\n', 1)
    endless = endless.replace("status = int(sys.argv[2])", "continue")
    url = f"http://127.0.0.1:{port}/"
    run = rehearse(endless, "--url", url, "--ready-within", 5, words=[port, 200])
    assert run.finish() == 0
    assert [run.seen["requests"][one] for one in ("in_flight", "lost")] == [4, 0]


def test_the_reason_is_the_last_answer_that_had_its_time(rehearse):
    """That the time is over is no reason."""
    port = free_port()
    failing = SERVER.replace("import http", "import time, http")
    failing = failing.replace("status = 200", "status = 503").replace(
        "next(numbers)", "time.sleep(0.35)"
    )
    url = f"http://127.0.0.1:{port}/"
    run = rehearse(failing, "--url", url, "--ready-within", 2, words=[port, 200])
    assert run.finish() == 2
    assert f"graceexit: it does not answer at {url} (status 503) within 2 s" in run.lines


def test_a_text_without_a_newline_is_a_sign(rehearse):
    """A prompt is."""
    run = rehearse(OBEDIENT.replace('"ready"', '"ready> ", end=""'), "--until", "ready>")
    assert run.finish() == 0
    assert "  | ready> " in run.lines


def test_bytes_that_are_no_text_are_a_sign(rehearse):
    """A service prints what it likes."""
    raw = OBEDIENT.replace('print("ready")', 'import os; os.write(1, b"\\xff\\n")')
    run = rehearse(raw, "--until", os.fsdecode(b"\xff"))
    assert run.finish() == 0


def test_a_service_that_may_not_be_signalled_is_said_to_be_somebody_else_s(script):
    """As one that is started through sudo."""
    run = script(
        """
        import os, signal
        from graceexit import __main__

        def refuse(pid, signum):
            if signum == signal.SIGTERM:
                raise PermissionError
            kill(pid, signum)

        kill, os.kill = os.kill, refuse
        print(__main__.main(["rehearse", "--", "sleep", "1000"]))
        """
    )
    lines, status = run.finish()
    assert re.fullmatch(
        r"graceexit: process \d+ sleep was not sent the signal: it belongs to another user",
        lines[1],
    )
    assert (lines[2:], status) == (["2"], 0)


def test_a_rehearsal_that_cannot_go_on_says_why(script):
    """It has not begun to find a loss."""
    run = script(
        """
        from graceexit import __main__
        from graceexit._rehearsal.rehearsal import Rehearsal

        def run(_):
            raise OSError(24, "Too many open files")

        Rehearsal.run = run
        print(__main__.main(["rehearse", "--", "true"]))
        """
    )
    assert run.finish() == (
        ["graceexit: the rehearsal could not go on: [Errno 24] Too many open files", "2"],
        0,
    )


def test_without_a_sign_it_is_ready_when_it_is_quiet(rehearse):
    """Where neither a URL nor a text is given, a second without output has to do."""
    run = rehearse(OBEDIENT, sign=())
    assert run.finish() == 0


def test_without_a_sign_a_service_that_is_never_quiet_is_told_to_name_one(rehearse):
    """Otherwise nobody knows when to begin."""
    talking = OBEDIENT.replace("time.sleep(0.01)", "print(time.sleep(0.1), flush=True)")
    run = rehearse(talking, "--ready-within", 2, sign=())
    assert run.finish() == 2
    at = run.lines.index("graceexit: it was never quiet within 2 s")
    assert run.lines[at + 1] == "graceexit: write --until TEXT, which it prints when it is ready"


def test_an_url_that_answers_before_the_start_is_somebody_else(rehearse, program, tmp_path):
    """An old instance would answer in its place."""
    port = free_port()
    old = tmp_path / "old.py"
    old.write_text(dedent(SERVER), encoding="utf-8")
    server = program(sys.executable, old, port, 200)
    server.settle()
    while f":{port:04X} " not in listening():
        server.check()
    run = rehearse(OBEDIENT, "--url", f"http://127.0.0.1:{port}/")
    assert run.finish() == 2
    assert run.lines[-1] == f"graceexit: somebody listens at http://127.0.0.1:{port}/ already"


def listening():
    """Return the kernel's table of TCP connections."""
    with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: PTH123
        return table.read()


def test_a_program_that_ignores_the_signal_is_said_to_do_so(rehearse):
    """That is one of two ways in which nothing happens."""
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + dedent(OBEDIENT)
    run = rehearse(ignoring, "--within", 1)
    assert run.finish() == 1
    (lost,) = run.lost()
    assert lost[:3] == [
        "process P0 service.py had to be killed after 1 s",
        "It ignores SIGTERM.",
        "Its main thread has not ended. It is at",
    ]


def test_a_program_that_blocks_the_signal_is_said_to_do_so(rehearse):
    """That is the other one."""
    blocking = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])" + dedent(
        OBEDIENT
    )
    run = rehearse(blocking, "--within", 1)
    assert run.finish() == 1
    assert run.lost()[0][1] == "Its main thread blocks SIGTERM."


def test_a_program_that_ends_as_it_is_asked_for_its_stacks_is_late(rehearse):
    """It was there when the time was over: in production it would have been killed."""
    run = rehearse(
        """
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready")
        signal.pause()
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    assert run.lost()[0][:2] == [
        "process P0 service.py had to be killed after 1 s",
        "It ignores SIGTERM.",
    ]
    ((_, _, killed),) = run.processes()
    assert killed


def test_a_child_that_ignores_the_signal_is_said_to_do_so(rehearse):
    """Its parent has died without passing it on, which would not have helped."""
    run = rehearse(
        """
        import os, signal, threading
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready")
        threading.Event().wait()
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    assert run.lost()[0][:2] == [
        "process P1 service.py had to be killed after 1 s",
        "It ignores SIGTERM.",
    ]


@pytest.mark.parametrize(
    ("script", "advice"),
    [
        ("sleep 1000; true", ["Write the command so that", "    exec sleep 1000"]),
        ("sleep 1000 & sleep 1001 & wait", ["Let the script have a trap for SIGTERM that"]),
    ],
)
def test_a_shell_that_does_not_pass_the_signal_on_is_blamed(rehearse, script, advice):
    """It may stand anywhere between the signal and the service, as under `npm start`."""
    run = rehearse(
        f"""
        import signal, subprocess, sys
        child = subprocess.Popen(["sh", "-c", "echo ready; {script}"])
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        child.wait()
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    lost = run.lost()
    assert all("P1 sh" not in what for what, *_ in lost)
    for _, first, *more in lost:
        assert first == "Process P1 sh got SIGTERM and died of it, without passing it on."
        assert [line[: len(said)] for line, said in zip(more, advice, strict=True)] == advice


def test_a_parent_that_does_not_pass_the_signal_on_is_blamed(rehearse):
    """Where the threads of its children are is beside the point: they have not heard of it."""
    run = rehearse(
        """
        import subprocess, sys
        code = "import time; print('ready', flush=True); time.sleep(1e6)"
        subprocess.Popen([sys.executable, "-c", code, "worker"]).wait()
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    ((what, *more),) = run.lost()
    assert what.startswith("process P1 python")
    assert what.endswith("had to be killed after 1 s")
    assert more == [
        "Process P0 service.py got SIGTERM and died of it, without passing it on.",
        "It has no handler of SIGTERM. Let it have one that ends what it has started.",
    ]


def test_a_report_of_its_own_does_not_hide_that_an_item_has_failed(rehearse, tmp_path):
    """A program may have its reports written elsewhere; here they come to the rehearsal."""
    run = rehearse(
        f"""
        import time, graceexit
        graceexit.install(report={str(tmp_path / "own.jsonl")!r})
        graceexit.on_exit(lambda: 1 / 0, name="fails")
        print("ready")
        while True:
            time.sleep(0.01)
        """
    )
    assert run.finish() == 1
    ((what, *_),) = run.lost()
    assert "callback 'fails'" in what
    assert "failed: ZeroDivisionError" in what


def test_the_signal_waits_where_there_are_no_requests_too(rehearse):
    """A job of a queue has to be under way, which nobody sees from outside."""
    run = rehearse(OBEDIENT, *("--after", 2))
    assert run.finish() == 0
    (strike,) = run.seen["signals"]
    (process,) = run.seen["processes"]
    assert strike["time"] - process["begun"] > 2


def test_a_program_without_a_handler_is_told_what_becomes_of_it_in_a_container(rehearse):
    """The kernel gives process 1 no signal that it has no handler for."""
    run = rehearse(OBEDIENT)
    assert run.finish() == 0
    (note,) = run.seen["notes"]
    assert " has no handler of SIGTERM, and died of it at once: no `finally`, no `with` and" in note


def test_a_file_for_temporary_ones_behind_a_link_hides_no_stacks(rehearse, tmp_path):
    """The kernel tells the real path of what a process has open."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    run = rehearse(FORGOTTEN, "--within", 1, env={"TMPDIR": tmp_path / "link"})
    assert run.finish() == 1
    assert run.lost()[0][1:] == KEPT_BY_KAFKA


def test_children_that_come_and_go_do_no_harm(rehearse):
    """Not even those that end while somebody looks at them; nothing is kept of them."""
    run = rehearse(
        """
        import signal, subprocess, sys, time
        stopping = []
        signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
        for _ in range(200):
            subprocess.run(["sleep", "0.01"])
        print("ready")
        while not stopping:  # an exception would have run() kill its child
            subprocess.run(["true"])
        """,
        *("--after", 0.2),
    )
    run.running.wait_for("  | ready")
    assert len(list(Path(f"/proc/{run.running.pid}/fd").iterdir())) < 40
    assert run.finish() == 0


def test_children_that_come_and_go_after_the_signal_get_a_row_or_two(rehearse):
    """A script that waits by `sleep` would fill the screen."""
    run = rehearse(
        """
        import signal, subprocess, sys, time
        def stop(*_):
            for _ in range(6):
                subprocess.run(["sleep", "0.1"])
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        print("ready")
        while True:
            time.sleep(0.01)
        """
    )
    assert run.finish() == 0
    assert sum("sleep 0.1" in line for line in run.lines if "gone after" in line) == 2
    assert "4 more processes came after the signal, and ended: sleep 0.1." in run.seen["notes"]


def test_who_may_not_be_killed_is_not_waited_for(script):
    """A service may have started one that belongs to another user."""
    run = script(
        """
        import os
        from graceexit._rehearsal.processes import Processes

        def refuse(*_):
            raise PermissionError

        processes, kill = Processes(), os.kill
        processes.start(["sleep", "1000"], dict(os.environ))
        os.kill = refuse
        processes.kill()
        print([one.denied for one in processes.alive])
        os.kill = kill
        processes.main.denied = False
        processes.kill()
        processes.close()
        print(processes.main.status)
        """
    )
    assert run.finish() == (["[True]", "-9"], 0)


def test_a_script_that_has_become_a_server_is_called_by_its_name(rehearse, tmp_path):
    """An entrypoint may take its time before it does so."""
    (tmp_path / "server.py").write_text(dedent(OBEDIENT), encoding="utf-8")
    run = rehearse(
        """
        import os, sys, time
        time.sleep(1)
        os.execv(sys.executable, [sys.executable, "server.py"])
        """
    )
    assert run.finish() == 0
    assert run.processes() == [("server.py", -15, False)]


def test_that_nobody_reads_the_drawing_changes_nothing(program, tmp_path):
    """The exit status and the files are what they would have been."""
    command = f"{sys.executable} -m graceexit rehearse --json seen.json -- sleep 100 >/dev/full"
    run = program("sh", "-c", command, cwd=tmp_path)
    assert run.finish() == ([], 0)
    assert json.loads((tmp_path / "seen.json").read_text())["ok"]


@pytest.mark.field(kind="a child that leaves its session")
def test_whoever_leaves_the_session_is_found(rehearse):
    """A process that has made itself a daemon is watched, asked and killed like the others."""
    run = rehearse(
        """
        import os, signal, threading
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready")
        threading.Event().wait()
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    assert run.processes() == [
        ("service.py", -signal.SIGTERM, False),
        ("service.py", -signal.SIGKILL, True),
    ]
    assert run.lost() == [
        [
            "process P1 service.py had to be killed after 1 s",
            "It ignores SIGTERM.",
            "Its main thread has not ended. It is at",
            "    service.py:8 in <module>",
        ]
    ]


def test_the_stacks_of_one_process_do_not_run_into_those_of_another(rehearse):
    """Processes that fork share the file; each is asked alone."""
    run = rehearse(
        """
        import os, signal, threading
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

        def parent(): threading.Event().wait()
        def child(): threading.Event().wait()
        def grandchild(): threading.Event().wait()

        if os.fork():
            print("ready")
            parent()
        os.setsid()
        if os.fork():
            child()
        grandchild()
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    told = [
        [frame["function"] for frame in thread["frames"] if frame["file"].endswith("service.py")]
        for one in run.seen["processes"]
        for thread in one["threads"]
    ]
    assert told == [["parent", "<module>"], ["child", "<module>"], ["grandchild", "<module>"]]
    assert [lost[0] for lost in run.lost()] == [
        "process P2 service.py had to be killed after 1 s",
        "process P0 service.py had to be killed too. It had started P1",
        "process P1 service.py had to be killed too. It had started P2",
    ]


def test_a_process_that_becomes_another_program_does_not_write_over_its_child(rehearse):
    """Both write to the file of that pid: the one has opened it, the other inherited it."""
    run = rehearse(
        """
        import os, signal, sys, threading
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

        def after_exec(): threading.Event().wait()
        def child(): threading.Event().wait()

        if sys.argv[1:]:
            print("ready")
            after_exec()
        if os.fork():
            os.execv(sys.executable, [sys.executable, "service.py", "again"])
        child()
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    told = [one["threads"][-1]["frames"][-2]["function"] for one in run.seen["processes"]]
    assert told == ["after_exec", "child"]


def test_what_several_workers_say_alike_is_said_once(rehearse):
    """The list of what was lost does not grow with the number of workers."""
    run = rehearse(
        """
        import os, signal, threading
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

        def serve(): threading.Event().wait()

        for _ in range(3):
            if os.fork() == 0:
                serve()
        print("ready")
        os.wait()
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    assert run.lost() == [
        [
            "process P1 service.py (and P2, P3) had to be killed after 1 s",
            "It ignores SIGTERM.",
            "Its main thread has not ended. It is at",
            "    service.py:4 in serve",
            "    service.py:8 in <module>",
        ],
        [
            "process P0 service.py had to be killed too. It had started P1, P2, P3",
            "It ignores SIGTERM.",
        ],
    ]


def test_a_main_thread_in_a_c_call_leaves_the_names_unknown(rehearse):
    """The stacks need no main thread, and it is said that the names do."""
    run = rehearse(
        """
        import ctypes, threading
        def poll(): threading.Event().wait()
        threading.Thread(target=poll, name="kafka").start()
        print("ready")
        libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
        libc.signal(15, 1)
        for _ in range(2):
            libc.pthread_mutex_lock(mutex)
        """,
        *("--within", 1),
    )
    assert run.finish() == 1
    unknown = "The names of its threads are not known: its main thread runs no Python code."
    assert run.lost() == [
        [
            "process P0 service.py had to be killed after 1 s",
            "It ignores SIGTERM.",
            "Its main thread has not ended. It is at",
            "    service.py:8 in <module>",
            # From 3.14 on faulthandler prints them.
            *([unknown] if sys.version_info < (3, 14) else []),
        ]
    ]


@pytest.mark.parametrize("switch", ["-I", "-S"])
def test_a_python_that_has_not_run_our_sitecustomize_is_not_asked(rehearse, switch):
    """The signal that asks would kill it; it is said that nothing is known."""
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + dedent(OBEDIENT)
    run = rehearse(
        ignoring.replace('"ready"', '"ready", flush=True'), "--within", 1, python=[switch]
    )
    assert run.finish() == 1
    assert run.processes() == [("service.py", -signal.SIGKILL, True)]
    assert run.lost()[0][-1] == (
        "Where it hangs is not known: it is not Python, or ignores PYTHONPATH."
    )


def test_the_sitecustomize_of_the_user_still_runs(rehearse, tmp_path):
    """Ours stands in front of it on the path."""
    (tmp_path / "sitecustomize.py").write_text("USERS = 'own'", encoding="utf-8")
    source = "import sitecustomize; print(sitecustomize.USERS)" + dedent(OBEDIENT)
    run = rehearse(source, env={"PYTHONPATH": str(tmp_path)})
    assert run.finish() == 0
    assert run.lines[:2] == ["  | own", "  | ready"]


def test_a_sitecustomize_of_the_user_that_fails_is_python_s_to_report(rehearse, tmp_path):
    """It is as without a rehearsal."""
    (tmp_path / "sitecustomize.py").write_text("raise OSError('mine')", encoding="utf-8")
    run = rehearse(OBEDIENT, env={"PYTHONPATH": str(tmp_path)})
    assert run.finish() == 0
    assert "  | OSError: mine" in run.lines


def test_the_path_is_as_without_a_rehearsal(rehearse, program, tmp_path):
    """Nothing that the service imports is another one because it is rehearsed."""
    run = rehearse("import sys; print(sys.path)" + dedent(OBEDIENT))
    assert run.finish() == 0
    alone = program(sys.executable, "service.py", cwd=tmp_path)
    assert run.lines[0] == f"  | {alone.wait_for(re.compile('site-packages'))}"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_ctrl_c_ends_everything_that_was_started(rehearse, signum):
    """Also who ignores signals and has left the session; SIGTERM, as CI sends it, does the same."""
    run = rehearse(
        """
        import os, signal, threading
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            print("ready")
        threading.Event().wait()
        """,
    )
    run.running.wait_for("  | ready")
    run.running.send(signum)
    assert run.finish() == 130
    assert run.lines[-1] == "graceexit: interrupted; everything that was started has been killed"


def test_the_group_gets_the_signal_as_at_ctrl_c(rehearse):
    """Everybody in the process group gets it, and nobody twice."""
    run = rehearse(
        """
        import os, signal, threading
        if os.fork() == 0:
            threading.Event().wait()
        print("ready")
        threading.Event().wait()
        """,
        *("--signal", "HUP", "--to", "group"),
    )
    assert run.finish() == 0
    assert run.signals() == [("SIGHUP", "[P0, P1]")]
    assert [status for _, status, _ in run.processes()] == [-signal.SIGHUP, -signal.SIGHUP]


def test_a_worker_gets_the_signal_alone_and_then_the_main_process(rehearse):
    """The worker has ended by the signal before the main process gets its own."""
    run = rehearse(
        """
        import os, signal, threading
        if os.fork() == 0:
            threading.Event().wait()
        print("ready")
        while True:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            os.wait()
            signal.sigwait([signal.SIGTERM])
            print("the main process is next")
            os._exit(0)
        """,
        *("--to", "worker"),
    )
    assert run.finish() == 0
    assert run.signals() == [("SIGTERM", "[P1]"), ("SIGTERM", "[P0]")]
    assert "  | the main process is next" in run.lines
    # In between there was time for the main process to start another one.
    _, second = run.seen["signals"]
    _, worker = run.seen["processes"]
    assert second["time"] - worker["ended"] >= SETTLED


def test_workers_that_come_when_it_is_ready_are_waited_for(rehearse):
    """A master says that it listens before it forks."""
    run = rehearse(
        """
        import os, signal, time
        print("ready")
        time.sleep(0.1)
        if os.fork():
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            os.wait()
        while True:
            time.sleep(0.01)
        """,
        *("--to", "worker"),
    )
    assert run.finish() == 0
    assert run.signals() == [("SIGTERM", "[P1]"), ("SIGTERM", "[P0]")]


def test_a_service_without_workers_has_none_to_signal(rehearse):
    """The exit status is 2."""
    run = rehearse(OBEDIENT, "--to", "worker")
    assert run.finish() == 2
    assert "graceexit: it has no worker processes; leave --to worker away" in run.lines


def test_a_second_signal_can_be_sent(rehearse):
    """Some end only then; it is drawn where it was sent."""
    run = rehearse(
        """
        import itertools, signal, sys, time
        count = itertools.count()
        signal.signal(signal.SIGTERM, lambda *_: next(count) and sys.exit(5))
        print("ready")
        while True:
            time.sleep(0.01)
        """,
        *("--again", 0.3),
    )
    assert run.finish() == 0
    assert run.signals() == [("SIGTERM", "[P0]"), ("SIGTERM", "[P0]")]
    assert run.processes() == [("service.py", 5, False)]
    assert "^SIGTERM" in next(line for line in run.lines if "to the main process" in line)


def test_requests_in_flight_that_are_answered_are_counted(rehearse):
    """All clients had one in flight, and all of them got an answer."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    run = rehearse(SERVER, "--url", url, "--clients", 3, words=[port, 200])
    assert run.finish() == 0
    counts = run.seen["requests"]
    assert [counts["in_flight"], counts["lost"], counts["failed_before"]] == [3, 0, 0]


@pytest.mark.parametrize(("status", "why"), [(0, "RemoteDisconnected"), (503, "status 503")])
def test_requests_in_flight_that_are_not_answered_are_lost(rehearse, status, why):
    """A connection that breaks is as bad as an error of a server that had none before."""
    port = free_port()
    # Measured, the server dies of os._exit in four threads at once.
    run = rehearse(
        SERVER, "--url", f"http://127.0.0.1:{port}/", words=[port, status], env=UNMEASURED
    )
    assert run.finish() == 1
    ((lost,),) = run.lost()
    assert lost.startswith(f"4 requests were sent before the signal and not answered: {why}")


def test_a_worker_that_its_server_has_killed_is_lost(rehearse):
    """Whose child it was, the status is known, and SIGKILL is no way to end."""
    need_statuses()
    run = rehearse(
        """
        import os, signal, sys, threading
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            threading.Event().wait()

        def stop(*_):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            sys.exit()

        signal.signal(signal.SIGTERM, stop)
        print("ready")
        threading.Event().wait()
        """
    )
    assert run.finish() == 1
    assert run.lost() == [
        [
            (
                "process P1 service.py was killed by SIGKILL, not by the rehearsal: "
                "a limit of its server?"
            )
        ]
    ]


def need_statuses():
    """Skip the test where the kernel does not tell how other people's children end."""
    release = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
    if release < (6, 15):
        pytest.skip("the statuses of other people's children need Linux 6.15")


REPORTING = """
    import json, os, signal, sys, time

    def report(*lines):
        path = os.environ["GRACEEXIT_REPORT"].format(pid=os.getpid())
        with open(path, "a") as file:
            file.writelines(lines)

    def stop(*_):
        now = time.time()
        item = {
            "name": "poller", "kind": "thread", "outcome": "overran", "begun": now, "seconds": 0.5,
            "limit": "timeout", "where": "app.py:12", "error": None, "stack": ["app.py:15 in poll"],
        }
        line = {
            "version": 1, "pid": os.getpid(), "signal": "SIGTERM", "noticed": now, "begun": now,
            "main_ended": now, "ended": now, "results": [item], "cut_off": [], "death": None,
        }
        early = {**line, "results": []}
        report(json.dumps(early) + "\\n", json.dumps(line) + "\\n", '{"version": 2, "pid": 1}\\n')
        report('{"version": 1, "pi')
        sys.exit(1)

    signal.signal(signal.SIGTERM, stop)
    USER
    print("ready")
    while True:
        time.sleep(0.01)
"""


def test_the_items_that_a_process_reports_are_drawn_and_judged(rehearse):
    """The last line of a process counts; what cannot be read is a note, and spoils nothing."""
    run = rehearse(REPORTING.replace("USER", ""))
    assert run.finish() == 1
    assert run.lost() == [
        [
            "process P0: thread 'poller' (app.py:12) was left behind when its timeout was over",
            "It hangs at",
            "    app.py:15 in poll",
        ]
    ]
    assert run.seen["notes"] == [
        "Lines of reports that could not be read: 1.",
        "A report has version 2, which this graceexit does not know.",
    ]
    (row,) = [line for line in run.lines if "thread poller" in line]
    assert re.fullmatch(r"  thread poller +!+ +LEFT BEHIND after 0.50 s", row)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_worker_that_has_become_another_user_can_report(rehearse):
    """Servers that root starts have their workers run as somebody else."""
    run = rehearse(REPORTING.replace("USER", "os.setgid(65534); os.setuid(65534)"))
    assert run.finish() == 1
    assert len(run.lost()) == 1


def test_help_is_enough_to_use_it(program):
    """Without a word it prints its help, as --help does."""
    alone, asked, of_the_word = (
        program(sys.executable, "-m", "graceexit", *words)
        for words in ([], ["--help"], ["rehearse", "--help"])
    )
    lines, status = alone.finish()
    assert status == 2
    assert asked.finish() == of_the_word.finish() == (lines, 0)
    options = {"--url", "--until", "--clients", "--signal", "--to", "--again", "--within"}
    assert options | {"--json", "--svg"} <= set(re.findall(r"--\w+", "\n".join(lines)))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["rehearse"], "write -- and then the command, as in: rehearse -- python service.py"),
        (["perform"], "there is no 'perform'; write: python -m graceexit rehearse ..."),
        (
            ["rehearse", "--within", "0"],
            "argument --within: 0 is not a number of seconds above zero",
        ),
        (["rehearse", "--within", "soon"], "argument --within: invalid _seconds value: 'soon'"),
        (["rehearse", "--clients", "0"], "argument --clients: 0 is not a number above zero"),
        (["rehearse", "--signal", "STOPPED"], "argument --signal: there is no signal STOPPED"),
        (
            ["rehearse", "--url", "localhost", "--", "true"],
            "argument --url: localhost does not begin with http:// or https://",
        ),
        (
            ["rehearse", "--svg", "/no/such/folder/x.svg", "--", "true"],
            "/no/such/folder/x.svg cannot be written: there is no such folder",
        ),
        (["rehearse", "--json", "/proc", "--", "true"], "/proc cannot be written: it is a folder"),
        *(
            (
                ["rehearse", "--url", url, "--", "true"],
                f"argument --url: {url} has no host or no port that can be asked",
            )
            for url in ("http://[::1/", "http://localhost:http/", "http://:8000/")
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(program, words, why):
    """The exit status is 2, and the last line says why."""
    run = program(sys.executable, "-m", "graceexit", *words)
    lines, status = run.finish()
    assert status == 2
    assert lines[-1] == f"python -m graceexit rehearse: error: {why}"


def test_the_library_imports_nothing_of_it(script):
    """A service does not carry the rehearsal."""
    run = script(
        """
        import sys
        import graceexit
        graceexit.on_exit(print)
        graceexit.shutdown()
        print([name for name in sys.modules if name.startswith("graceexit._rehearsal")])
        """
    )
    assert run.finish() == (["", "[]"], 0)
