"""The task of the queue: the voiceprint of one speaker, stored in a table of ours.

README.md beside this file explains why this task may run any number of times without a second bill for a recording.
"""

import logging
import os
from typing import Any, cast

from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from psycopg_pool import AsyncConnectionPool

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    InvalidRequestError,
    JobCanceledError,
    JobExpiredError,
    JobFailedError,
    MediaError,
    UnknownOutcomeError,
    VoiceprintError,
)

DATABASE = os.environ["PYANNOTE_VOICEPRINT_SHARED"]

# Repeating the task after one of these would fail again, or needs a person's decision first. Other errors are repeated.
FINAL = (InvalidRequestError, MediaError, JobFailedError, JobCanceledError, JobExpiredError, UnknownOutcomeError)

TABLE = """CREATE TABLE IF NOT EXISTS speakers (
    name TEXT PRIMARY KEY, url TEXT NOT NULL, model TEXT, voiceprint TEXT, job_id TEXT, error TEXT
)"""
STORE = """INSERT INTO speakers (name, url, model, voiceprint, job_id, error)
VALUES (%(name)s, %(url)s, %(model)s, %(voiceprint)s, %(job_id)s, %(error)s)
ON CONFLICT (name) DO UPDATE SET url = excluded.url, model = excluded.model, voiceprint = excluded.voiceprint,
job_id = excluded.job_id, error = excluded.error"""

app = App(connector=PsycopgConnector(conninfo=DATABASE))
log = logging.getLogger(__name__)


@app.task(queue="voiceprints", pass_context=True, retry=RetryStrategy(max_attempts=10, exponential_wait=2))
async def make_voiceprint(context: JobContext, name: str, url: str) -> None:
    """Make the voiceprint of one speaker, and store it. The queue may run this task more than once."""
    shared = cast("dict[str, Any]", context.additional_context)  # pyright: ignore[reportUnknownMemberType]
    client: AsyncVoiceprintClient = shared["client"]
    pool: AsyncConnectionPool = shared["pool"]
    row: dict[str, str | None] = dict.fromkeys(("model", "voiceprint", "job_id", "error"))
    try:
        # The key makes a repeat harmless: it waits for the job of the first run, and submits nothing.
        voiceprint = await client.voiceprint(url, key=f"speakers/{name}")
        row |= {"model": voiceprint.model, "voiceprint": voiceprint.value, "job_id": voiceprint.job_id}
    except FINAL as error:
        row |= {"job_id": error.job_id, "error": f"{type(error).__name__}: {error}"}
    except VoiceprintError as error:
        log.warning("Repeating %s later: %s", name, error)
        raise
    async with pool.connection() as database:
        await database.execute(STORE, {"name": name, "url": url, **row})
