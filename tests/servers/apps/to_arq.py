"""Put a job in flight, or say what has come of it."""

import asyncio
import os
import sys

from arq.connections import RedisSettings, create_pool
from arq.jobs import Job


async def main():
    """Put or get."""
    pool = await create_pool(RedisSettings.from_dsn(os.environ["BROKER"]))
    if sys.argv[1] == "put":
        await pool.enqueue_job("answer", _job_id="job")
    else:
        print((await Job("job", pool).status()).value)
    await pool.aclose()


asyncio.run(main())
