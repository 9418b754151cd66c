"""A parent with an item, and a child of multiprocessing that registers a thread and a callback."""

import multiprocessing
import sys
import threading
import time

import graceexit

method, ends, parent = sys.argv[1:]


def work(stop):
    while not stop.is_set():
        time.sleep(0.01)
    print("child stopped")


def child(ready):
    if ends == "wait":
        graceexit.install(linger=None)  # whoever is ended by its parent waits for nothing
    flag = threading.Event()
    thread = threading.Thread(target=work, args=(flag,))
    thread.start()
    if ends == "stuck":
        graceexit.register(thread, stop=lambda: print("told"), timeout=0.2)
    else:
        graceexit.register(thread, stop=flag, timeout=60)
    graceexit.on_exit(lambda: print("child closed"))
    ready.set()
    if ends == "exception":
        raise RuntimeError
    while ends == "wait":
        time.sleep(0.01)
    sys.exit(0 if ends == "end" else 7)


if __name__ == "__main__":
    multiprocessing.set_start_method(method)
    graceexit.on_exit(lambda: print("parent closed"))
    ready = multiprocessing.Event()
    process = multiprocessing.Process(target=child, args=(ready,))
    process.start()
    ready.wait()
    if parent == "registers":
        graceexit.register(process, stop=process.terminate, timeout=60)
    if parent == "terminates":
        process.terminate()
    print("ready")
    while parent in ("registers", "waits"):
        time.sleep(0.01)
    process.join()
    print("exit code", process.exitcode)
