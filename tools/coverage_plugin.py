"""
Let coverage see what it would miss: raw threads, and processes that die of a signal.

Coverage loads this plugin in every process that it measures, and `make coverage` is all that does.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from coverage import Coverage

if TYPE_CHECKING:
    from coverage.plugin_support import Plugins


def coverage_init(_plugins: Plugins, _options: object) -> None:
    """Put a measuring function in front of those that matter."""
    start_new_thread, raise_signal, kill = _thread.start_new_thread, signal.raise_signal, os.kill
    run_exitfuncs = atexit._run_exitfuncs

    def measured_start_new_thread(function, args, kwargs=None):  # noqa: ANN001, ANN202
        def measured(*args: object, **kwargs: object) -> None:
            sys.settrace(threading.gettrace())
            function(*args, **kwargs)

        return start_new_thread(measured, args, kwargs or {})

    def measured_raise_signal(signum: int) -> None:
        if signal.getsignal(signum) is signal.SIG_DFL:
            _save()
        raise_signal(signum)

    def measured_kill(pid: int, signum: int) -> None:
        if pid == os.getpid():
            _save()
        kill(pid, signum)

    def measured_run_exitfuncs() -> None:
        measuring = Coverage.current()
        if measuring is not None:  # its own exit function would end the measurement
            atexit.unregister(measuring._atexit)
        run_exitfuncs()

    atexit._run_exitfuncs = measured_run_exitfuncs
    _thread.start_new_thread = measured_start_new_thread
    signal.raise_signal = measured_raise_signal
    os.kill = measured_kill


def _save() -> None:
    """Write what has been measured; this may be the last moment to do so."""
    measuring = Coverage.current()
    if measuring is not None:
        measuring.save()
