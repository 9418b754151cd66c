"""
An application that owns many clients, for a server's worker: an item goes to each by a request.

CLIENTS is a JSON object, of the programs of apps/ and the addresses that they are to take. The
request sends half of the items, waits until the file STRUCK is there, and sends the others.
"""

import asyncio
import json
import os
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

APPS = Path(__file__).parent / "apps"
ITEMS = int(os.environ["ITEMS"])


def load(name, address):
    """Import the program of a client, as an application imports its own modules."""
    os.environ["ADDRESS"] = address
    spec = spec_from_file_location(f"client_{name}", APPS / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


clients = [load(name, address) for name, address in json.loads(os.environ["CLIENTS"]).items()]


def answer():
    """Be in flight when the signal comes."""
    for number in range(ITEMS):
        if number == ITEMS // 2:
            os.write(1, b"\nrequested\n")
            while not Path(os.environ["STRUCK"]).exists():
                time.sleep(0.01)
            time.sleep(1)  # the server has noticed
        for client in clients:
            client.send(f"item-{number}.")
    return b"sent"


def wsgi(environ, start_response):
    """Answer."""
    body = answer()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    """Answer from a thread, for the clients block."""
    if scope["type"] != "http":
        return
    body = await asyncio.to_thread(answer)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
