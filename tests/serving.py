"""Talk to a server that a test has started."""

from __future__ import annotations

import http.client
import importlib.util

import pytest


def need(*modules):
    """Skip the test if one of the modules is not installed, and say which."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed for this Python")


def connect(running, port):
    """Return a connection to the server, which may be starting still."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while connection.sock is None:
        try:
            connection.connect()
        except ConnectionRefusedError:
            running.check()
    return connection


def get(running, port, path):
    """Ask for *path* on a connection of its own and return the status of the answer."""
    connection = connect(running, port)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status
