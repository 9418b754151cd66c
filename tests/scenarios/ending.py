"""A program of a KIND that ends in the way told, with graceexit or without."""

import asyncio
import atexit
import http.server
import sys
import threading
import time

kind, how, cleanup = sys.argv[1:]
stop = threading.Event()


def work():
    while not stop.is_set():
        time.sleep(0.01)
    print("stopped")


def leave():
    if how == "exit":
        sys.exit(3)
    if how == "exception":
        raise RuntimeError


async def service():
    print("ready")
    leave()
    while how != "end":
        await asyncio.sleep(0.01)


class Server(http.server.HTTPServer):
    def service_actions(self):
        leave()
        if how == "end":
            threading.Thread(target=self.shutdown).start()


def script():
    print("ready")
    leave()
    while how != "end":
        time.sleep(0.01)


def serve():
    server = Server(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    print("ready")
    server.serve_forever(0.01)
    server.server_close()


sys.excepthook = lambda kind, *_: print(kind.__name__)
atexit.register(print, "registered before")
thread = threading.Thread(target=work, daemon=cleanup == "plain")
thread.start()
if cleanup == "graceexit":
    import graceexit

    graceexit.register(thread, stop=stop)
    graceexit.on_exit(lambda: print("closed"))
atexit.register(print, "registered after")
try:
    {"script": script, "asyncio": lambda: asyncio.run(service()), "http": serve}[kind]()
finally:
    print("unwound")
