"""The parts of the rehearsal that need no process: what is read, counted, judged and drawn."""

from __future__ import annotations

import http.server
import io
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from graceexit._rehearsal import processes, reports, stacks, svg, text
from graceexit._rehearsal.clients import Request, ask, count
from graceexit._rehearsal.facts import Facts, Strike, seconds, signal_name
from graceexit._rehearsal.losses import of_requests, remedy
from graceexit._rehearsal.processes import Process, name_of
from graceexit._rehearsal.reports import CutOff, Report, Reports, Result
from graceexit._rehearsal.screen import Screen, style_of
from graceexit._rehearsal.stacks import Frame, Stacks, Thread, keepers, short
from graceexit._rehearsal.text import Style
from graceexit._rehearsal.timeline import as_json, timeline

ZERO = 1_700_000_000.0
LIBRARY = "/venv/lib/python3.13/site-packages/kafka/client.py"


def result(name, outcome="done", begun: float | None = 0.0, took=0.5, kind="callback", **more):
    """Return the result of an item that began so long after the signal."""
    told = {"limit": "", "where": f"{name}.py:1", "error": "", "stack": []} | more
    at = None if begun is None else ZERO + begun
    return Result(name=name, kind=kind, outcome=outcome, begun=at, seconds=took, **told)


def report(pid, *results, cut_off=(), death=""):
    """Return the report of a process whose main thread ended half a second after the signal."""
    times = {"noticed": ZERO, "begun": ZERO, "main_ended": ZERO + 0.5, "ended": ZERO + 2}
    told = {"results": list(results), "cut_off": list(cut_off), "death": death}
    return Report(pid=pid, signal="SIGTERM", **times, **told)


def facts(**changes):
    """Return a server with two workers, one of which had to be killed after 4 s."""
    argv = ["/usr/bin/python3", "/bin/gunicorn", "-w", "2", "app:app"]
    poller = Thread(7, "poller", daemon=False, frames=[Frame("app.py", 15, "poll")])
    main = Thread(1, "MainThread", daemon=False, main=True)
    main.frames = [Frame("/usr/lib/python3.13/threading.py", 1, "_shutdown")]
    seen = {
        "command": argv[1:],
        "to": "main",
        "within": 4.0,
        "strikes": [Strike(ZERO, "SIGTERM", [10])],
        "ended": ZERO + 4,
        "processes": [
            Process(10, 1, argv, ZERO - 9, ended=ZERO + 4, killed=True, status=-9),
            Process(11, 10, argv, ZERO - 8, ended=ZERO + 2, status=0),
            Process(12, 10, argv, ZERO - 8, ended=ZERO + 4, killed=True, status=-9),
        ],
        "reports": Reports(
            {
                11: report(
                    11,
                    result("close_pool", begun=1.5),
                    result("flush", "overran", 0.5, 1.0, "thread", limit="timeout"),
                    result("leave", "not run", None, 0.0, limit="grace"),
                    result("save", "failed", 2.0, 0.0, error="OSError: full"),
                )
            }
        ),
        "requests": [
            Request(ZERO - 1, ZERO - 0.5, 200),
            Request(ZERO - 0.1, ZERO + 0.2, 200),
            Request(ZERO - 0.1, ZERO + 0.2, error="ConnectionResetError: gone"),
        ],
        "stacks": {12: Stacks([poller, main], named=True), 10: Stacks(untold="it did not answer")},
    }
    return Facts(**(seen | changes))


def test_a_timeline_is_drawn_to_scale_with_what_was_lost_below():
    """A row is a process, its main thread, or an item, at the times that each had."""
    assert text.draw(timeline(facts()), Style(width=90)).splitlines() == EXPECTED.splitlines()


