"""
Lines for people, which never keep the exit waiting.

Logging may be the very thing that is stuck, for an item that was left behind can hold one of its
locks; so may whoever reads stderr, and so may the text of a line, which is made of names and errors
that are anybody's code. So a line is handed to a thread of its own, and what that could not say in
time goes to stderr, without what has not come in time. The next item may be the one that closes the
log: it waits for a warning to be said, but all items together no longer than a tenth of a second.

`logging` is not imported for it: in a process that has not done so nobody has asked for INFO, and
warnings go where its last resort would send them. Stderr is where `sys.stderr` goes, as it is for
Python's own tracebacks: where Python was started without one, descriptor 2 is anybody's file.
"""

import _thread
import os
import sys
from time import sleep

from graceexit._latch import CLOCK, start_thread, within
from graceexit._report import called, fields_of, sentence_of, traceback_of, without_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    from graceexit._items import Item, Outcome

    # Makes the text of a line; given True, it is to be careful and take nobody's code.
    Text: TypeAlias = Callable[[bool], str]
    # level; text; error; the fields of the record
    Line: TypeAlias = tuple[int, Text, BaseException | None, Callable[[], dict[str, Any]]]

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # the levels of logging
PAUSES = 50  # so often it is looked whether the listener of a queue has taken a line
PAUSE = 0.01  # seconds between two looks
GLANCE = 0.001  # seconds between two looks whether a warning has been said
PLAINLY, CAREFULLY = False, True  # how a text is made
LEVELS = {"done": DEBUG, "failed": ERROR}  # else WARNING
NO_THREADS = (
    "no thread can be started here: items had no timeout of their own, and pools were closed before"
    " them"
)


class Log:
    """
    Says lines through the logger `graceexit`, and never keeps the caller waiting.

    Its thread lives as long as there are lines to say.

    Attributes:
        why: What is going on, such as "on SIGTERM"; each line says it.
        signum: The signal that was noticed; each record has it.
    """

    def __init__(self) -> None:
        self.why = "in run()"
        self.signum: int | None = None
        self._lines: list[Line] = []
        self._warning: Line | None = None  # the last one that is not said yet
        self._speaking = _thread.allocate_lock()  # held by the thread that says the lines
        self._pauses = iter(range(PAUSES))  # those that are left, for all lines

    def post(
        self,
        level: int,
        text: "str | Text",
        error: BaseException | None = None,
        fields: "Callable[[], dict[str, Any]]" = dict,
    ) -> None:
        """Have *text* said soon."""
        if level >= WARNING or "logging" in sys.modules:
            head = f"graceexit[{os.getpid()}]: {self.why}: "
            make: Text = lambda careful: head + (text if isinstance(text, str) else text(careful))  # noqa: E731
            line = level, make, error, fields
            if level >= WARNING:
                self._warning = line
            self._lines.append(line)
            if self._speaking.acquire(blocking=False) and not start_thread(self._say_all):
                self._speaking.release()  # flush() says it

    def begins(self, item: "Item") -> None:
        """Have it said, at DEBUG, that an item begins."""
        self.post(DEBUG, lambda _: f"{called(item)} begins")

    def ended(self, outcome: "Outcome", grace: float | None) -> None:
        """Have it said how an item has ended."""
        self.post(
            LEVELS.get(outcome[1], WARNING),
            lambda careful: sentence_of(outcome, grace, careful=careful),
            outcome[4],
            lambda: fields_of(outcome),
        )

    def settle(self, left: float) -> float:
        """Wait for the last warning to be said, if it is not said yet; return what is left then."""
        give_up = CLOCK[0]() + left
        while self._warning is not None and self._speaking.locked() and CLOCK[0]() < give_up:
            sleep(GLANCE)
        return give_up - CLOCK[0]()

    def flush(self, timeout: float) -> None:
        """Wait *timeout* seconds at most for what was posted; then say the rest on stderr."""
        if not self._lines:
            return
        silent = self._speaking.acquire(timeout=max(timeout, 0.0))
        if silent:
            self._speaking.release()
        rest, self._lines, self._warning = self._lines, [], None

        def speak() -> None:
            for line in rest:
                if silent:  # where no thread can be started nobody has tried to
                    self._say(line)
                elif line[0] >= WARNING:
                    write(f"{line[1](CAREFULLY)}\n")

        if rest:
            within(1.0, speak)

    def last_words(self, text: str, timeout: float) -> None:
        """Say what is left to say, and *text*, and flush the standard streams."""

        def speak() -> None:
            # Who stands in for a stream may have a `flush` that does nothing.
            for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
                try:
                    stream.flush()  # type: ignore[union-attr]
                except (AttributeError, ValueError, OSError):
                    pass  # None, closed or broken
            write(text)

        self.flush(timeout)
        within(1.0, speak)

    def wants_debug(self) -> bool:
        """Return whether the logger is set to DEBUG, without taking a lock of logging's."""
        if "logging" not in sys.modules:
            return False
        try:
            root = sys.modules["logging"].root
            return bool(root.manager.loggerDict.get("graceexit", root).getEffectiveLevel() <= DEBUG)
        except Exception:  # only somebody's logger below ours is in use
            return False

    def _say_all(self) -> None:
        """Say every line, taking it off the list once it has been said."""
        while True:
            lines = self._lines
            # Unless flush() has lost patience and says the rest.
            while lines and lines is self._lines:
                self._say(lines[0])
                if lines[0] is self._warning:
                    self._warning = None
                del lines[:1]
            self._speaking.release()
            # A line that was posted before the release had nobody to say it: an instant.
            if not self._lines or not self._speaking.acquire(blocking=False):  # pragma: no branch
                return

    def _say(self, line: "Line") -> None:
        """Log a line; where nobody takes it, write it to stderr from WARNING upwards."""
        level, make, error, fields = line
        taken = False
        try:
            if "logging" in sys.modules:
                logger = sys.modules["logging"].getLogger("graceexit")
                info = error and (type(error), error, without_ours(error.__traceback__))
                extra = {"signum": self.signum, **fields()}
                logger.log(level, "%s", make(PLAINLY), exc_info=info, extra=extra)
                taken = level < WARNING or is_taken(logger, self._pauses)
        except BaseException:  # noqa: S110
            pass  # handlers, filters, names and errors are anybody's code
        if not taken and level >= WARNING:
            write(f"{text_with(make, error)}\n")


