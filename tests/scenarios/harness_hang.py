"""Never end: not by a signal, nor its child."""

import multiprocessing
import signal
import time


def stuck_here() -> None:
    """Ignore what ends other programs."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        time.sleep(0.01)


if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=stuck_here).start()
    stuck_here()