EXPECTED = """\
SIGTERM to the main process  0 s     1        2        3       4
10 gunicorn                  XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX  KILLED after 4 s
  11 gunicorn                ==================                   gone after 2 s, status 0
    main thread              ....                                 ended after 0.50 s
    thread flush                 !!!!!!!!!                        LEFT BEHIND after 1 s
    callback close_pool                   #####                   done after 0.50 s
    callback save                             !                   FAILED after 0.00 s
    callback leave                                                NOT RUN
  12 gunicorn                XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX  KILLED after 4 s

requests  2 answered; of 2 in flight at the signal, 1 not answered
LOST  process 11: thread 'flush' (flush.py:1) was left behind when its timeout was over
LOST  process 11: callback 'leave' (leave.py:1) was not run: the grace was over
LOST  process 11: callback 'save' (save.py:1) failed: OSError: full
LOST  1 request was sent before the signal and not answered: ConnectionResetError: gone
LOST  process 12 gunicorn had to be killed after 4 s
      It is kept alive by thread 'poller', which is not a daemon. It is at
          app.py:15 in poll
      Write where the thread is made:
          graceexit.register(thread, stop=flag, timeout=5)   # flag: what tells it to stop
LOST  process 10 gunicorn had to be killed too. It had started 12
Something was lost.
"""


def test_a_terminal_has_colors_and_other_signs():
    """Without colors and signs the words are the same."""
    drawn = text.draw(timeline(facts()), Style(width=90, color=True, unicode=True))
    assert "\x1b[31m━━" in drawn
    assert "\x1b[34m████" in drawn
    plain = text.draw(timeline(facts()), Style(width=90))
    assert plain.isascii()
    assert "\x1b" not in plain


@pytest.mark.parametrize("width", [20, 60, 200])
def test_a_narrow_terminal_keeps_the_notes_and_a_wide_one_is_filled(width):
    """Bars are never narrower than 20 columns, and what is drawn never wider than the terminal."""
    rows = text.draw(timeline(facts()), Style(width=width)).splitlines()[1:9]
    assert all(row.rstrip().endswith(("status 0", " s", "RUN")) for row in rows)
    if width == 200:
        assert max(map(len, rows)) == pytest.approx(width, abs=4)


def test_a_rehearsal_without_a_loss_says_so():
    """The last line is the verdict."""
    process = Process(10, 1, ["sh"], ZERO - 1, ended=ZERO + 0.004, status=-15)
    drawn = timeline(facts(processes=[process], reports=Reports(), requests=None, stacks={}))
    assert text.draw(drawn, Style(width=60)).splitlines() == [
        "SIGTERM to the main process  0 s                0.01",
        "10 sh                        ========              gone after 0.00 s, SIGTERM",
        "",
        "exit status  143: died of SIGTERM",
        "No item, request or process was lost.",
    ]


def test_who_is_cut_off_has_a_row_and_is_lost():
    """Work of the main thread that was not waited for is gone as an item would be."""
    cut = CutOff("MainThread", "main thread", "app.py:33 in serve", 2.0, "linger")
    drawn = timeline(facts(reports=Reports({11: report(11, cut_off=[cut])}), requests=None))
    (row,) = [row for row in drawn.rows if row.kind == "cut off"]
    assert (row.label, row.begun, row.ended, row.note) == ("main thread", 0, 2, "CUT OFF after 2 s")
    assert drawn.losses[0].what == (
        "process 11: the main thread was cut off at app.py:33 in serve when linger was over"
    )
    assert drawn.losses[0].more == ["Give it longer: graceexit.install(linger=...)"]


def test_a_helper_of_multiprocessing_is_not_blamed():
    """It ends when its parent has ended; alone it is as anybody else."""
    code = "from multiprocessing.resource_tracker import main;main(3)"
    helper = Process(20, 10, ["python", "-c", code], ZERO - 1, killed=True)
    seen = facts().processes
    what = [one.what for one in timeline(facts(processes=[*seen, helper])).losses]
    assert what == [one.what for one in timeline(facts()).losses]
    alone = timeline(facts(processes=[helper], reports=Reports(), requests=None))
    assert [one.what for one in alone.losses] == [
        "process 20 resource tracker had to be killed after 4 s"
    ]


