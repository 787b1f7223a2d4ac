"""A worker that makes voiceprints from a task queue: procrastinate, on the PostgreSQL that also has the shared state.

Run any number of workers, on any number of machines: `python worker.py`.

Set PYANNOTEAI_API_KEY, and PYANNOTE_VOICEPRINT_SHARED=postgresql://… in the environment.
"""

import asyncio
import logging
import os

from psycopg_pool import AsyncConnectionPool
from tasks import DATABASE, app

from pyannote_voiceprint_async import AsyncVoiceprintClient

CONCURRENCY = 32
HEARTBEAT = float(os.environ.get("WORKER_HEARTBEAT", "10"))  # seconds; a worker that misses three has ended

logging.basicConfig(level=logging.WARNING)


async def repeat_tasks_of_ended_workers() -> None:
    """Return the tasks of killed workers to the queue."""
    while True:
        await asyncio.sleep(HEARTBEAT)
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=3 * HEARTBEAT):
            await app.job_manager.retry_job(job)


async def main() -> None:
    """Run one worker until SIGINT or SIGTERM."""
    async with (
        app.open_async(),
        AsyncConnectionPool(DATABASE, min_size=1, open=False) as pool,
        AsyncVoiceprintClient(shared=DATABASE) as client,
    ):
        repeating = asyncio.create_task(repeat_tasks_of_ended_workers())
        try:
            await app.run_worker_async(
                queues=["voiceprints"],
                concurrency=CONCURRENCY,
                additional_context={"client": client, "pool": pool},
                update_heartbeat_interval=HEARTBEAT,
                stalled_worker_timeout=3 * HEARTBEAT,
                delete_jobs="successful",
            )
        finally:
            repeating.cancel()


if __name__ == "__main__":
    asyncio.run(main())
