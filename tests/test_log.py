"""A line of the log says it all: who, why, which item, whose limit; people and programs read it."""

from __future__ import annotations

import json
import os
import re
import signal
from textwrap import dedent, indent

import pytest
from harness import WITHOUT_GIL, needs_threads_at_the_end
from wording import ON_SIGTERM, WHO, assert_one_says, own, said

SIGTERM = signal.SIGTERM

needs_an_ender = needs_threads_at_the_end("no item is left behind")

PROGRAM = """
    import json, logging, sys, threading, time
    import graceexit

    {log}

    def close_pool():
        raise OSError("the pool could not be closed")

    def poll():
        threading.Event().wait()

    graceexit.on_exit(close_pool)
    thread = threading.Thread(target=poll, name={name!r}, daemon=True)
    thread.start()
    graceexit.register(thread, stop=lambda: None, timeout=0.5)
    print("ready")
    while True:
        time.sleep(0.01)
"""
PLAIN = 'logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s")'
STRUCTURED = "\n    ".join(
    """
class Handler(logging.Handler):
    def emit(self, record):
        found = {name: getattr(record, name, None) for name in fields}
        found["error"] = record.exc_info and record.exc_info[0].__name__
        print(json.dumps({"level": record.levelname, **found}, default=str))

fields = ("item", "kind", "outcome", "seconds", "where", "signum")
logging.basicConfig(level=logging.INFO, handlers=[Handler()])
""".strip().split("\n")
)


def ended(script, log, name="poller"):
    """Run the program to its death; return its pid and its lines."""
    worker = script(PROGRAM.format(log=log, name=name))
    lines, status = worker.end_by(SIGTERM)
    assert status == -SIGTERM
    return worker.pid, lines


@pytest.mark.field(kind="a log of several workers")
@needs_an_ender
def test_each_line_says_who_and_why(script):
    """One at the beginning, one at the end, one for each that went wrong, and DEBUG for each."""
    pid, lines = ended(script, PLAIN)
    texts = [line for line in lines if re.match("(DEBUG|INFO|WARNING|ERROR) ", line)]
    assert all(f" graceexit[{pid}]: on SIGTERM: " in line for line in texts)
    levels = [line.partition(" ")[0] for line in texts]
    assert levels == ["INFO", "DEBUG", "WARNING", "DEBUG", "ERROR", "INFO"]


@needs_an_ender
def test_a_failure_has_its_traceback_and_a_stack_begins_in_the_program(script):
    """Frames of threading and of the package are nobody's business."""
    _, lines = ended(script, PLAIN)
    assert "OSError: the pool could not be closed" in lines
    frames = [line for line in lines if line.startswith("  File ")]
    assert frames
    assert not [line for line in frames if "threading.py" in line or "/graceexit/_" in line]


@pytest.mark.field(kind="a log of several workers")
@needs_an_ender
def test_a_record_has_fields_and_the_exception(script):
    """Structured logs and what groups errors need more than a text."""
    _, lines = ended(script, STRUCTURED)
    records = [json.loads(line) for line in lines if line.startswith("{")]
    found = {one["level"]: one for one in records}
    failed, overran = found["ERROR"], found["WARNING"]
    assert [failed[key] for key in ("item", "kind", "outcome", "signum", "error")] == [
        *("close_pool", "callback", "failed", SIGTERM, "OSError")
    ]
    assert [overran[key] for key in ("item", "kind", "outcome", "signum", "error")] == [
        *("poller", "thread", "overran", SIGTERM, None)
    ]
    assert re.search(r"script\.py:\d+$", failed["where"])
    assert overran["seconds"] >= 0.5


# As the documentation of each says: how it takes what is logged by others.
OTHERS = {
    "python-json-logger": """
        from pythonjsonlogger.json import JsonFormatter
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter("{levelname}{message}", style="{"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    """,
    "structlog": """
        import structlog
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        ))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    """,
    "loguru": """
        import inspect
        from loguru import logger

        class Intercept(logging.Handler):
            def emit(self, record):
                level = logger.level(record.levelname).name
                frame, depth = inspect.currentframe(), 0
                while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
                    frame, depth = frame.f_back, depth + 1
                fields = {"item": getattr(record, "item", None)}
                bound = logger.bind(**fields).opt(depth=depth, exception=record.exc_info)
                bound.log(level, record.getMessage())

        logger.remove()
        logger.add(sys.stdout, serialize=True)
        logging.basicConfig(level=logging.INFO, handlers=[Intercept()])
    """,
}


@needs_an_ender
@pytest.mark.parametrize("log", OTHERS)
def test_what_others_make_of_a_line_has_its_level_its_item_and_the_error(script, log):
    """Each of them is given the whole record, with its fields and the exception."""
    _, lines = ended(script, indent(dedent(OTHERS[log]), "    ").strip())
    failed = [line for line in lines if line.startswith("{") and "could not be closed" in line]
    assert len(failed) == 1
    told = json.loads(failed[0])
    if log == "loguru":
        record = told["record"]
        level, item = record["level"]["name"], record["extra"]["item"]
        text, error = record["message"], told["text"]
    elif log == "structlog":
        level, item, text, error = told["level"], told["item"], told["event"], told["exception"]
    else:
        level, item = told["levelname"], told["item"]
        text, error = told["message"], told["exc_info"]
    assert (level.upper(), item) == ("ERROR", "close_pool")
    assert re.match(ON_SIGTERM + "callback 'close_pool' .* failed: OSError: the pool", text)
    assert "OSError: the pool could not be closed" in error
    assert "script.py" in error


