"""APScheduler 4 with a job: `on_apscheduler_4.py async` or `on_apscheduler_4.py sync`."""

import asyncio
import sys

import service
from apscheduler import AsyncScheduler, Scheduler


async def main():
    """Have a scheduler on the loop."""
    async with AsyncScheduler() as scheduler:
        await scheduler.add_job(service.answer_async)
        await scheduler.run_until_stopped()


if sys.argv[1] == "async":
    asyncio.run(main())
else:
    with Scheduler() as scheduler:
        scheduler.add_job(service.answer)
        scheduler.run_until_stopped()
