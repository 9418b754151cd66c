"""pyzmq: what is sent waits for the peer."""

import os

import zmq

import graceexit

context = zmq.Context()
socket = context.socket(zmq.PUSH)
socket.connect(os.environ["ADDRESS"])
graceexit.on_exit(lambda: context.destroy(linger=3000))


def send(item):
    """Push an item."""
    socket.send(item.encode())