def test_a_process_that_has_crashed_is_lost():
    """Nobody ends so who ends as planned."""
    crashed = Process(10, 1, ["app"], ZERO - 1, ended=ZERO + 1, status=-11)
    drawn = timeline(facts(processes=[crashed], reports=Reports(), requests=None))
    assert [one.what for one in drawn.losses] == ["process 10 app died of SIGSEGV"]
    assert (drawn.rows[0].note, drawn.rows[0].bad) == ("gone after 1 s, SIGSEGV", True)


def test_where_the_kernel_says_nothing_the_report_says_how_a_process_died():
    """Of other people's children the status may not be known."""
    process = Process(11, 1, ["app"], ZERO - 1, ended=ZERO + 1)
    notes = [
        timeline(facts(processes=[process], reports=Reports({11: report(11, death=death)})))
        .rows[0]
        .note
        for death in ("SIGTERM", "exit", "")
    ]
    assert notes == ["gone after 1 s, SIGTERM", "gone after 1 s", "gone after 1 s"]


def test_a_second_signal_is_drawn_where_it_was_sent():
    """In the text and in the picture."""
    strikes = [Strike(ZERO, "SIGTERM", [10]), Strike(ZERO + 2, "SIGINT", [10])]
    drawn = timeline(facts(strikes=strikes))
    axis = text.draw(drawn, Style(width=90)).splitlines()[0]
    assert axis.index("^SIGINT") == axis.index("0 s") + 17
    assert ">SIGINT</text>" in svg.draw(drawn, "gunicorn")


def test_what_else_became_of_the_requests_is_said():
    """Answers that are no success, failures before the signal, and what was sent later."""
    requests = [
        Request(ZERO - 2, ZERO - 1, 404),
        Request(ZERO - 2, ZERO - 1, error="reset"),
        Request(ZERO + 1, ZERO + 1.5, 200),
        Request(ZERO + 1, ZERO + 1.5, error="reset"),
        Request(ZERO + 2, ZERO + 2, refused=True),
    ]
    assert timeline(facts(requests=requests)).summary == [
        ("requests", "2 answered (1 by status 404); of 0 in flight at the signal, 0 not answered"),
        ("sent later", "1 answered, 1 dropped, refused from 2 s on"),
        ("sent before", "1 had no answer before the signal"),
    ]


