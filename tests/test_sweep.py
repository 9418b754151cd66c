"""Signals that come at each moment of an exit, one after the other."""

from __future__ import annotations

import os
from signal import SIGINT, SIGTERM

import pytest
from harness import UNMEASURED, needs_threads_at_the_end

# How many lines lie between two moments; 1 sweeps them all.
STEP = int(os.environ.get("STEP_OF_A_SWEEP", "3"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@needs_threads_at_the_end("items run on the main thread")
@pytest.mark.parametrize(
    ("when", "signum", "status"),
    [
        ("installs", "SIGINT", 0),
        ("shutdown", "SIGTERM", 0),
        ("ends", "SIGINT", 0),
        ("ends", "SIGTERM", 0),
        ("dies", "SIGTERM", -SIGTERM),
        ("dies", "SIGINT", -SIGTERM),
    ],
)
def test_a_handler_may_raise_before_any_line_of_the_exit(scenario, when, signum, status):
    """The process ends as it would have, and every item has run once."""
    sweep = scenario("sweep", when, signum, STEP, env=UNMEASURED, limit=600)
    lines, ended = sweep.finish()
    # A Ctrl-C may come before the SIGTERM has been noted, or when the exit has begun to wait for
    # others: that is what it dies of.
    statuses = {status, -SIGINT} if when in ("ends", "dies") and signum == "SIGINT" else {status}
    rounds = sum(lines.count(f"status {one}") for one in statuses)
    landed = sum(line.startswith("landed in ") for line in lines)
    assert (landed, ended) == (rounds - 1, 0)
    assert landed > 1
    for line in ("stopped", "closed", "exit function"):
        assert lines.count(line) == rounds, "\n".join(lines)
