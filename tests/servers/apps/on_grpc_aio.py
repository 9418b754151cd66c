"""gRPC on asyncio with one method: `on_grpc_aio.py PORT`."""

import asyncio
import sys

import grpc
import service


async def answer(request, context):
    """Answer."""
    return (await service.answer_async()).encode()


async def main():
    """Serve until SIGTERM."""
    server = grpc.aio.server()
    methods = {"Answer": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Service", methods)])
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop(10)


asyncio.run(main())
