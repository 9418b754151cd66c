"""Have a call in flight."""

import os

import grpc
from in_flight import keep


def call():
    """Call, and return the answer."""
    with grpc.insecure_channel(f"127.0.0.1:{os.environ['SERVICE']}") as channel:
        try:
            return channel.unary_unary("/Service/Answer")(b"", wait_for_ready=True).decode()
        except grpc.RpcError:
            return "none"


keep(call)
