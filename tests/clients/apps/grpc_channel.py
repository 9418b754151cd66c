"""grpcio: calls are sent by the threads of a channel."""

import os

import grpc

import graceexit

channel = grpc.insecure_channel(os.environ["ADDRESS"])
call = channel.unary_unary("/Service/Take")
pending = set()
graceexit.on_exit(channel.close)
graceexit.on_exit(lambda: [one.result() for one in list(pending)])


def send(item):
    """Call with an item."""
    one = call.future(item.encode())
    pending.add(one)
    one.add_done_callback(pending.discard)
