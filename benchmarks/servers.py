"""
The rows that need servers: what graceexit costs under load, and Granian restarted again and again.

The application and the broker of the restarts are those of examples/kafka.
"""

import contextlib
import os
import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from children import output_of, pressed
from rows import HERE, OURS, Row, ratios

SERVERS = {
    "Granian": ("-m granian --interface asgi --workers 1 --log-level warning", "--working-dir"),
    "uvicorn": ("-m uvicorn --no-access-log --log-level warning --lifespan off", "--app-dir"),
}
WITHOUT, AGAIN = "without", "without, a second server"
PROCESSES = 5  # how often the servers are started anew: two of the same kind differ a little
CONNECTIONS = 16
LOAD = "1s"  # the least that wrk takes


def demo():
    """Import the demo; it needs the broker, and is not here if that is not installed."""
    folder = str(HERE.parent / "examples" / "kafka")
    if folder not in sys.path:
        sys.path.append(folder)
    import demo

    demo.pressed = pressed  # one Ctrl-C for all
    return demo


@contextlib.contextmanager
def on_processors(which):
    """Have programs that are started here run on some of the processors only."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, which)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def requesting(bench, server):
    """Put load on a server with and without graceexit, in turns."""
    row = Row(
        f"requests per second, {server}",
        "/s",
        f"wrk, one thread on one core, {CONNECTIONS} connections, {LOAD} each; the server on"
        f" another. Both servers run all the time and take turns, and are started anew"
        f" {PROCESSES} times. A second server without graceexit says what is chance",
    )
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if shutil.which("wrk") is None:
        row.cannot = {OURS: "wrk is not installed"}
        return row
    if len(processors) < 2:
        row.cannot = {OURS: "a server and its load need a core each"}
        return row
    tools = demo()
    with_, without, again = f"with {OURS}", WITHOUT, AGAIN
    total = bench.count(20, 2)
    processes = min(PROCESSES, total)
    command, folder_option = SERVERS[server]
    ports = {}

    def sample(way):
        url = f"http://127.0.0.1:{ports[way]}/"
        load = ("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{LOAD}", url)
        before = os.times()
        with on_processors(processors[1:2]):
            said = output_of(*load)
        after = os.times()
        failed = re.search("Socket errors.*|Non-2xx.*", said)
        assert failed is None, failed[0]
        busy = after.children_user + after.children_system
        busy -= before.children_user + before.children_system
        return {
            "requests": float(re.search(r"Requests/sec: +([\d.]+)", said)[1]),
            "wrk": busy / (after.elapsed - before.elapsed),
        }

    for number in range(processes):
        bench.say(f"{row.title}: starting")
        with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
            for way in (with_, without, again):
                port = ports[way] = tools.free_port()
                log = Path(name, f"{way}.log")
                options = (*command.split(), folder_option, HERE, "--port", port, "answer:app")
                with on_processors(processors[:1]):
                    variables = {"WITH": "1" if way == with_ else ""}
                    process = tools.start(log, sys.executable, *options, **variables)
                running.callback(tools.kill, process)
                tools.wait_until(lambda port=port: tools.is_listening(port), process)
            for way in ports:  # warm
                sample(way)
            done, upto = total * number // processes, total * (number + 1) // processes
            bench.interleave(row, range(done, upto), [with_, without, again], sample)
    series = row.series
    ratio = ratios(series[with_]["requests"], series[without]["requests"])
    chance = ratios(series[again]["requests"], series[without]["requests"])
    row.reach(
        f"requests per second lost, {server}, {len(ratio)} pairs",
        [100 * (1 - one) for one in ratio],
        unit="%",
        most=2,
        floor=100 * (1 - statistics.median(chance)),
        floor_is="a second server without graceexit",
    )
    return row


def restarting(bench):
    """Restart Granian under the Kafka application of the demo."""
    row = Row(
        "restarts of Granian under the Kafka demo",
        "s",
        "SIGTERM to the end of the last process of the server, under the load of 8 clients; then"
        " the topic is read and compared with what was accepted",
    )
    try:
        tools = demo()
    except ImportError as error:
        row.cannot[OURS] = f"{error.name} is not installed"
        return row
    times = bench.count(50, 3)
    options = SimpleNamespace(restarts=times, messages=500)

    def say(text):
        bench.say(f"{row.title}, of {times}: {text}")

    with tempfile.TemporaryDirectory() as name, tools.a_broker(Path(name)) as broker:
        for one in tools.restarts("a", broker, Path(name), options, say):
            found = one._asdict()
            row.add(OURS, stop=found.pop("seconds"), **found)
    series = row.series[OURS]
    for what, name in (
        (f"messages lost in {times} restarts", "lost"),
        ("processes killed in them", "killed"),
    ):
        row.reach(what, [sum(series[name])], unit="", worst=True, most=0)
    row.title += f" ({sum(series['accepted']):,.0f} messages)"
    return row


ROWS = {
    "granian": lambda bench: requesting(bench, "Granian"),
    "uvicorn": lambda bench: requesting(bench, "uvicorn"),
    "restarts": restarting,
}
