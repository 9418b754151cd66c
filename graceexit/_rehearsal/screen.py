"""
What is seen while a rehearsal goes on: the command's output, and on a terminal a line of progress.

It goes to stderr, so that stdout has the drawing and nothing else.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections import deque
from typing import IO, TextIO

from graceexit._rehearsal.text import Style

TAIL = 20  # lines of output that are shown again where the rehearsal could not begin
NO_TERMINAL = 100  # columns
LONG = 1 << 16  # bytes, which a line is shown in parts of


class Screen:
    """Shows lines of several threads."""

    def __init__(self, stream: TextIO) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.heard = 0  # changes as something is printed
        self._stream = stream
        self._lock = threading.Lock()  # guards what is on the screen
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._progress = ""  # what stands on the last line
        self._until: bytes = b""
        self.seen_until = threading.Event()
        self._thread: threading.Thread | None = None

    def drain(self, pipe: IO[bytes], until: str | None) -> None:
        """Show what comes out of the pipe, and notice when *until* has been printed."""
        self._until = os.fsencode(until or "")
        self._thread = threading.Thread(target=self._drain, args=[pipe], daemon=True)
        self._thread.start()

    def finish(self, timeout: float) -> None:
        """Wait for the rest of the output, but not for ever: somebody may still hold the pipe."""
        if self._thread is not None:
            self._thread.join(timeout)
        self.progress("")

    def say(self, text: str) -> None:
        """Show a line of ours."""
        with self._lock:
            self._clear()
            self._write(f"{text}\n")

    def progress(self, text: str) -> None:
        """Show where we are, in place of what the last call has shown; on a terminal only."""
        if not self._terminal:
            return
        with self._lock:
            if text != self._progress:
                self._clear()
                self._write(text[: shutil.get_terminal_size().columns - 1])
                self._progress = text

    def _drain(self, pipe: IO[bytes]) -> None:
        line = b""  # which has not come to its end: a prompt, perhaps, which is waited for
        while True:
            printed = os.read(pipe.fileno(), LONG)
            self.heard += 1
            line += printed
            if self._until and self._until in line:
                self.seen_until.set()
            *lines, line = line.split(b"\n")
            if line and (not printed or len(line) > LONG):
                lines, line = [*lines, line], b""
            for one in lines:
                text = one.rstrip(b"\r").decode(errors="backslashreplace")
                self.tail.append(text)
                self.say(f"  | {text}")
            if not printed:
                return

    def _clear(self) -> None:
        if self._progress:
            self._write("\r\x1b[K")
            self._progress = ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody looks; what is drawn is on stdout


def style_of(stream: TextIO) -> Style:
    """Return how to draw on a stream: as the terminal has it, else plain and ASCII."""
    terminal = stream.isatty()
    encoding = (stream.encoding or "").lower().replace("-", "")
    width = shutil.get_terminal_size((NO_TERMINAL, 24)).columns
    if not terminal and not os.environ.get("COLUMNS"):
        width = NO_TERMINAL
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Style(
        width=width,
        color=terminal and not plain and sys.platform != "win32",
        unicode=terminal and encoding == "utf8",
    )