def test_a_connection_that_breaks_before_it_is_secure_was_not_refused():
    """It waited for the server, which has dropped it."""

    def drop():
        client, _ = server.accept()
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        dropping = threading.Thread(target=drop)
        dropping.start()
        request = ask(f"https://127.0.0.1:{server.getsockname()[1]}/", 10)
        dropping.join()
    assert (request.refused, request.status) == (False, 0)
    assert request.error


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_of_one_s_own_is_taken(tmp_path):
    """The service is one's own as well."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=nobody"
    command = [*words.split(), "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with redirect_stderr(io.StringIO()):
        answer = ask(f"https://127.0.0.1:{server.server_port}/?x=1", 30)
        thread.join()
    server.server_close()
    assert (answer.status, answer.error) == (501, "")


def test_a_worker_without_a_report_beside_one_that_has_one_is_a_note():
    """It may have been killed; where nobody reports, graceexit is not in use."""
    silent = [Process(pid, 10, ["w"], ZERO, ended=ZERO + 1, status=0) for pid in (11, 13)]
    noted = timeline(facts(processes=[Process(10, 1, ["m"], ZERO, ZERO + 1), *silent]))
    assert noted.notes == ["No report came from 13, though others like it have reported."]
    assert timeline(facts(reports=Reports())).notes == []


def test_the_picture_is_well_formed_and_has_both_modes():
    """What stands in it is escaped, and neither a script nor another file is needed."""
    drawn = svg.draw(timeline(facts()), "gunicorn 'a<b>&c'")
    root = ET.fromstring(drawn)  # noqa: S314 - it is our own
    words = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "$ gunicorn 'a<b>&c'" in words
    assert [word for word in words if word.endswith("close_pool")] == ["callback close_pool"]
    assert "prefers-color-scheme: dark" in drawn
    assert "href" not in drawn


def test_the_bars_of_the_picture_are_true_to_their_times():
    """A bar of half the time is half as long."""
    root = ET.fromstring(svg.draw(timeline(facts()), "gunicorn"))  # noqa: S314
    bars = {}
    for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
        bars.setdefault(bar.get("class"), []).append((float(bar.get("x")), float(bar.get("width"))))
    (whole, worker, _) = bars["lost"][0], bars["process"][0], bars["lost"][1]
    assert worker[1] == pytest.approx(whole[1] / 2, abs=0.1)
    ((begin, wide),) = bars["callback"]
    assert (begin - whole[0], wide) == pytest.approx((whole[1] * 1.5 / 4, whole[1] / 8), abs=0.1)


def test_the_json_has_the_facts_and_the_verdict():
    """Its times are those of the reports: Unix time."""
    told = as_json(facts())
    assert (told["version"], told["ok"], told["signals"][0]["time"]) == (1, False, ZERO)
    assert [one["pid"] for one in told["processes"]] == [10, 11, 12]
    assert told["processes"][1]["report"]["results"][0]["name"] == "close_pool"
    assert told["processes"][2]["threads"][0]["frames"][0]["function"] == "poll"
    assert len(told["lost"]) == len(timeline(facts()).losses)


def test_requests_are_counted_by_when_they_were_sent():
    """Lost is what was in flight at the signal; what comes later is a load balancer's affair."""
    counts = count(
        [
            Request(ZERO - 3, ZERO - 2, 200),
            Request(ZERO - 3, ZERO - 2, error="reset"),
            Request(ZERO - 3, ZERO - 2, refused=True),
            Request(ZERO - 1, ZERO + 1, 200),
            Request(ZERO - 1, ZERO + 1, 404),
            Request(ZERO - 1, ZERO + 1, 502),
            Request(ZERO - 1, ZERO + 1, error="reset"),
            Request(ZERO - 1, ZERO + 1, error="reset"),
            Request(ZERO - 1, ZERO + 1, refused=True),
            Request(ZERO + 1, ZERO + 2, 200),
            Request(ZERO + 1, ZERO + 2, error="reset"),
            Request(ZERO + 3, ZERO + 3, refused=True),
            Request(ZERO + 2, ZERO + 2, refused=True),
        ],
        ZERO,
    )
    assert (counts.answered, counts.statuses) == (5, {"200": 3, "404": 1, "502": 1})
    assert (counts.in_flight, counts.lost, counts.errors) == (5, 3, ["status 502", "reset"])
    assert (counts.failed_before, counts.answered_after) == (1, 1)
    assert (counts.dropped_after, counts.refused_after, counts.refused_since) == (1, 2, 2.0)


@pytest.mark.parametrize("answers", [[404, 404], [404, 200], []])
def test_that_every_answer_says_that_nothing_is_there_is_noted(answers):
    """A service that does not know the URL has done no work when the signal came."""
    requests = [Request(ZERO - 1, ZERO + 1, status) for status in answers]
    drawn = timeline(facts(requests=requests))
    notes = [note for note in drawn.notes if "URL" in note]
    said = ["Every answer had status 404. Is that the right URL?"]
    assert notes == said * (answers == [404, 404])


def test_requests_that_a_dying_worker_takes_from_the_others_are_lost():
    """Where one worker alone is ended, a load balancer goes on to send requests."""
    requests = [
        Request(ZERO + 1, ZERO + 2, 200),
        Request(ZERO + 1, ZERO + 2, error="reset"),
        Request(ZERO + 1, ZERO + 2, refused=True),
        Request(ZERO + 1, ZERO + 2, 503),
        Request(ZERO + 2, ZERO + 4, 200),
        Request(ZERO + 2, ZERO + 4, error="reset"),
        Request(ZERO + 3, ZERO + 4, error="reset"),
    ]
    counts = count(requests, ZERO, ZERO + 3)
    assert (counts.in_flight, counts.lost, counts.lost_between) == (2, 1, 3)
    assert counts.dropped_after == 1
    _, loss = of_requests(counts)
    assert loss.what == (
        "3 requests that were sent after one worker was told to end had no answer, though the"
        " service goes on"
    )


