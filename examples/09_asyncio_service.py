"""A service on asyncio: SIGTERM and Ctrl-C cancel what `asyncio.run` runs; then the items run."""

import asyncio
import queue
import threading

import graceexit

lines = queue.SimpleQueue()


def write_for_ever():
    """Write what the tasks have to say, up to the empty line."""
    while line := lines.get():
        print(line, flush=True)


# A blocking client has a thread of its own, and the thread outlives the loop.
writer = threading.Thread(target=write_for_ever, name="writer")
writer.start()
graceexit.register(writer, stop=lambda: lines.put(""))
graceexit.on_exit(lambda: print("closed the connection", flush=True))


async def consume(number):
    """Take messages until cancelled; what is in hand then goes back."""
    try:
        while True:
            await asyncio.sleep(0.1)
            lines.put(f"handled a message in {number}")
    finally:
        lines.put(f"put a message back in {number}")


async def main():
    """Run two consumers."""
    await asyncio.gather(consume(1), consume(2))


asyncio.run(main())
