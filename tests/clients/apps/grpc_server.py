"""grpcio: a server that takes a while for a call; it calls itself."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

import graceexit

address = Path(os.environ["ADDRESS"])
begun = threading.Semaphore(0)


def answer(request, context):
    """Take a while for a call, and write it down."""
    begun.release()
    time.sleep(0.2)
    with address.open("ab") as file:
        file.write(request)
    return request


server = grpc.server(ThreadPoolExecutor(10))
methods = {"Answer": grpc.unary_unary_rpc_method_handler(answer)}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Service", methods)])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
graceexit.on_exit(lambda: server.stop(4).wait())
call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/Service/Answer")
calls = []  # one that nobody has is cancelled


def send(item):
    """Call, and wait until the server has begun with it."""
    calls.append(call.future(item.encode()))
    begun.acquire()