def test_a_server_that_always_answers_500_has_lost_nothing_by_that():
    """Its errors are not those of the shutdown."""
    errors = [Request(ZERO - 2, ZERO - 1, 500), Request(ZERO - 1, ZERO + 1, 500)]
    assert count(errors, ZERO).lost == 0


DUMP = """\
Thread 0x00007f01 (most recent call first):
  File "/srv/app.py", line 15 in poll
  File "/usr/lib/python3.11/threading.py", line 982 in run

Thread 0x00007f02 [flusher] (most recent call first):
  <no Python frame>

Current thread 0x00007f03 (most recent call first):
  File "<string>", line ??? in <module>
"""


def test_what_faulthandler_prints_is_read():
    """The main thread comes last; from 3.14 on there are names."""
    first, second, main = stacks.parse(DUMP)
    assert (first.ident, first.name, first.main) == (0x7F01, "", False)
    assert [str(frame) for frame in first.frames] == [
        "/srv/app.py:15 in poll",
        "threading.py:982 in run",
    ]
    assert (second.name, second.frames) == ("flusher", [])
    assert (main.main, str(main.frames[0])) == (True, "<string>:0 in <module>")


@pytest.mark.parametrize("told", ["", "(", "1", "[3]", f"[({0x7F01}, 2)]", "os.abort()"])
def test_names_that_cannot_be_read_are_not_known(told):
    """A process that dies as it writes them spoils nothing."""
    known = Stacks(stacks.parse(DUMP))
    stacks.add_names(known, told)
    assert [thread.name for thread in known.threads] == ["", "flusher", ""]


def thread(name, *frames, **more):
    """Return a thread that is in these functions of app.py, the innermost first."""
    return Thread(1, name, frames=[Frame("/srv/app.py", 1, one) for one in frames], **more)


def test_a_main_thread_that_waits_for_threads_keeps_nothing_alive():
    """Those that are not daemons do; where that is not known, all that there are."""
    main = thread("MainThread", main=True, daemon=False)
    main.frames = [Frame("/usr/lib/python3.13/threading.py", 1, "_shutdown")]
    busy, daemon = thread("busy", "f", daemon=False), thread("daemon", "f", daemon=True)
    unknown = thread("", "f")
    ours = thread("graceexit", daemon=False)
    ours.where = Frame("/venv/site-packages/graceexit/_exit.py", 1, "_accompany")
    assert keepers(Stacks([busy, daemon, ours, main], named=True)) == [busy]
    assert keepers(Stacks([unknown, main])) == [unknown]
    assert keepers(Stacks([main])) == [main]


def test_a_main_thread_in_its_own_code_keeps_the_process_alive():
    """The threads beside it do as well, where it is known that they are not daemons."""
    main, busy = thread("MainThread", "f", main=True), thread("busy", "f", daemon=False)
    assert keepers(Stacks([busy, main], named=True)) == [main, busy]
    assert keepers(Stacks([busy, main])) == [main]


def test_what_to_write_depends_on_whose_thread_it_is():
    """A thread of one's own is registered, a library's is ended by its object, a job is told."""
    own = thread("own", "poll")
    library = Thread(1, "kafka", where=Frame(LIBRARY, 1, "run"), frames=own.frames)
    job = thread("pool_0", "job")
    job.frames.append(Frame("/usr/lib/python3.13/concurrent/futures/thread.py", 58, "run"))
    register = (
        "    graceexit.register(thread, stop=flag, timeout=5)   # flag: what tells it to stop"
    )
    assert register in remedy(own)
    assert "    graceexit.on_exit(client.close, order=-1)" in remedy(library)
    assert remedy(job)[1].startswith("    graceexit.on_exit(tell, order=-1)")
    library.target = "Timer.run"
    assert "    graceexit.register(timer, stop=timer.cancel, timeout=5)" in remedy(library)


