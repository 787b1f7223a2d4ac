"""Identify recordings with a ledger: a run that can be killed at any instant, and continues."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import attrs

from pyannote_voiceprint_async.api import codec
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationRow, IdentificationStore
from pyannote_voiceprint_async.enrollment.manifest.preflight import file_digest
from pyannote_voiceprint_async.enrollment.run.outcome_resolver import OutcomeResolver
from pyannote_voiceprint_async.enrollment.run.submission_intent import SubmissionIntent
from pyannote_voiceprint_async.enrollment.run.submission_urls import is_upload_kept
from pyannote_voiceprint_async.enrollment.run.timeline import Timeline
from pyannote_voiceprint_async.errors import (
    JobCanceledError,
    JobExpiredError,
    JobFailedError,
    LedgerError,
    MediaError,
    VoiceprintError,
)
from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.job_plans import IdentificationPlan
from pyannote_voiceprint_async.jobs.batch_item import BatchItem
from pyannote_voiceprint_async.local_files import reason_of
from pyannote_voiceprint_async.models import IdentificationRequest, JobCreated
from pyannote_voiceprint_async.transport.request import SubmissionHooks
from pyannote_voiceprint_async.urls.url_identity import url_identity

__all__ = ["JobOutcome", "LedgerJob", "LedgerRun", "request_hash"]

log = logging.getLogger("pyannote_voiceprint_async")

# The types of the other jobs of the API: a listed job of such a type is no identification.
_OTHER_TYPES = frozenset({"diarize", "diarization", "voiceprint"})
# Jobs that are waited for at once.
_MAX_IN_PROGRESS = 1000


@attrs.frozen
class LedgerJob:
    """One job of a run: a recording, and one of the requests for it."""

    recording: int
    """The index of the recording."""
    source: Path | str = attrs.field(repr=False)
    request: IdentificationRequest
    row: int
    """The id of the row in the ledger."""


@attrs.frozen
class JobOutcome:
    """What became of a job in this run."""

    job: LedgerJob
    identification: Identification | None = None
    error: Exception | None = None


class LedgerRun:
    """Submits the recordings that have no job yet, and waits for all jobs.

    Args:
        client: the client.
        store: the open ledger, which the run has claimed.
        sources: the recordings.
        requests: the requests for each recording, with a placeholder as URL.
        on_submitted: awaited with the index of the recording and each job, when the job is in the ledger.
        timeout: seconds to wait for each job.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, the command
        self,
        client: AsyncVoiceprintClient,
        store: IdentificationStore,
        sources: Sequence[Path | str],
        requests: Sequence[IdentificationRequest],
        *,
        on_submitted: Callable[[int, JobCreated], Awaitable[None]],
        timeout: float,
    ) -> None:
        self.unsaved: list[tuple[int, str]] = []
        """Accepted jobs that the ledger could not save: the index of the recording, and the job id."""
        self._locks: dict[int, asyncio.Lock] = {}
        self._client = client
        self._store = store
        self._sources = sources
        self._requests = requests
        self._on_submitted = on_submitted
        self._timeout = timeout
        self._clock = client.engine.clock
        self._timeline = Timeline(client.engine.clock, client.engine.server_time)
        self._resolver = OutcomeResolver(client, store, "hold", self._timeline, other_types=_OTHER_TYPES)

    async def outcomes(self) -> AsyncGenerator[JobOutcome, None]:
        """Yield each job as it ends: first those that the ledger has results of.

        Raises:
            AccountError: the API refuses the account.
            LedgerError: the ledger cannot be used any more.
        """
        jobs = await self._read_jobs()
        await self._resolve_earlier()
        results = self._client.engine.process_many(
            jobs, self._process, lambda index, _, result, error: JobOutcome(jobs[index], result, error),
            max_in_progress=_MAX_IN_PROGRESS,
        )  # fmt: skip
        async with results:
            async for outcome in results:
                if isinstance(outcome.error, LedgerError):
                    raise outcome.error
                yield outcome

    async def _read_jobs(self) -> list[LedgerJob]:
        hashes = [request_hash(request) for request in self._requests]
        identities = [await asyncio.to_thread(_identity, source) for source in self._sources]
        keys = [
            (identity, digest, str(request.model))
            for identity in identities
            for request, digest in zip(self._requests, hashes, strict=True)
        ]
        rows = await self._store.rows(keys)
        parts = len(self._requests)
        return [
            LedgerJob(number // parts, self._sources[number // parts], self._requests[number % parts], row.id)
            for number, row in enumerate(rows)
        ]

    async def _resolve_earlier(self) -> None:
        """Resolve the submissions of unknown outcome: what was not accepted is pending again."""
        unresolved = await self._resolver.unresolved(of_earlier_runs=True)
        if unresolved:
            await self._client.check_key()  # measures the clock of the server
            seconds = max(0.0, self._resolver.seconds_left(unresolved))
            if seconds:
                log.warning(
                    "The outcome of %d submission(s) of an earlier run is unknown. In %.0f s the API cannot accept "
                    "them any more; then the run looks for their jobs.",
                    len(unresolved),
                    seconds,
                )
            await self._client.engine.sleep(seconds)
            await self._resolver.resolve(unresolved)

    async def _process(self, item: BatchItem) -> Identification:
        job = cast("LedgerJob", item.value)
        # Two files with the same content share one row, which is submitted once.
        async with self._locks.setdefault(job.row, asyncio.Lock()):
            return await self._identify(item, job)

    async def _identify(self, item: BatchItem, job: LedgerJob) -> Identification:
        row = await self._store.row(job.row)
        if row.result is not None:
            return Identification.from_dict(row.result)
        if row.state == "pending":
            row = await self._submit(item, job, row)
        if row.job_id is None or row.state == "expired":
            raise VoiceprintError(_held_message(row), outcome_unknown=row.state != "expired", job_id=row.job_id)
        item.check_stopped()
        return await self._wait(job, row)

    async def _submit(self, item: BatchItem, job: LedgerJob, row: IdentificationRow) -> IdentificationRow:
        url = await self._url_of(job, row)
        created = await self._send(item, attrs.evolve(job.request, url=url), row)
        try:
            is_new = await self._store.record_row_job(row.id, created.job_id, self._clock.wall())
        except LedgerError:
            self.unsaved.append((job.recording, created.job_id))
            raise
        item.record_job(created)
        await self._on_submitted(job.recording, created)
        return await self._store.row(row.id) if not is_new else row._replace(state="submitted", job_id=created.job_id)

    async def _send(self, item: BatchItem, request: IdentificationRequest, row: IdentificationRow) -> JobCreated:
        intent = SubmissionIntent(self._store, row, self._timeline)

        async def before_send() -> None:
            await item.before_send()
            await intent.record()

        def on_refused() -> None:
            intent.withdraw_later()
            item.record_refusal()

        hooks = SubmissionHooks(before_send, on_refused)
        try:
            return await self._client.engine.submit(request, hooks=hooks, max_queue_wait=math.inf)
        except VoiceprintError as error:
            if error.outcome_unknown:
                await intent.extend()
            elif not isinstance(error, LedgerError):
                await self._store.withdraw_intent(row)
            raise

    async def _url_of(self, job: LedgerJob, row: IdentificationRow) -> str:
        if isinstance(job.source, str):
            return job.source
        now = self._clock.wall()
        if row.media_url is not None and is_upload_kept(row.uploaded_at, now):
            return row.media_url
        url = await self._client.upload(job.source)
        await self._store.record_upload(row, url, now)
        return url

    async def _wait(self, job: LedgerJob, row: IdentificationRow) -> Identification:
        assert row.job_id is not None  # noqa: S101 - the caller has checked it
        try:
            done = await self._client.engine.wait(row.job_id, self._client.engine.deadline_after(self._timeout))
            found = await IdentificationPlan(job.request).make_result(
                done, str(job.request.model), (), self._client.engine.large_outputs
            )
        except (JobFailedError, JobCanceledError, JobExpiredError) as error:
            state = "expired" if isinstance(error, JobExpiredError) else "failed"
            await self._store.record_row_failure(row.id, state, str(error), self._clock.wall())
            raise
        result = await asyncio.to_thread(lambda: json.dumps(found.to_dict(), ensure_ascii=False))
        await self._store.record_row_result(row.id, result, self._clock.wall())
        return found


def request_hash(request: IdentificationRequest) -> str:
    """Return a hash that is equal for requests with the same fields and voiceprints, in any order of the labels."""
    ordered = attrs.evolve(request, voiceprints=dict(sorted(request.voiceprints.items())))
    return hashlib.sha256(bytes(codec.encode(ordered))).hexdigest()


def _identity(source: Path | str) -> str:
    """Return the identity of a recording, as in the list of `enroll`.

    Raises:
        MediaError: the file cannot be read.
    """
    if isinstance(source, str):
        return f"url:{url_identity(source)}"
    try:
        return f"sha256:{file_digest(source, source.stat())}"
    except OSError as exc:
        raise MediaError(f"{source} cannot be read ({reason_of(exc)}).") from None


def _held_message(row: IdentificationRow) -> str:
    if row.state == "expired":
        return (
            f"The result of job {row.job_id} expired before it was fetched. The job was billed. To submit the "
            "recording again (billed again), use another ledger."
        )
    return (
        f"{row.error or 'Its outcome is unknown.'} The recording is held, and not submitted again: look for its job "
        "with `pyannote-voiceprint jobs`. To submit it again (it may be billed twice), use another ledger."
    )
