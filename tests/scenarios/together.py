"""A hundred threads, none of which can end before every one of them has been told to stop."""

import threading

import graceexit

all_told = threading.Barrier(100, timeout=50)


def work(stop):
    stop.wait()
    all_told.wait()


for _ in range(100):
    flag = threading.Event()
    thread = threading.Thread(target=work, args=(flag,))
    thread.start()
    graceexit.register(thread, stop=flag, timeout=60)
graceexit.on_exit(lambda: print(threading.active_count() - 100 <= 3))