@pytest.mark.parametrize(
    ("file", "name", "library"),
    [
        (LIBRARY, "kafka/client.py", True),
        ("/usr/lib/python3/dist-packages/x/y.py", "x/y.py", True),
        ("/opt/lib/python3.13/queue.py", "queue.py", True),
        ("/opt/lib64/python3.13t/queue.py", "queue.py", True),
        ("<frozen runpy>", "<frozen runpy>", True),
        ("/srv/app.py", "/srv/app.py", False),
        (str(Path.cwd() / "here" / "app.py"), str(Path("here") / "app.py"), False),
    ],
)
def test_a_file_is_said_from_its_package_or_the_folder(file, name, library):
    """And whether it is somebody else's decides on what to write."""
    assert (short(file), stacks.is_library(file)) == (name, library)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        ("/usr/bin/python3 -u -X dev /srv/app.py 80", "app.py 80"),
        ("python -m uvicorn app:app", "uvicorn app:app"),
        ("/venv/bin/python3.13 /venv/bin/gunicorn app", "gunicorn app"),
        ("/usr/bin/redis-server *:6379", "redis-server '*:6379'"),
        ("python -c from|multiprocessing.spawn|import|spawn_main;", "spawned child"),
        ("python -c from|multiprocessing.resource_tracker|import|main", "resource tracker"),
        ("python -c from|multiprocessing.forkserver|import|main;", "fork server"),
        ("python", "python"),
        ("", "?"),
    ],
)
def test_a_process_is_called_as_a_person_would(argv, name):
    """Interpreter, switches and folders say nothing."""
    assert name_of([word.replace("|", " ") for word in argv.split()]) == name


def test_a_report_with_half_of_its_fields_is_read():
    """What is missing is not known, and what is of another kind is taken as missing."""
    found = Reports()
    item = '{"name": 3, "seconds": "long", "stack": "none"}'
    lines = ["", '{"version": 1}', f'{{"version": 1, "pid": 5, "results": [{item}, 4]}}', "[1]"]
    reports.add(found, lines)
    assert found.broken == 2
    assert found.of == {
        5: Report(
            5, "", None, None, None, None, [Result("?", "callback", "?", None, 0.0, "", "", "", [])]
        )
    }


@pytest.mark.parametrize(
    ("value", "words"), [(5.0, "5 s"), (0.0, "0.00 s"), (0.004, "0.00 s"), (12.345, "12.35 s")]
)
def test_seconds_are_said_as_one_says_them(value, words):
    """A limit is a whole number, a measured time has two digits."""
    assert seconds(value) == words


def test_a_signal_without_a_name_has_its_number():
    """Real-time signals have none."""
    assert (signal_name(15), signal_name(40)) == ("SIGTERM", "signal 40")


def test_the_children_of_every_thread_are_found_by_either_way(monkeypatch, script):
    """The kernel's lists of children, or where it has none every process there is."""
    child = script("import threading; threading.Event().wait()")
    ours = os.getpid()
    assert processes.tree(ours, child.pid)[child.pid] == ours
    lists = processes._children
    monkeypatch.setattr(processes, "_children", None)
    assert sorted(processes._scan()(ours)) == sorted(lists(ours))


def test_without_proc_only_the_command_is_known(monkeypatch):
    """Where psutil is not installed either."""
    monkeypatch.setattr(processes, "PROC", Path("/no/proc"))
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert processes.tree(1, 2) == {2: 1}
    assert not processes.is_over(Process(os.getpid(), 1, [], ZERO))
    assert processes.argv_of(os.getpid()) == []


def test_without_proc_psutil_finds_the_others(monkeypatch, script):
    """It is not needed, but it is asked."""
    pytest.importorskip("psutil")
    child = script("import threading; threading.Event().wait()")
    monkeypatch.setattr(processes, "PROC", Path("/no/proc"))
    assert processes.tree(os.getpid(), 2)[child.pid] == os.getpid()


def test_the_proc_of_another_namespace_is_none(monkeypatch, tmp_path):
    """Whoever has the same numbers there is a stranger, whom nobody may kill."""
    (tmp_path / "self").symlink_to("1")
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert processes.tree(os.getpid(), 2) == {2: os.getpid()}


