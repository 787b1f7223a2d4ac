"""Identify recordings in a run that can be killed at any instant: the next run on its ledger continues."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import shlex
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from itertools import product
from pathlib import Path
from typing import cast

import attrs

from pyannote_voiceprint_async.api import codec
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.events import Progress
from pyannote_voiceprint_async.enrollment.ledger.identifications import (
    IdentificationKey,
    IdentificationRow,
    IdentificationStore,
)
from pyannote_voiceprint_async.enrollment.manifest.preflight import change_time_ns, file_digest
from pyannote_voiceprint_async.enrollment.manifest.rows import State
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.run.accepted_jobs import wait_for_accepted_job
from pyannote_voiceprint_async.enrollment.run.error_actions import ErrorAction, action_for
from pyannote_voiceprint_async.enrollment.run.outcome_resolver import OutcomeResolver
from pyannote_voiceprint_async.enrollment.run.state_writer import StateWriter
from pyannote_voiceprint_async.enrollment.run.submission_intent import SubmissionIntent
from pyannote_voiceprint_async.enrollment.run.submission_urls import check_unchanged, is_upload_kept
from pyannote_voiceprint_async.enrollment.run.timeline import Timeline
from pyannote_voiceprint_async.errors import (
    JobCanceledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    LedgerError,
    MediaError,
    NotFoundError,
    VoiceprintError,
)
from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.job_plans import IdentificationPlan
from pyannote_voiceprint_async.jobs.batch_item import BatchItem
from pyannote_voiceprint_async.jobs.batch_results import Results
from pyannote_voiceprint_async.local_files import reason_of
from pyannote_voiceprint_async.models import IdentificationRequest, JobCreated
from pyannote_voiceprint_async.transport.request import SubmissionHooks
from pyannote_voiceprint_async.urls.url_identity import url_identity

from .run_plan import IdentificationRunPlan, PlannedJob, plan_run

__all__ = ["JobOutcome", "LedgerJob", "LedgerRun", "UnsavedJob", "request_hash"]

log = logging.getLogger("pyannote_voiceprint_async")

# Listed jobs of these types are certainly not identifications.
_OTHER_TYPES = frozenset({"diarize", "diarization", "voiceprint"})
# The most jobs that a run submits and waits for at once.
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
    seconds: float | None = None
    """The length of the recording in seconds, if it is known."""
    facts: tuple[int, int] | None = None
    """For a file: its size in bytes and its `change_time_ns`, from when its hash was computed."""


@attrs.frozen
class JobOutcome:
    """The result or the error of a job in this run."""

    job: LedgerJob
    identification: Identification | None = None
    error: Exception | None = None


@attrs.frozen
class UnsavedJob:
    """An accepted job whose id the ledger could not save."""

    recording: int
    """The index of the recording."""
    row: IdentificationRow
    job_id: str
    seconds: float | None
    """The length of the recording in seconds, if it is known."""


class LedgerRun:
    """Submits the recordings that have no job yet, and waits for all jobs. Call `prepare` first.

    Args:
        client: the client.
        store: the open ledger, which the run has claimed.
        sources: the recordings, each with its length if that is known.
        requests: the requests for each recording, with a placeholder as URL.
        options: what to do with jobs that failed, expired, or have an unknown outcome; `adopt` is not supported.
        timeout: seconds to wait for each job.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, the command
        self,
        client: AsyncVoiceprintClient,
        store: IdentificationStore,
        sources: Sequence[tuple[Path | str, float | None]],
        requests: Sequence[IdentificationRequest],
        options: Options,
        *,
        timeout: float,
    ) -> None:
        self.unsaved: list[UnsavedJob] = []
        """Accepted jobs that the ledger could not save."""
        self.on_submitted: Callable[[int, JobCreated], Awaitable[None]] | None = None
        """Awaited with the index of the recording and each job, when the job is in the ledger."""
        self._jobs: list[LedgerJob] = []
        self._locks: dict[int, asyncio.Lock] = {}
        self._client = client
        self._store = store
        self._sources = sources
        self._requests = requests
        self._options = options
        self._timeout = timeout
        self._clock = client.engine.clock
        self._timeline = Timeline(client.engine.clock, client.engine.server_time)
        self._state = StateWriter(store, self._clock, Progress)
        self._resolver = OutcomeResolver(client, store, options.on_unknown, self._timeline, other_types=_OTHER_TYPES)

    async def prepare(self) -> IdentificationRunPlan:
        """Read the jobs from the ledger, and return the plan of the run. Nothing is sent.

        Raises:
            MediaError: a file cannot be read.
            LedgerError: the ledger cannot be used.
        """
        identities = [await asyncio.to_thread(_identity, source) for source, _ in self._sources]
        keys = self._keys([identity for identity, _ in identities])
        rows = await self._store.rows(
            keys, retry_failed=self._options.retry_failed, retry_expired=self._options.retry_expired
        )
        pairs = product(range(len(self._sources)), range(len(self._requests)))
        self._jobs = [
            LedgerJob(index, self._sources[index][0], self._requests[part], row.id, key.seconds, identities[index][1])
            for row, key, (index, part) in zip(rows, keys, pairs, strict=True)
        ]
        # By row: two files with the same content share one row, which is submitted once.
        planned = {row.id: _to_planned(job, row) for job, row in zip(self._jobs, rows, strict=True)}
        return plan_run(planned.values(), self._options, self._clock.wall())

    async def outcomes(self) -> AsyncGenerator[JobOutcome, None]:
        """Yield each job as it ends. A job whose result is in the ledger ends at once.

        Raises:
            AccountError: the API refuses the account.
            LedgerError: the ledger can no longer be used.
        """
        self._state.write()
        self._state.start()
        error: Exception | None = None
        try:
            async with aclosing(self._process_jobs()) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        except Exception as exc:
            error = exc
            raise
        finally:
            await self._save_unsaved()
            self._state.end(error)
            del error  # breaks the reference cycle of the error and this frame

    async def _process_jobs(self) -> AsyncGenerator[JobOutcome, None]:
        """Yield each job as it ends. Resolve the unknown outcomes of earlier runs first, those of this run last."""
        await self._resolve_outcomes(of_earlier_runs=True)
        unresolved: list[JobOutcome] = []
        try:
            async with aclosing(self._process_once(self._jobs)) as outcomes:
                async for outcome in outcomes:
                    if await self._has_unknown_outcome(outcome):
                        unresolved.append(outcome)
                    else:
                        yield outcome
            await self._resolve_outcomes(of_earlier_runs=False)
        except VoiceprintError:
            for outcome in unresolved:
                yield outcome
            raise
        async with aclosing(self._process_once([outcome.job for outcome in unresolved])) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def _process_once(self, jobs: Sequence[LedgerJob]) -> AsyncGenerator[JobOutcome, None]:
        # Without `on_abandoned`: the ledger keeps the jobs that this run does not wait for.
        results = Results(
            jobs,
            self._process,
            lambda index, _, result, error: JobOutcome(jobs[index], result, error),
            read_ahead=self._client.engine.max_concurrency,
            max_in_progress=_MAX_IN_PROGRESS,
        )
        async with results:
            async for outcome in results:
                if isinstance(outcome.error, LedgerError):
                    raise outcome.error
                yield outcome

    async def _has_unknown_outcome(self, outcome: JobOutcome) -> bool:
        """Return whether this run has sent the submission, and its outcome is unknown."""
        is_unknown = isinstance(outcome.error, VoiceprintError) and outcome.error.outcome_unknown
        return is_unknown and (await self._store.row(outcome.job.row)).state == State.SUBMITTING

    def _keys(self, identities: Sequence[str]) -> list[IdentificationKey]:
        """Return a key for each pair of a recording and a request."""
        hashes = [request_hash(request) for request in self._requests]
        return [
            IdentificationKey(identity, digest, str(request.model), seconds)
            for identity, (_, seconds) in zip(identities, self._sources, strict=True)
            for request, digest in zip(self._requests, hashes, strict=True)
        ]

    async def _resolve_outcomes(self, *, of_earlier_runs: bool) -> None:
        """Resolve the submissions of unknown outcome. Rows that were not accepted become pending.

        Args:
            of_earlier_runs: whether to include those that earlier runs could not resolve.
        """
        unresolved = await self._resolver.unresolved(of_earlier_runs=of_earlier_runs)
        if not unresolved:
            return
        with suppress(NotFoundError):  # a gateway may serve only the endpoints that its users need
            await self._client.check_key()  # measures the clock of the server
        seconds = max(0.0, self._resolver.seconds_left(unresolved))
        if seconds:
            log.warning(
                "The outcome of %d submission(s) is unknown. In %.0f s the API can no longer accept them; then the run "
                "searches the list of jobs for them.",
                len(unresolved),
                seconds,
            )
        await self._client.engine.sleep(seconds)
        await self._resolver.resolve(unresolved)

    async def _process(self, item: BatchItem) -> Identification:
        job = cast("LedgerJob", item.value)
        # Two files with the same content share one row: the second one waits for the result of the first.
        async with self._locks.setdefault(job.row, asyncio.Lock()):
            return await self._identify(item, job)

    async def _identify(self, item: BatchItem, job: LedgerJob) -> Identification:
        row = await self._store.row(job.row)
        if row.result is not None:
            return Identification.from_dict(row.result)
        if row.state == State.PENDING:
            row = await self._submit(item, job, row)
        if row.job_id is None or row.state != State.SUBMITTED:
            is_unknown = row.state not in (State.FAILED, State.EXPIRED)
            raise VoiceprintError(self._explain(row), outcome_unknown=is_unknown, job_id=row.job_id)
        item.check_stopped()
        return await self._wait(job, row)

    def _explain(self, row: IdentificationRow) -> str:
        """Return why a row is not submitted, and how to continue."""
        if row.state == State.FAILED:
            return f"{row.error} To submit the recording again when the cause is fixed, add --retry-failed."
        if row.state == State.EXPIRED:
            return (
                f"The result of job {row.job_id} expired before it was fetched. The job was billed. To submit the "
                "recording again (billed again), add --retry-expired."
            )
        return (
            f"{row.error or 'The outcome of the submission is unknown.'} The recording is held, and not submitted "
            "again: look for its job with `pyannote-voiceprint jobs`, and record it with `pyannote-voiceprint ledger "
            "accept "
            f"{shlex.quote(str(self._store.path))} {row.name} JOB_ID`. To submit the recording again (it may be billed "
            "twice), add --on-unknown resubmit."
        )

    async def _submit(self, item: BatchItem, job: LedgerJob, row: IdentificationRow) -> IdentificationRow:
        try:
            url = await self._url_of(job, row)
            created = await self._send(item, attrs.evolve(job.request, url=url), row)
        except VoiceprintError as error:
            if action_for(error) is ErrorAction.FAIL_ROW:
                await self._store.record_row_failure(row.id, str(error), self._clock.wall(), is_free=True)
            raise
        try:
            is_new = await self._store.record_row_job(row.id, created.job_id, self._clock.wall(), job.seconds)
        except LedgerError:
            self.unsaved.append(UnsavedJob(job.recording, row, created.job_id, job.seconds))
            raise
        item.record_job(created)
        if self.on_submitted is not None:
            await self.on_submitted(job.recording, created)
        return (
            await self._store.row(row.id) if not is_new else row._replace(state=State.SUBMITTED, job_id=created.job_id)
        )

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
        assert job.facts is not None  # noqa: S101 - `prepare` sets them for each file
        await asyncio.to_thread(check_unchanged, job.source, job.facts)
        url = await self._client.upload(job.source)
        await asyncio.to_thread(check_unchanged, job.source, job.facts)
        await self._store.record_upload(row, url, now)
        return url

    async def _wait(self, job: LedgerJob, row: IdentificationRow) -> Identification:
        assert row.job_id is not None  # noqa: S101 - a submitted row has a job
        job_id, deadline = row.job_id, self._client.engine.deadline_after(self._timeout)

        async def wait() -> Identification:
            done = await self._client.engine.wait(job_id, deadline)
            return await IdentificationPlan(job.request).make_result(
                done, str(job.request.model), (), self._client.engine.large_outputs
            )

        try:
            found = await wait_for_accepted_job(self._client, self._store, self._timeline, wait, deadline=deadline)
        except JobTimeoutError:
            raise  # the next run waits for the job
        except JobExpiredError as error:
            await self._store.record_row_expiry(row.id, str(error), self._clock.wall())
            raise
        except JobError as error:
            is_free = isinstance(error, JobFailedError | JobCanceledError)
            await self._store.record_row_failure(row.id, str(error), self._clock.wall(), is_free=is_free)
            raise
        result = await self._client.engine.large_outputs.run(lambda: json.dumps(found.to_dict(), ensure_ascii=False))
        await self._store.record_row_result(row.id, result, self._clock.wall())
        return found

    async def _save_unsaved(self) -> None:
        """Try again to write the unsaved job ids: the disk may have space again."""
        now = self._clock.wall()
        for unsaved in tuple(self.unsaved):
            with suppress(LedgerError):
                await self._store.record_row_job(unsaved.row.id, unsaved.job_id, now, unsaved.seconds)
                self.unsaved.remove(unsaved)


def request_hash(request: IdentificationRequest) -> str:
    """Return a hash that is equal for requests with the same fields and voiceprints, in any order of the labels."""
    ordered = attrs.evolve(request, voiceprints=dict(sorted(request.voiceprints.items())))
    return hashlib.sha256(bytes(codec.encode(ordered))).hexdigest()


def _identity(source: Path | str) -> tuple[str, tuple[int, int] | None]:
    """Return the identity of a recording, as `enroll` makes it, and the size and the change time of a file.

    Raises:
        MediaError: the file cannot be read.
    """
    if isinstance(source, str):
        return f"url:{url_identity(source)}", None
    try:
        found = source.stat()
        return f"sha256:{file_digest(source, found)}", (found.st_size, change_time_ns(found))
    except OSError as exc:
        raise MediaError(f"{source} cannot be read ({reason_of(exc)}).") from None


def _to_planned(job: LedgerJob, row: IdentificationRow) -> PlannedJob:
    return PlannedJob(
        is_file=isinstance(job.source, Path),
        seconds=job.seconds,
        state=row.state,
        accepted_at=row.accepted_at,
        media_url=row.media_url,
        uploaded_at=row.uploaded_at,
    )
