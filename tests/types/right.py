"""What every checker accepts; nobody runs it."""

import multiprocessing
import signal
import subprocess
import threading
from functools import partial
from typing import Literal

import graceexit

stop = threading.Event()
thread = threading.Thread(target=stop.wait)
process = multiprocessing.Process(target=print)
command = subprocess.Popen(["true"])


class Pool:
    """Something to close."""

    def close(self) -> None:
        """Close it."""


async def close_session() -> None:
    """Close what belongs to a loop."""


item: graceexit.Item = graceexit.register(thread, stop=stop, timeout=2, order=1, name="poller")
graceexit.register(threading.Timer(1, print), stop=stop.set, timeout=None)
graceexit.register(process, stop=process.terminate)
graceexit.register(command, stop=command.terminate)
graceexit.register(Pool().close, timeout=2.5, order=-1, name="pool", each_process=True)
graceexit.register(partial(print, "closed"))
graceexit.register(close_session)


@graceexit.on_exit
def close_pool() -> int:
    """Close it."""
    return 7


@graceexit.on_exit(timeout=2, order=1, name="pool", each_process=True)
def close_other_pool() -> str:
    """Close it."""
    return "closed"


status: int = close_pool()  # it is returned unchanged
words: str = close_other_pool()
graceexit.on_exit(Pool().close)
graceexit.on_exit(close_session)

forgotten: bool = graceexit.unregister(item) or graceexit.unregister(thread)
graceexit.install()
graceexit.install(grace=25, linger=0, signals=[signal.SIGTERM], report="/tmp/{pid}.json")  # noqa: S108
graceexit.install(grace=None, linger=None, report=None)
with graceexit.hold():
    told: bool = graceexit.exiting.wait(1.5) or graceexit.exiting.is_set()
signum: int | None = graceexit.exiting.signum
latch: graceexit.Latch = graceexit.exiting

report: graceexit.Report = graceexit.shutdown()
result: graceexit.Result = report.results[0]
outcome: Literal["done", "failed", "overran", "not run"] = result.outcome
kind: Literal["thread", "callback"] = result.kind
version: str = graceexit.__version__
graceexit.uninstall()

with graceexit.Registry() as registry:
    registry.register(thread, stop=stop)
    registry.on_exit(Pool().close)