def test_a_process_that_may_not_be_killed_is_said_to_be_there():
    """Nobody can say when it has ended."""
    left = Process(10, 1, ["sudo"], ZERO - 9, killed=True, denied=True)
    drawn = timeline(facts(processes=[left], stacks={}, attitudes={10: "It is still there."}))
    assert drawn.rows[0].note == "STILL THERE after 4 s"
    assert drawn.losses[-1].more[0] == "It is still there."


@pytest.mark.parametrize("wrong", [OSError("full"), ValueError("closed")])
def test_a_stream_that_takes_nothing_does_not_end_the_rehearsal(wrong):
    """The drawing goes elsewhere."""

    class Full(io.StringIO):
        """A stream that takes nothing."""

        def write(self, _):
            """Refuse."""
            raise wrong

    Screen(Full()).say("  | ready")


def test_what_a_terminal_would_obey_is_escaped():
    """Names are anybody's; XML has no such characters either."""
    item = result("poll\x1b[31mer\n", "failed", error="OSError: \a")
    drawn = timeline(facts(reports=Reports({11: report(11, item)})))
    words = text.draw(drawn, Style(width=120))
    assert "callback poll\\x1b[31mer\\n" in words
    assert "failed: OSError: \\x07" in words
    ET.fromstring(svg.draw(drawn, "gunicorn"))  # noqa: S314 - it is our own


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        """Return so."""
        return True


def test_progress_is_shown_on_a_terminal_and_gives_way_to_lines(monkeypatch):
    """A line of the command never runs into it, and it is gone at the end."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    screen = Screen(stream)
    screen.progress("1 process left")
    screen.progress("1 process left")
    screen.say("  | ready")
    screen.progress("0 processes left")
    screen.progress("")
    clear = "\r\x1b[K"
    assert stream.getvalue() == f"1 process left{clear}  | ready\n0 processes left{clear}"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["a log", "dumb"])
def test_without_a_terminal_there_is_no_progress(monkeypatch, stream):
    """A log of CI has the lines alone, and one that cannot clear a line too."""
    monkeypatch.setenv("TERM", "dumb")
    Screen(stream).progress("1 process left")
    assert not stream.getvalue()


def test_the_rest_of_a_line_is_shown_at_the_end():
    """Output that does not end in a newline is output, and what is not UTF-8 is escaped."""
    stream = io.StringIO()
    screen = Screen(stream)
    read, write = os.pipe()
    with open(read, "rb") as pipe, open(write, "wb") as printed:  # noqa: PTH123
        screen.drain(pipe, "ready")
        printed.write(b"first\r\n\xff ready now")
        printed.close()
        screen.finish(10)
    assert stream.getvalue() == "  | first\n  | \\xff ready now\n"
    assert screen.seen_until.is_set()


@pytest.mark.parametrize(
    ("env", "stream", "style"),
    [
        ({}, Terminal(), Style(70, color=True, unicode=True)),
        ({"NO_COLOR": "1"}, Terminal(), Style(70, color=False, unicode=True)),
        ({"TERM": "dumb"}, Terminal(), Style(70, color=False, unicode=True)),
        ({}, io.TextIOWrapper(io.BytesIO(), "utf-8"), Style(70)),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "a file"],
)
def test_the_drawing_is_as_the_place_has_it(monkeypatch, env, stream, style):
    """Colors and signs are for terminals, and for those that want them."""
    for name, value in {"COLUMNS": "70", "TERM": "xterm", "NO_COLOR": "", **env}.items():
        monkeypatch.setenv(name, value)
    assert style_of(stream) == style


def test_without_a_terminal_and_columns_it_is_100_wide(monkeypatch):
    """A file has no width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert style_of(io.StringIO()).width == 100


def test_the_folder_on_pythonpath_has_one_module():
    """Whatever else stood there would be found in place of the service's own."""
    found = [path.name for path in stacks.SITE.iterdir() if path.name != "__pycache__"]
    assert found == ["sitecustomize.py"]