def text_with(make: "Text", error: BaseException | None) -> str:
    """Return the text of a line, and the traceback of its error."""
    for careful in (PLAINLY, CAREFULLY):
        try:
            text = make(careful)
        except BaseException:  # noqa: S112
            continue
        return text if error is None else f"{text}\n{traceback_of(error)}"
    return f"graceexit[{os.getpid()}]: a line that cannot be said"


def is_taken(logger: "Any", pauses: "Iterator[int]") -> bool:
    """Return whether somebody takes what *logger* is given: not a queue without its listener."""
    if logger.disabled:  # by logging.config, which does so unless it is told otherwise
        return False
    queues: list[Any] = []
    while logger is not None:
        queues += [getattr(handler, "queue", None) for handler in logger.handlers]
        logger = logger.parent if logger.propagate else None
    if not queues or any(type(one).__module__ not in ("queue", "_queue") for one in queues):
        return True  # logging's last resort does, or a handler that has no queue
    # A listener that is told to stop takes no more lines, but its thread lives on for a moment.
    while True:
        threads = list(sys.modules["threading"]._active.values())
        listeners = [getattr(getattr(one, "_target", None), "__self__", None) for one in threads]
        read = [getattr(one, "queue", None) for one in listeners]
        queues = [queue for queue in queues if any(queue is one for one in read)]
        if not queues or any(queue.empty() for queue in queues) or next(pauses, None) is None:
            return bool(queues)
        sleep(PAUSE)


def write(text: str) -> None:
    """Write *text* to where tracebacks go."""
    stream: Any = sys.stderr
    try:
        if (original := sys.__stderr__) is not None and stream is original:
            # Around the lock of the stream, which what was left behind may hold.
            os.write(original.fileno(), text.encode(errors="backslashreplace"))
        else:
            stream.write(text)
            stream.flush()
    except Exception:  # noqa: S110
        pass  # None, closed or broken: there is nobody left to tell