@pytest.mark.field(kind="a log of several workers")
@needs_an_ender
def test_a_name_cannot_write_on_a_terminal(script):
    """A newline or an escape sequence in it is shown as such."""
    _, lines = ended(script, PLAIN, "poller\n\x1b[31mred")
    (line,) = [line for line in lines if line.startswith("WARNING")]
    assert r"poller\n\x1b[31mred" in line
    assert not [line for line in lines if "\x1b" in line]


LISTENER = """
    import logging.handlers, queue

    lines = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(lines, logging.StreamHandler(sys.stdout))
    listener.start()
    logging.basicConfig(level=logging.INFO, handlers=[logging.handlers.QueueHandler(lines)])
    graceexit.on_exit(listener.stop, order=-1)
"""


@pytest.mark.field(kind="a log of several workers")
@needs_an_ender
def test_what_nobody_takes_goes_to_stderr(script):
    """An item has stopped the listener of the log before another one failed."""
    _, lines = ended(script, LISTENER.strip())
    assert_one_says(lines, ON_SIGTERM, "close_pool")
    assert "OSError: the pool could not be closed" in lines


@needs_an_ender
def test_what_comes_as_its_listener_is_stopped_goes_to_stderr(script):
    """It stands in the queue behind what stops the listener, whose thread lives on for a moment."""
    lines, status = script("""
        import logging.handlers, queue, sys, threading, time
        import graceexit

        told = threading.Event()

        class Listener(logging.handlers.QueueListener):
            def enqueue_sentinel(self):
                super().enqueue_sentinel()
                told.set()

            def _monitor(self):
                super()._monitor()
                time.sleep(0.2)

        class Handler(logging.handlers.QueueHandler):
            def emit(self, record):
                told.wait()
                super().emit(record)

        records = queue.SimpleQueue()
        listener = Listener(records, logging.StreamHandler(sys.stdout))
        listener.start()
        logging.basicConfig(level=logging.WARNING, handlers=[Handler(records)])
        graceexit.on_exit(listener.stop)

        @graceexit.on_exit
        def close_pool():
            raise OSError("the pool could not be closed")
    """).finish()
    assert_one_says(lines, WHO + "at the end of the program: ", "close_pool")
    assert status == 0


@pytest.mark.field(kind="a log that an item closes")
@needs_an_ender
@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("graceexit.on_exit(lambda: 1 / 0)", "ZeroDivisionError: division by zero"),
        pytest.param(
            "graceexit.install(linger=0)",
            "linger=0 s is over",
            marks=pytest.mark.skipif(WITHOUT_GIL, reason="said after the items without a GIL"),
        ),
    ],
)
def test_a_warning_is_said_before_the_item_that_closes_the_log(script, tmp_path, item, said):
    """A file that is closed takes nothing, and nobody is told."""
    worker = script(f"""
        import logging, threading, time
        import graceexit
        from graceexit import _runs

        _runs.TO_SAY = 60  # which are over when this test has failed

        class Slow(logging.FileHandler):
            def handle(self, record):  # before it takes its lock, for which `close` would wait
                time.sleep(0.1)
                return super().handle(record)

        logging.basicConfig(handlers=[Slow("app.log", "w")])
        graceexit.on_exit(logging.shutdown, order=1000)
        {item}
        threading.Thread(target=time.sleep, args=[0.5]).start()
        print("ready")
        while True:
            time.sleep(0.01)
    """)
    assert worker.end_by(SIGTERM) == ([], -SIGTERM)
    assert said in (tmp_path / "app.log").read_text(encoding="utf-8")


@needs_an_ender
def test_a_logger_that_a_configuration_has_disabled_is_not_the_end_of_a_line(script):
    """`dictConfig` disables each logger that there was, unless it is told not to."""
    _, lines = ended(
        script,
        """
    import logging.config

    logging.getLogger("graceexit").setLevel(logging.INFO)
    logging.config.dictConfig({"version": 1})
""".strip(),
    )
    assert_one_says(lines, ON_SIGTERM, "close_pool")


@pytest.mark.parametrize("how", ["end", "SIGINT"])
def test_the_lines_say_that_there_was_no_sigterm(script, how):
    """The program has ended by itself, or somebody has pressed Ctrl-C."""
    worker = script(
        """
        import logging, sys, time
        import graceexit

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        graceexit.on_exit(lambda: print("closed"))
        print("ready")
        try:
            while sys.argv[1] == "SIGINT":
                time.sleep(0.01)
        finally:
            sys.excepthook = lambda *_: None
        """,
        how,
    )
    worker.wait_for("ready")
    if how == "SIGINT":
        worker.send(signal.SIGINT)
    lines, _ = worker.finish()
    assert own(lines) == ["closed"]
    assert len(said(lines)) == 2
    assert all(("on Ctrl-C" in line) == (how == "SIGINT") for line in said(lines))
    assert not [line for line in lines if "SIGTERM" in line]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_each_process_says_its_own_pid(script, start_method):
    """Several workers write into one log."""
    lines, status = script(
        """
        import multiprocessing, os, sys
        import graceexit

        def child():
            graceexit.on_exit(lambda: 1 / 0)
            print("child", os.getpid(), flush=True)

        if __name__ == "__main__":
            process = multiprocessing.get_context(sys.argv[1]).Process(target=child)
            process.start()
            process.join()
        """,
        start_method,
    ).finish()
    (pid,) = [line.split()[1] for line in lines if line.startswith("child")]
    assert [line for line in lines if re.search(WHO, line) and f"[{pid}]" in line]
    assert status == 0
