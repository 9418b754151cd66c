"""gRPC with one method: `on_grpc.py PORT`."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import service


def answer(request, context):
    """Answer."""
    return service.answer().encode()


server = grpc.server(ThreadPoolExecutor(2))
methods = {"Answer": grpc.unary_unary_rpc_method_handler(answer)}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Service", methods)])
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
try:
    server.wait_for_termination()
finally:
    server.stop(10).wait()
