"""
Processes of Python's own: `pools.py KIND METHOD [TASKS]`.

KIND is process, pool or executor, METHOD how processes are started, TASKS how many tasks a process
may do. A worker begins for itself; what the main process does at its end is what the row is about.
"""

import multiprocessing
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor


def begin():
    """Begin in a worker: a forked one has the application already."""
    if "service" in sys.modules:
        sys.modules["service"].begin()
    else:
        import service  # noqa: F401


def task():
    """Do what takes a while."""
    return sys.modules["service"].answer()


def child(busy, started, stop):
    """Be a process of multiprocessing."""
    started.wait()
    begin()
    if busy:
        task()
    while not stop.is_set():
        time.sleep(0.05)


def run_processes(context):
    """Have two processes, which are registered like threads."""
    started, stop = context.Event(), context.Event()
    children = [context.Process(target=child, args=(busy, started, stop)) for busy in (True, False)]
    for process in children:
        process.start()
        if not service.PLAIN:
            import graceexit

            graceexit.register(process, stop=stop)
    started.set()  # not before the last fork: Python ignores a KeyboardInterrupt in a hook of it
    while True:
        multiprocessing.active_children()  # which reaps them
        time.sleep(0.05)


def begin_in_pool():
    """Leave Ctrl-C to the main process: a pool whose workers end by it may wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begin()


def run_pool(context, tasks):
    """Have a pool, whose tasks in progress may end when the process is told to."""
    with context.Pool(2, begin_in_pool, maxtasksperchild=tasks) as pool:
        pool.apply_async(task)
        try:
            while True:
                time.sleep(0.05)
        except SystemExit:
            pool.close()
            pool.join()
            raise


def run_executor(context, tasks):
    """Have an executor, which waits for its tasks in any case."""
    options = {"max_tasks_per_child": tasks} if tasks else {}
    with ProcessPoolExecutor(2, context, begin, **options) as executor:
        executor.submit(task).result()
        while True:
            time.sleep(0.05)


if __name__ == "__main__":
    import service

    kind, method, *tasks = sys.argv[1:]
    tasks = int(tasks[0]) if tasks else None
    context = multiprocessing.get_context(method)
    if kind == "process":
        run_processes(context)
    elif kind == "pool":
        run_pool(context, tasks)
    else:
        run_executor(context, tasks)
