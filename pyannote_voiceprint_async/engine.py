"""The steps that `client.py`, `job_operation.py`, `enrollment/` and `identification/` share.

`enrollment/` calls these steps one by one, because it records each of them in its ledger before the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import attrs

from pyannote_voiceprint_async.api import codec
from pyannote_voiceprint_async.api.endpoints import (
    IDENTIFY,
    LIST_JOBS,
    MAX_PAGE_SIZE,
    OUTPUT_LIFETIME,
    TEST_KEY,
    VOICEPRINT,
)
from pyannote_voiceprint_async.api.request_checks import check_request
from pyannote_voiceprint_async.concurrency.cancellation import raise_new_cancellation
from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.concurrency.protected_task import ProtectedTask, wait_until_done
from pyannote_voiceprint_async.concurrency.threads import LongFunctions
from pyannote_voiceprint_async.concurrency.waiters import Waiters
from pyannote_voiceprint_async.jobs import uploads
from pyannote_voiceprint_async.jobs.batch_scope import is_inside_batch, may_wait_for
from pyannote_voiceprint_async.jobs.local_audio import OpenedAudio
from pyannote_voiceprint_async.jobs.outcome import require_voiceprint
from pyannote_voiceprint_async.jobs.poller import JobPoller
from pyannote_voiceprint_async.ratelimit.limiter import RateLimiter
from pyannote_voiceprint_async.ratelimit.scheduler import PermitScheduler
from pyannote_voiceprint_async.shared.candidates import CandidateAge, candidate_age
from pyannote_voiceprint_async.transport.http import HttpClient
from pyannote_voiceprint_async.transport.pipeline import Pipeline
from pyannote_voiceprint_async.transport.request import SubmissionHooks

from .errors import ConfigurationError, JobCanceledError, JobFailedError, UnknownOutcomeError, VoiceprintError
from .event_emitter import EventEmitter
from .models import (
    IdentificationRequest,
    Job,
    JobCreated,
    JobStatus,
    JobSummary,
    KeyStatus,
    VoiceprintRequest,
    WebhookEvent,
)
from .secret import Secret
from .settings import Polling, RateLimit, RetryPolicy, Timeouts

if TYPE_CHECKING:
    from pyannote_voiceprint_async.jobs.batch_item import BatchItem
    from pyannote_voiceprint_async.jobs.batch_results import Results
    from pyannote_voiceprint_async.jobs.batch_run import BatchRun
    from pyannote_voiceprint_async.ratelimit.status import RateLimitStatus
    from pyannote_voiceprint_async.shared.connection import SharedConnection
    from pyannote_voiceprint_async.shared.submission_keys import SubmissionKeys

    from .client_stats import ClientStats

__all__ = ["Engine"]

R = TypeVar("R")

# Seconds for which a submission without a timeout waits for another one with the same key.
_IN_PROGRESS_TIMEOUT = 900.0
_MAX_CANDIDATES = 20


class Engine:
    """The steps of one client: submit, wait, upload, read and list jobs, run batches, measure time, close.

    `client.engine` is for this package only. It is not public API: it may change in any release.

    Args:
        api_key: the API key.
        base_url: the base URL of the API.
        max_concurrency: the most API requests in flight.
        max_uploads: the most media files in transfer.
        rate_limiter: grants the permits to send; several engines may share one.
        shared: the state that this client shares with other processes.
        max_queue_wait: seconds; a submission that would wait longer for the rate limit is refused, unless `submit` was
            called with a limit of its own.
        retry_policy: what is retried, and how.
        timeouts: limits of one request.
        polling: how often jobs are polled.
        webhook: the webhook URL of each submission that names none.
        proxy: URL of an HTTP proxy.
        session: a session of the user, for API requests; None creates one.
        clock: the source of time.
        events: reports what happens to `on_event` and to the log.
    """

    def __init__(  # noqa: PLR0913 - all settings of the client, by keyword
        self,
        *,
        api_key: Secret,
        base_url: str,
        max_concurrency: int,
        max_uploads: int,
        rate_limiter: RateLimiter,
        shared: SharedConnection | None,
        max_queue_wait: float | None,
        retry_policy: RetryPolicy,
        timeouts: Timeouts,
        polling: Polling,
        webhook: str | None,
        proxy: str | None,
        session: aiohttp.ClientSession | None,
        clock: Clock,
        events: EventEmitter,
    ) -> None:
        self.events = events
        self.api_key = api_key
        self.base_url = base_url
        self.max_concurrency = max_concurrency
        self.retry_policy = retry_policy
        self.timeouts = timeouts
        self.clock = clock
        self._max_queue_wait = max_queue_wait
        self._webhook = webhook
        self._upload_slots = asyncio.Semaphore(max_uploads)
        self._batches: set[BatchRun[Any]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._waiters = Waiters(clock)
        self._shared = shared
        self._pipeline = Pipeline(
            http=HttpClient(
                key=api_key, base_url=base_url, timeouts=timeouts, proxy=proxy, session=session, clock=clock
            ),
            key=api_key,
            base_url=base_url,
            rate_limiter=rate_limiter,
            retry_policy=retry_policy,
            timeouts=timeouts,
            clock=clock,
            waiters=self._waiters,
            events=self.events,
        )
        self._poller = JobPoller(self._pipeline, polling, clock, self._waiters)
        self._succeeded = self._failed = 0
        if shared is not None:
            shared.on_change = self._pipeline.refresh_permits
            shared.mailbox.awaited, shared.mailbox.on_delivery = self._poller, self._poller.deliver
            self._poller.on_wait = shared.mailbox.start_reading

    # Opening and closing

    def check_usable(self) -> None:
        """Bind the engine to the running event loop, or check that it is bound to this one.

        Raises:
            ClientClosedError: the client is closed, or belongs to another event loop.
        """
        self._pipeline.check_usable()

    async def open(self) -> None:
        """Bind the engine to the running event loop, and connect with the shared state, if there is one.

        Raises:
            ClientClosedError: see `check_usable`.
            SharedStateError: the shared state can never be used.
        """
        self.check_usable()
        if self._shared is not None:
            await self._shared.open()

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed."""
        return self._pipeline.closed

    @property
    def has_open_connections(self) -> bool:
        """Whether the client would leave connections open if it was dropped without `aclose()`."""
        return self._pipeline.http.has_open_sessions

    async def aclose(self) -> None:
        """Fail all waits, finish the submissions in flight, and close the connections. Closing twice is fine.

        Closing is bounded by `Timeouts.total`, within which each submission in flight has its response or its error. A
        caller that is cancelled meanwhile gets its `CancelledError` when the engine is closed.

        The input and the `on_submitted` of a batch of this engine may call this method too. It then only begins to
        close the engine, and returns at once: the batch cannot end while its own code waits for it. Inside a batch of
        another engine, a caller that is cancelled stops waiting at once.
        """
        if self._pipeline.is_loop_closed:
            await self._pipeline.discard()
            return
        may_wait = may_wait_for(*(batch.scope for batch in self._batches))
        self._pipeline.close()
        if self._closing is None:
            self._closing = ProtectedTask(self._close(), lambda: False)
        if not may_wait:
            return
        if is_inside_batch():
            await asyncio.wait([self._closing])
        else:
            await wait_until_done(self._closing)
        self._closing.result()

    async def _close(self) -> None:
        batches = list(self._batches)
        for batch in batches:
            batch.close()
        for batch in batches:
            await batch.aclose()
        await self._poller.aclose()
        await self._pipeline.aclose()
        if self._shared is not None:
            await self._shared.aclose()

    # Requests

    async def submit(
        self,
        request: VoiceprintRequest | IdentificationRequest,
        *,
        hooks: SubmissionHooks | None = None,
        deadline: float | None = None,
        max_queue_wait: float | None = None,
        key: str | None = None,
    ) -> JobCreated:
        """Submit a job: `POST /v1/voiceprint` or `POST /v1/identify`.

        Args:
            request: the request; without a webhook, the client's is added.
            hooks: called before each try is sent, and when a try was refused.
            deadline: time on the clock; a request that was not sent by then is not sent any more. One that was sent is
                never interrupted.
            max_queue_wait: seconds; None is the limit of the client.
            key: the submission key; see `submit_with_key`.

        Raises:
            VoiceprintError: see `outcome_unknown`: True means that the job may exist.
        """
        if key is not None:
            check_request(request)
            send = partial(self._submit_with_hooks, request, deadline, max_queue_wait)
            return await self.submit_with_key(key, request, send, hooks=hooks, deadline=deadline)
        if request.webhook is None and self._webhook is not None:
            request = attrs.evolve(request, webhook=self._webhook)
        check_request(request)
        endpoint = IDENTIFY if isinstance(request, IdentificationRequest) else VOICEPRINT
        with self.events.operate("submit" if endpoint is VOICEPRINT else "submit_identification"):
            job = await self._pipeline.send(
                endpoint,
                body=memoryview(codec.encode(request)),
                hooks=hooks,
                max_queue_wait=self._max_queue_wait if max_queue_wait is None else max_queue_wait,
                deadline=deadline,
            )
        if request.webhook is not None:
            self._poller.expect_webhook(job.job_id)
        return job

    def _submit_with_hooks(
        self,
        request: VoiceprintRequest | IdentificationRequest,
        deadline: float | None,
        max_queue_wait: float | None,
        hooks: SubmissionHooks,
    ) -> Awaitable[JobCreated]:
        return self.submit(request, hooks=hooks, deadline=deadline, max_queue_wait=max_queue_wait)

    async def submit_with_key(  # noqa: PLR0913 - called in two places, all but three by keyword
        self,
        key: str,
        request: VoiceprintRequest | IdentificationRequest,
        send: Callable[[SubmissionHooks], Awaitable[JobCreated]],
        *,
        audio_digest: str | None = None,
        hooks: SubmissionHooks | None = None,
        deadline: float | None = None,
    ) -> JobCreated:
        """Return the job of a submission key; if it has none, submit one.

        Args:
            key: the key.
            request: the request.
            send: submits the job with hooks.
            audio_digest: the SHA-256 of local audio, which stands for the URL of the request.
            hooks: the hooks of the caller.
            deadline: time on the clock until which to wait for another call with the same key; None is 15 minutes.

        Raises:
            ConfigurationError: the client has no shared state.
            InvalidRequestError: the key was used for another request.
            SharedStateError: the shared state cannot be reached; nothing was sent.
            SubmissionInProgressError: another call with the same key has not ended by the deadline.
            UnknownOutcomeError: an earlier submission with the key may have been accepted.
        """
        self.check_usable()
        try:
            return await self.keys.submit(
                key,
                request,
                send,
                audio_digest=audio_digest,
                hooks=hooks,
                deadline=self.deadline_after(_IN_PROGRESS_TIMEOUT) if deadline is None else deadline,
                sleep=self.sleep,
            )
        except UnknownOutcomeError as error:
            error.candidates = await self._candidates(request, error.sent_before)
            raise

    async def _candidates(
        self, request: VoiceprintRequest | IdentificationRequest, sent_before: float
    ) -> tuple[JobSummary, ...]:
        """Return the jobs that an earlier submission may have created, as far as they can be listed now."""
        operation = "identify" if isinstance(request, IdentificationRequest) else "voiceprint"
        earliest, latest = (now - sent_before for now in self.server_time())
        found: list[JobSummary] = []
        with suppress(VoiceprintError):
            known = await self.keys.jobs()
            async with aclosing(self.list_jobs()) as listed:
                async for summary in listed:
                    age = candidate_age(summary, operation, str(request.model), earliest, latest)
                    if age is CandidateAge.TOO_OLD or len(found) == _MAX_CANDIDATES:
                        break
                    if age is CandidateAge.POSSIBLE and summary.job_id not in known:
                        found.append(summary)
        return tuple(found)

    @property
    def keys(self) -> SubmissionKeys:
        """The submission keys of the shared state.

        Raises:
            ConfigurationError: the client has no shared state.
        """
        if self._shared is None:
            raise ConfigurationError(
                "Submission keys need a place that all calls share: pass shared= to the client, the path of a SQLite "
                "file or postgresql://…."
            )
        return self._shared.keys

    async def wait(self, job_id: str, deadline: float) -> Job:
        """Wait for a job of any kind until it has succeeded.

        Args:
            job_id: the job.
            deadline: time on the clock.

        Raises:
            JobError: the job has no result, or none by the deadline; see its subclasses.
            AccountError: the key may no longer read jobs.
        """
        with self.events.operate("wait"):
            started_at = self.clock.time()
            if self.events.is_wanted:
                from .events import JobWaitStarted  # noqa: PLC0415 - see EventEmitter

                self.events.report(JobWaitStarted, job_id)
            try:
                job = await self._poller.wait(job_id, deadline)
            except (JobFailedError, JobCanceledError) as error:
                self._failed += 1
                status = JobStatus.FAILED if isinstance(error, JobFailedError) else JobStatus.CANCELED
                self._report_job(job_id, status, started_at)
                raise
            self._succeeded += 1
            self._report_job(job_id, job.status, started_at)
            return job

    def _report_job(self, job_id: str, status: JobStatus, started_at: float) -> None:
        if self.events.is_wanted:
            from .events import JobFinished  # noqa: PLC0415 - see EventEmitter

            self.events.report(JobFinished, job_id, str(status), self.clock.time() - started_at)

    def expect_result(self, ended_at: float) -> float:
        """Estimate when the result of an awaited job arrives; see `JobPoller.expect_result`."""
        return self._poller.expect_result(ended_at)

    def expect_delay(self, job_seconds: float) -> float:
        """Estimate the seconds from the acceptance of a job to its result; see `JobPoller.expect_delay`."""
        return self._poller.expect_delay(job_seconds)

    async def wait_for_voiceprint(self, job_id: str, deadline: float) -> Job:
        """Wait for a job until it has succeeded, and check that its output holds a voiceprint.

        Raises:
            JobError: see `wait`; or the output is that of another kind of job.
        """
        return require_voiceprint(await self.wait(job_id, deadline))

    @property
    def large_outputs(self) -> LongFunctions:
        """Runs the functions that would block the event loop, because they process the turns of a long recording."""
        return self._pipeline.large_outputs

    async def upload(
        self,
        audio: OpenedAudio,
        *,
        media_url: str | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> str:
        """Upload opened audio as soon as an upload slot is free, and return its `media://` URL.

        Args:
            audio: the audio that `open_audio` opened.
            media_url: the `media://` URL to use; by default a new one.
            on_progress: called with the bytes sent and the bytes in total.

        Raises:
            MediaError: the audio cannot be read, or the storage refuses it.
        """
        with self.events.operate("upload"):
            async with self._upload_slots:
                started_at, failure = self.clock.time(), None
                try:
                    return await uploads.upload(self._pipeline, audio, media_url, on_progress)
                except BaseException as error:
                    failure = type(error).__name__
                    raise
                finally:
                    if self.events.is_wanted:
                        from .events import UploadFinished  # noqa: PLC0415 - see EventEmitter

                        self.events.report(UploadFinished, audio.size, self.clock.time() - started_at, failure)

    async def get_job(self, job_id: str) -> Job:
        """Read a job: `GET /v1/jobs/{jobId}`."""
        with self.events.operate("get_job"):
            return await self._pipeline.read_job(job_id)

    async def list_jobs(self, *, status: JobStatus | str | None = None) -> AsyncGenerator[JobSummary, None]:
        """List all jobs of the team, newest first: `GET /v2/jobs`, 100 a page.

        Args:
            status: list only jobs with this status.
        """
        query = {"limit": str(MAX_PAGE_SIZE)} | ({} if status is None else {"status": str(status)})
        seen = set()
        while True:
            with self.events.operate("list_jobs"):
                page = await self._pipeline.send(LIST_JOBS, query=query)
            for summary in page.items:
                yield summary
            # A server that repeats a cursor would keep this loop running for ever.
            if page.next_cursor is None or page.next_cursor in seen:
                return
            seen.add(page.next_cursor)
            query["cursor"] = page.next_cursor

    async def check_key(self) -> KeyStatus:
        """Check that the API accepts the key: `GET /v1/test`."""
        with self.events.operate("check_key"):
            return await self._pipeline.send(TEST_KEY)

    def process_many(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        process: Callable[[BatchItem], Awaitable[Any]],
        make_result: Callable[[int, Any, Any, Exception | None], R],
        *,
        max_in_progress: int,
        is_stable: Callable[[Any], bool] = lambda _: True,
    ) -> Results[R]:
        """Process many items at once; `Results` describes the arguments. Closing the engine closes the batch too."""
        from pyannote_voiceprint_async.jobs.batch_results import Results  # noqa: PLC0415 - only batches use it

        results = Results(
            items,
            process,
            make_result,
            read_ahead=self.max_concurrency,
            max_in_progress=max_in_progress,
            is_stable=is_stable,
            on_abandoned=self.abandon,
        )
        # Kept until its items are finished and its results read: no job is lost when the results are dropped, or when
        # the client is closed before they are read.
        self._batches.add(results.batch)
        results.batch.on_done = self._batches.discard
        return results

    def deliver(self, event: WebhookEvent) -> None:
        """Pass a verified webhook to the waits for its job, with shared state in all processes."""
        if self.events.is_wanted:
            from .events import WebhookDelivered  # noqa: PLC0415 - see EventEmitter

            self.events.emit(WebhookDelivered(0, "deliver", event.job_id, str(event.status)))
        self._poller.deliver(event)
        if self._shared is not None and not self.is_closed:
            self.check_usable()
            self._shared.mailbox.post(event)

    # Time

    def deadline_after(self, timeout: float | None) -> float:
        """Return the deadline of a timeout that begins now: a time on the clock.

        Args:
            timeout: seconds; None is as long as the output of a job can exist (24 hours).

        Raises:
            ConfigurationError: the timeout is not a number above 0.
        """
        seconds = OUTPUT_LIFETIME if timeout is None else timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ConfigurationError(f"timeout must be a number of seconds above 0, or None, not {timeout!r}.")
        return self.clock.time() + seconds

    async def sleep(self, seconds: float) -> None:
        """Sleep on the client's clock.

        Raises:
            ClientClosedError: the client was closed meanwhile.
        """
        await self._waiters.sleep(seconds)

    @property
    def scheduler(self) -> PermitScheduler:
        """The scheduler of the rate limiter, to estimate waits and to read limits."""
        return self._pipeline.rate_limiter.scheduler

    def server_time(self) -> tuple[float, float]:
        """Return the earliest and the latest time that the server's clock may show now, as UTC epoch seconds."""
        return self._pipeline.server_time()

    @property
    def has_server_time(self) -> bool:
        """Whether the last response had a `Date` header."""
        return self._pipeline.has_server_time

    # Batches, webhooks and counts

    @property
    def abandoned(self) -> tuple[JobCreated, ...]:
        """The last 1,000 accepted jobs whose caller was cancelled, or failed with an error without their `job_id`."""
        return tuple(self._pipeline.abandoned)

    def abandon(self, job: JobCreated) -> None:
        """Add a job to `abandoned`, unless it is there: its caller was cancelled or failed, but the job is billed."""
        if job not in self._pipeline.abandoned:
            self._pipeline.keep_abandoned(job)

    async def hand_over(self, job: JobCreated, cancellations: int) -> None:
        """Keep a job in `abandoned` if its caller was cancelled by `on_event`, which was called in the caller's task.

        Args:
            job: the job whose result is about to be returned.
            cancellations: the number of the caller's cancellations before the job was submitted.

        Raises:
            CancelledError: the caller was cancelled.
        """
        try:
            await raise_new_cancellation(cancellations)
        except asyncio.CancelledError:
            self.abandon(job)
            raise

    @property
    def submission_limit(self) -> RateLimit:
        """The rate limit of submissions, as far as it is known before their responses."""
        return self._pipeline.rate_limiter.scheduler.expected_limit("submissions")

    def rate_limit(self, operation: str) -> RateLimitStatus:
        """Return the state of the rate-limit window of an operation."""
        return self.scheduler.status(operation, self.clock.time())

    @property
    def stats(self) -> ClientStats:
        """Counts of requests and jobs so far."""
        from .client_stats import ClientStats  # noqa: PLC0415 - the start of a client does not use it

        pipeline = self._pipeline
        return ClientStats(
            in_flight=pipeline.rate_limiter.in_flight,
            queued=pipeline.rate_limiter.queued,
            requests=pipeline.http.requests,
            retries=pipeline.retries,
            rate_limited=pipeline.rate_limited,
            submitted=pipeline.submitted,
            succeeded=self._succeeded,
            failed=self._failed,
            abandoned=pipeline.abandoned_count,
        )
