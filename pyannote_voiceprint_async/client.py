"""The client: one short method per operation of the API."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, Unpack

import aiohttp

from pyannote_voiceprint_async.api import codec
from pyannote_voiceprint_async.api.endpoints import DEFAULT_BASE_URL
from pyannote_voiceprint_async.api.request_checks import (
    check_api_key,
    check_base_url,
    check_count,
    check_job_id,
    check_media_key,
    check_proxy,
    check_request,
    check_webhook,
)
from pyannote_voiceprint_async.concurrency.cancellation import count_cancellations
from pyannote_voiceprint_async.concurrency.clock import Clock, LoopClock
from pyannote_voiceprint_async.jobs.local_audio import LocalAudio, is_local, open_audio
from pyannote_voiceprint_async.ratelimit.limiter import RateLimiter

from . import arguments
from .engine import Engine
from .errors import MediaError
from .event_emitter import EventEmitter
from .job_operation import JobOperation, is_stable
from .job_plans import IdentificationPlan, JobPlan, VoiceprintPlan
from .models import (
    ANY_URL,
    IdentificationOptions,
    IdentificationRequest,
    Job,
    JobCreated,
    JobStatus,
    JobSummary,
    KeyStatus,
    Matching,
    Model,
    Voiceprint,
    VoiceprintRequest,
    WebhookEvent,
    hide_voiceprints,
)
from .redaction import redact_url
from .reprs import safe_repr
from .secret import hide
from .settings import Polling, RateLimits, RetryPolicy, Timeouts

if TYPE_CHECKING:
    from pyannote_voiceprint_async.jobs.batch_item import BatchItem
    from pyannote_voiceprint_async.jobs.batch_results import Results
    from pyannote_voiceprint_async.ratelimit.status import RateLimitStatus
    from pyannote_voiceprint_async.shared.state import SharedState

    from .client_stats import ClientStats
    from .events import ClientEvent
    from .identification_result.identification import Identification
    from .results import IdentificationResult, RecordingSource, Source, Submission, VoiceprintResult

__all__ = ["AsyncVoiceprintClient"]

R = TypeVar("R")

# `key=` of batches is a `Callable[[Any], str]`: for a list of paths, it may accept paths only. With a type variable for
# the items instead, mypy would reject lists of several types, such as [url, path].

# The most jobs that `voiceprint_many` waits for at once. Within the default timeout of a job, the documented rate limit
# allows 1,500 submissions.
_MAX_WAITING_JOBS = 10_000


@safe_repr
class AsyncVoiceprintClient:
    """An asyncio client for pyannoteAI's voiceprints.

    Args:
        api_key: the API key; else `PYANNOTEAI_API_KEY`, else `PYANNOTE_API_KEY` of the environment.
        base_url: the base URL of the API; else `PYANNOTEAI_BASE_URL` of the environment, else https://api.pyannote.ai.
        max_concurrency: the most API requests in flight, all operations together.
        max_uploads: the most media files in transfer at once; they occupy no API slot.
        rate_limits: the rate limits of the team; by default the documented ones, corrected by the API's headers.
        max_queue_wait: seconds; a submission that would wait longer for the rate limit fails at once with
            `QueueTooLongError`.
        retry: what is retried, and how.
        timeouts: limits of one request.
        polling: how often jobs are polled.
        webhook: the webhook URL of each submission that names none.
        proxy: URL of an HTTP proxy; else the proxy of the environment. `.netrc` is never read.
        session: your own session for API requests; the client never closes or changes it.
        rate_limiter: one rate limiter for several clients of the same team; `max_concurrency` and `rate_limits` of the
            client then have no effect.
        shared: state that all processes of the team share, above all its rate limit: the path of a SQLite file, for the
            processes of one machine; `postgresql://…`, for several machines; or a `SharedState`.
        on_event: called with each `events.ClientEvent`, in the context of the call that the event belongs to. It must
            return quickly. An exception that it raises is logged, and changes nothing. `otel.OpenTelemetryEvents` makes
            spans and metrics of the events.
        clock: the source of time, for tests.

    Raises:
        ConfigurationError: there is no API key, or a value is invalid.
    """

    def __init__(  # noqa: PLR0913 - all settings of the client, all but the first by keyword
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        max_concurrency: int = 64,
        max_uploads: int = 8,
        rate_limits: RateLimits = RateLimits(),
        max_queue_wait: float | None = None,
        retry: RetryPolicy = RetryPolicy(),
        timeouts: Timeouts = Timeouts(),
        polling: Polling = Polling(),
        webhook: str | None = None,
        proxy: str | None = None,
        session: aiohttp.ClientSession | None = None,
        rate_limiter: RateLimiter | None = None,
        shared: SharedState | str | os.PathLike[str] | None = None,
        on_event: Callable[[ClientEvent], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        # A traceback with local variables of a failing constructor must show neither the key nor a token in a URL.
        api_key, webhook, proxy, shared = hide(api_key), hide(webhook), hide(proxy), hide(shared)
        arguments.check_types(
            rate_limits=(rate_limits, RateLimits),
            retry=(retry, RetryPolicy),
            timeouts=(timeouts, Timeouts),
            polling=(polling, Polling),
        )
        if rate_limiter is not None:
            arguments.check_types(rate_limiter=(rate_limiter, RateLimiter))
        codec.prepare()
        arguments.check_queue_wait(max_queue_wait)
        arguments.check_session(session)
        arguments.check_event_hook(on_event)
        check_webhook(webhook)
        check_proxy(proxy)
        check_count("max_concurrency", max_concurrency)
        check_count("max_uploads", max_uploads)
        api_key = check_api_key(arguments.first_set(api_key, "PYANNOTEAI_API_KEY", "PYANNOTE_API_KEY"))
        base_url = check_base_url(base_url or os.environ.get("PYANNOTEAI_BASE_URL") or DEFAULT_BASE_URL)
        clock = clock or LoopClock()
        events = EventEmitter(on_event, clock.time)
        connection = None
        if shared is not None:
            # Imported only here: it needs sqlite3.
            from .shared.connection import SharedConnection  # noqa: PLC0415
            from .shared.state import SharedState  # noqa: PLC0415

            arguments.check_not_both(shared=shared, rate_limiter=rate_limiter)
            connection = SharedConnection(
                SharedState.of(shared),
                base_url=base_url,
                max_concurrency=max_concurrency,
                rate_limits=rate_limits,
                response_timeout=timeouts.total,
                clock=clock,
                events=events,
            )
            rate_limiter = connection.rate_limiter
        self.engine = Engine(
            api_key=api_key,
            base_url=base_url,
            max_concurrency=max_concurrency,
            max_uploads=max_uploads,
            rate_limiter=rate_limiter or RateLimiter(max_concurrency, rate_limits),
            shared=connection,
            max_queue_wait=max_queue_wait,
            retry_policy=retry,
            timeouts=timeouts,
            polling=polling,
            webhook=webhook,
            proxy=proxy,
            session=session,
            clock=clock,
            events=events,
        )
        """For `enrollment/`. Not public API: it may change in any release."""

    def __repr__(self) -> str:
        scheduler = self.engine.scheduler
        state = " closed" if self.engine.is_closed else ""
        return (
            f"<AsyncVoiceprintClient {redact_url(self.engine.base_url)} in_flight={scheduler.in_flight} "
            f"queued={scheduler.queued}{state}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "An AsyncVoiceprintClient cannot be pickled or copied: it holds the API key and the connections of one "
            "event loop. Pass its settings instead, and construct a client in each process, inside its event loop."
        )

    async def __aenter__(self) -> Self:
        await self.engine.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        engine = getattr(self, "engine", None)
        if engine is not None and engine.has_open_connections:
            warnings.warn(
                f"{self!r} was not closed: use `async with`, or `await client.aclose()`.",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )

    async def aclose(self) -> None:
        """Close the client. Closing twice is fine.

        Pending waits fail with `ClientClosedError`. Submissions in flight are finished within `Timeouts.total`, so that
        no job id is lost. A caller that is cancelled meanwhile, however often, gets its `CancelledError` afterwards.

        The input and the `on_submitted` of a batch of this client may call this method too. It then only begins to
        close the client, and returns at once: the batch cannot end while its own code waits for it. To wait until the
        client is closed, call it again outside of the batch.
        """
        await self.engine.aclose()

    @property
    def stats(self) -> ClientStats:
        """Counts of requests (in flight, queued, made) and of jobs (submitted, succeeded, failed, abandoned)."""
        return self.engine.stats

    @property
    def abandoned(self) -> tuple[JobCreated, ...]:
        """The last 1,000 accepted jobs whose caller was cancelled, or failed with an error without their `job_id`."""
        return self.engine.abandoned

    def rate_limit(self, operation: str) -> RateLimitStatus:
        """Return the limit of an operation, and estimates of its remaining permits and of the wait for the next one.

        With `shared=`, the estimates include the other processes while this process has permits of the operation in
        use: until a minute after its last response. The command `shared status` reads the store at any time.

        Args:
            operation: a field of `RateLimits`: `submissions`, `identify`, `media`, `job_reads`, `job_lists` or
                `key_test`.

        Raises:
            ConfigurationError: there is no such operation.
        """
        arguments.check_rate_limit_name(operation)
        return self.engine.rate_limit(operation)

    async def submit(  # noqa: PLR0913 - all but the first by keyword
        self,
        url: str | VoiceprintRequest,
        *,
        model: str = Model.PRECISION_2,
        webhook: str | None = None,
        webhook_status_only: bool = False,
        key: str | None = None,
        max_queue_wait: float | None = None,
    ) -> JobCreated:
        """Submit one voiceprint job: `POST /v1/voiceprint`. An accepted job is billed unless it fails or is canceled.

        Args:
            url: the URL of the audio, `http(s)://` or `media://`; or a `VoiceprintRequest`, whose fields then replace
                `model` and the webhook arguments.
            model: the voiceprint model.
            webhook: the URL to which the API posts the result; None is the webhook of the client.
            webhook_status_only: leave the output out of the webhook's payload.
            key: a submission key, which needs `shared=`: calls with the same key, from all processes, share one
                job. The same key with another operation, model or audio is an error.
            max_queue_wait: the longest wait for the rate limit, in seconds; None is the limit of the client.

        Raises:
            InvalidRequestError: the request is invalid, or the key was used for another one; nothing was accepted.
            SharedStateError: the shared state cannot be reached, and there is a key; nothing was sent.
            SubmissionInProgressError: another call with the same key has not ended within 15 minutes.
            UnknownOutcomeError: an earlier submission with the same key may have been accepted: see `resolve_key`.
            QueueTooLongError: the wait would exceed `max_queue_wait`; nothing was sent.
            VoiceprintError: any other error. If its `outcome_unknown` is True, the job may exist.
        """
        url, webhook = hide(url), hide(webhook)
        arguments.check_queue_wait(max_queue_wait)
        request = arguments.to_request(url, model, webhook, webhook_status_only=webhook_status_only)
        return await self._submit(request, max_queue_wait, key)

    def submit_many(
        self,
        items: Iterable[str | VoiceprintRequest] | AsyncIterable[str | VoiceprintRequest],
        *,
        model: str = Model.PRECISION_2,
        webhook: str | None = None,
        key: Callable[[Any], str] | None = None,
    ) -> Results[Submission]:
        """Submit many jobs, and yield each `Submission` as it finishes. Use it with `async with`.

        Args:
            items: URLs or requests. At most `max_concurrency` of them are read ahead.
            model: the voiceprint model for URLs; a request has its own.
            webhook: the webhook for URLs; None is the webhook of the client. A request has its own.
            key: a function that returns the submission key of an item; see `submit`.

        Raises:
            AccountError: raised once from the iteration, after the results of all requests in flight were yielded.
        """
        from .results import Submission  # noqa: PLC0415 - only batches use it

        arguments.check_batch(items)
        arguments.check_callback(key, "key")
        webhook = hide(webhook)

        async def submit(item: BatchItem) -> JobCreated:
            request = arguments.to_request(arguments.hide_url(item.value), model, webhook)
            return await self.engine.submit(request, hooks=item.hooks, key=arguments.key_of(key, item.value))

        return self.engine.process_many(items, submit, Submission, max_in_progress=self.engine.max_concurrency)

    async def submit_identification(
        self,
        url: str | IdentificationRequest,
        speakers: Mapping[str, Voiceprint | str] | None = None,
        *,
        key: str | None = None,
        max_queue_wait: float | None = None,
        **options: Unpack[IdentificationOptions],
    ) -> JobCreated:
        """Submit one identification job: `POST /v1/identify`. It is billed unless it fails or is canceled.

        Args:
            url: the URL of the recording, `http(s)://` or `media://`; or an `IdentificationRequest`, whose own fields
                then replace `speakers` and the options.
            speakers: the voiceprints by label, as for `identify`.
            key: a submission key; see `submit`.
            max_queue_wait: seconds; else the client's.
            options: the other fields of `IdentificationRequest`, such as `num_speakers=2`.

        Raises:
            InvalidRequestError: the request is invalid; nothing was accepted.
            QueueTooLongError: it would wait longer than `max_queue_wait` for the rate limit; nothing was sent.
            VoiceprintError: see `outcome_unknown`: True means that the job may exist.
        """
        url, speakers = arguments.hide_url(url), hide_voiceprints({} if speakers is None else speakers)
        options = arguments.hide_options(options)
        arguments.check_queue_wait(max_queue_wait)
        request = url if isinstance(url, IdentificationRequest) else IdentificationRequest(url, speakers, **options)
        return await self._submit(request, max_queue_wait, key)

    async def wait(self, job: str | JobCreated, *, timeout: float | None = 900.0) -> Job:  # noqa: ASYNC109 - the timeout of the job; it never cancels a request
        """Wait until a job has succeeded. The job may be of any kind, and any program may have submitted it.

        Args:
            job: the job id, or the `JobCreated` that `submit` returned.
            timeout: seconds; None waits as long as an output can exist (24 hours).

        Returns:
            The job. The output of an identification is an `IdentificationOutput`. Those of other kinds than
            identifications and voiceprints are in `output.extra`.

        Raises:
            AuthenticationError, PermissionDeniedError: the key may no longer read jobs. This ends all waits of the
                client; the jobs continue.
            JobFailedError: the job failed; `message` has the reason.
            JobCanceledError: the job was canceled.
            JobExpiredError: there is no such job, or its output is deleted.
            JobTimeoutError: the job did not finish in time; it continues.
        """
        job_id = check_job_id(job.job_id if isinstance(job, JobCreated) else job)
        return await self.engine.wait(job_id, self.engine.deadline_after(timeout))

    async def voiceprint(  # noqa: PLR0913 - the one call of most programs; all but the first by keyword
        self,
        source: Source,
        *,
        model: str = Model.PRECISION_2,
        webhook: str | None = None,
        timeout: float | None = 900.0,  # noqa: ASYNC109 - it never interrupts a submission, as `asyncio.timeout` would
        on_submitted: Callable[[JobCreated], Awaitable[None] | None] | None = None,
        max_queue_wait: float | None = None,
        key: str | None = None,
        check: bool = True,
    ) -> Voiceprint:
        """Create the voiceprint of a recording: upload it if it is local, submit it, and wait for its job.

        Args:
            source: a URL, a request, or local audio: a path, bytes, an open binary file, or
                `{"waveform": array, "sample_rate": int}` (see `audio.as_clip`). One speaker, at most 30 seconds and
                100 MiB. A `str` is always a URL. Files and arrays must not change until the job is submitted.
            model: the voiceprint model.
            webhook: a URL to which the API also posts the result; None is the webhook of the client.
            timeout: seconds for all steps together; None waits as long as an output can exist (24 hours).
            on_submitted: called (and awaited) with the job before the wait begins, for example to save the job id.
            max_queue_wait: the longest wait for the rate limit, in seconds; None is the limit of the client.
            key: a submission key; see `submit`. A repeated call uploads and submits nothing, and waits for the job.
            check: check local audio on a worker thread before the upload. Audio that is too long, under a second,
                silent, damaged or joined is refused; smaller findings are added to `warnings` of the result. Without
                the extra `[audio]`, files are uploaded unchecked. URLs are never checked.

        Raises:
            MediaError: the audio cannot be read or uploaded, or the check refused it.
            ConfigurationError: the source is a waveform, and the extra `[audio]` is not installed.
            JobError: the job has no voiceprint; `job_id` names the job.
            VoiceprintError: any other error. If its `outcome_unknown` is True, a job may exist.
        """
        source, webhook = arguments.hide_url(source), hide(webhook)
        return await self._run_alone(
            source, VoiceprintPlan(model, webhook, check), timeout, on_submitted, max_queue_wait, key
        )

    def voiceprint_many(  # noqa: PLR0913 - as `voiceprint`
        self,
        sources: Iterable[Source] | AsyncIterable[Source],
        *,
        model: str = Model.PRECISION_2,
        webhook: str | None = None,
        timeout: float | None = 900.0,
        on_submitted: Callable[[int, JobCreated], Awaitable[None] | None] | None = None,
        key: Callable[[Any], str] | None = None,
        check: bool = True,
    ) -> Results[VoiceprintResult]:
        """Create the voiceprints of many recordings, and yield each `VoiceprintResult` as it finishes.

        Use it with `async with`.

        Args:
            sources: as for `voiceprint`. At most `max_concurrency` of them are read ahead of the submissions. After a
                waveform, the next source is read when the waveform is encoded: the input may fill the same array again.
            model: the voiceprint model.
            webhook: a URL to which the API also posts the results; None is the webhook of the client.
            timeout: seconds for each job, from its submission on.
            on_submitted: called (and awaited) with the index of the source and its job, before the wait begins.
            key: a function that returns the submission key of a source; see `submit`.
            check: check local audio before the upload, as `voiceprint` does.

        Raises:
            AccountError: raised once from the iteration, after the results of all requests in flight were yielded.
        """
        from .results import VoiceprintResult  # noqa: PLC0415 - only batches use it

        arguments.check_batch(sources)
        sources, webhook = arguments.hide_items(sources), hide(webhook)
        plan = VoiceprintPlan(model, webhook, check)
        return self._run_many(sources, plan, VoiceprintResult, timeout, on_submitted, key)

    async def identify(  # noqa: PLR0913 - all fields of the request; all but the first two by keyword
        self,
        source: RecordingSource,
        speakers: Mapping[str, Voiceprint | str],
        *,
        model: str = Model.PRECISION_2,
        matching: Matching = Matching(),
        num_speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        exclusive: bool = False,
        confidence: bool = False,
        turn_level_confidence: bool = False,
        vad_sensitivity: float | None = None,
        crosstalk_sensitivity: float | None = None,
        webhook: str | None = None,
        webhook_status_only: bool = False,
        timeout: float | None = 3600.0,  # noqa: ASYNC109 - it never interrupts a submission, as `asyncio.timeout` would
        on_submitted: Callable[[JobCreated], Awaitable[None] | None] | None = None,
        max_queue_wait: float | None = None,
        key: str | None = None,
    ) -> Identification:
        """Find out who speaks when in a recording: upload it if it is local, submit it, and wait for its job.

        The recording is billed by its seconds. All arguments are checked before anything is uploaded.

        Args:
            source: a URL, or local audio: a path, bytes, an open binary file, or a waveform. At most 24 hours and 1
                GiB. A `str` is always a URL.
            speakers: 1 to 50 voiceprints, or their values, by label; `identification.Speakers.load` reads them from a
                file. A label has at most 100 characters and does not begin with `speaker_`. For more than 50, see
                `identification.identify_among`.
            model: the model of all voiceprints.
            matching: how voiceprints are assigned to diarized speakers.
            num_speakers: the number of speakers, if it is known.
            min_speakers: the least number of speakers.
            max_speakers: the largest number of speakers.
            exclusive: also return a diarization without overlaps.
            confidence: also return the confidence over time.
            turn_level_confidence: also return the confidence of each turn.
            vad_sensitivity: how readily sound counts as speech, from -5 to 5.
            crosstalk_sensitivity: how readily overlapping voices count as speech, from -5 to 5.
            webhook: the URL to which the API posts the result too; else the client's.
            webhook_status_only: leave the output out of the webhook's payload.
            timeout: seconds for all steps together; None waits as long as an output can exist (24 hours).
            on_submitted: called (and awaited) with the job before the wait: save the job id there.
            max_queue_wait: seconds; else the client's.
            key: a submission key; see `submit`. A repeated call uploads and submits nothing, and waits for the job.

        Raises:
            InvalidRequestError: an argument is invalid; `errors` lists the fields. Nothing was sent.
            MediaError: the audio cannot be read or uploaded.
            JobError: the job has no identification; `job_id` names the job.
            VoiceprintError: see `outcome_unknown`: True means that a job may exist.
        """
        source, speakers, webhook = arguments.hide_url(source), hide_voiceprints(speakers), hide(webhook)
        template = IdentificationRequest(
            ANY_URL,
            speakers,
            model=model,
            matching=matching,
            num_speakers=num_speakers,
            min_speakers=min_speakers,
            max_speakers=max_speakers,
            exclusive=exclusive,
            confidence=confidence,
            turn_level_confidence=turn_level_confidence,
            vad_sensitivity=vad_sensitivity,
            crosstalk_sensitivity=crosstalk_sensitivity,
            webhook=webhook,
            webhook_status_only=webhook_status_only,
        )
        check_request(template)
        return await self._run_alone(source, IdentificationPlan(template), timeout, on_submitted, max_queue_wait, key)

    def identify_many(
        self,
        sources: Iterable[RecordingSource] | AsyncIterable[RecordingSource],
        speakers: Mapping[str, Voiceprint | str],
        *,
        timeout: float | None = 3600.0,
        on_submitted: Callable[[int, JobCreated], Awaitable[None] | None] | None = None,
        key: Callable[[Any], str] | None = None,
        **options: Unpack[IdentificationOptions],
    ) -> Results[IdentificationResult]:
        """Find out who speaks when in many recordings, and yield each `IdentificationResult` as it finishes.

        Use it with `async with`. All recordings are compared with the same voiceprints.

        Args:
            sources: as for `identify`; read at most `max_concurrency` ahead of the submissions.
            speakers: the voiceprints by label, as for `identify`.
            timeout: seconds for each job, from its submission on.
            on_submitted: called (and awaited) with the index of the source and its job, before the wait.
            key: a function that returns the submission key of a source; see `submit`.
            options: the other fields of `IdentificationRequest`, as for `identify`.

        Raises:
            InvalidRequestError: at once: an argument is invalid.
            AccountError: from the iteration, once, when the results of all requests in flight are yielded.
        """
        from .results import IdentificationResult  # noqa: PLC0415 - only batches use it

        arguments.check_batch(sources)
        sources, speakers = arguments.hide_items(sources), hide_voiceprints(speakers)
        options = arguments.hide_options(options)
        template = IdentificationRequest(ANY_URL, speakers, **options)
        check_request(template)
        return self._run_many(sources, IdentificationPlan(template), IdentificationResult, timeout, on_submitted, key)

    def _submit(
        self, request: VoiceprintRequest | IdentificationRequest, max_queue_wait: float | None, key: str | None
    ) -> Awaitable[JobCreated]:
        key = arguments.check_submission_key(key)
        submission = self.engine.submit(request, max_queue_wait=max_queue_wait, key=key)
        return self._hand_over(submission) if self.engine.events.has_hook else submission

    async def _hand_over(self, submission: Awaitable[JobCreated]) -> JobCreated:
        cancellations = count_cancellations()
        job = await submission
        await self.engine.hand_over(job, cancellations)
        return job

    async def _run_alone(  # noqa: PLR0913, PLR0917 - called in two places
        self,
        source: Source,
        plan: JobPlan[R],
        timeout: float | None,  # noqa: ASYNC109 - it never interrupts a submission
        on_submitted: Callable[[JobCreated], Awaitable[None] | None] | None,
        max_queue_wait: float | None,
        key: str | None,
    ) -> R:
        """Run the operation of one source within a timeout for all its steps."""
        arguments.check_callback(on_submitted)
        arguments.check_queue_wait(max_queue_wait)
        self.engine.check_usable()
        operation = JobOperation(
            engine=self.engine,
            source=source,
            plan=plan,
            on_submitted=partial(arguments.run_callback, on_submitted),
            deadline=self.engine.deadline_after(timeout),
            max_queue_wait=max_queue_wait,
            key=arguments.check_submission_key(key),
            keeps_cancelled_job=True,
        )
        return await operation.run()

    def _run_many(  # noqa: PLR0913, PLR0917 - called in two places
        self,
        sources: Iterable[Source] | AsyncIterable[Source],
        plan: JobPlan[Any],
        make_result: Callable[[int, Any, Any, Exception | None], R],
        timeout: float | None,
        on_submitted: Callable[[int, JobCreated], Awaitable[None] | None] | None,
        key: Callable[[Any], str] | None,
    ) -> Results[R]:
        """Run the operations of many sources, each with a timeout from its submission on."""
        self.engine.deadline_after(timeout)  # raises before anything is sent
        arguments.check_callback(on_submitted)
        arguments.check_callback(key, "key")

        async def process(item: BatchItem) -> Any:
            async def record(job: JobCreated) -> None:
                item.record_job(job)
                await arguments.run_callback(on_submitted, item.index, job)
                item.check_stopped()

            operation = JobOperation(
                engine=self.engine,
                source=arguments.hide_url(item.value),
                plan=plan,
                on_submitted=record,
                timeout=timeout,
                hooks=item.hooks,
                key=arguments.key_of(key, item.value),
                on_encoded=item.release_value,
            )
            return await operation.run()

        return self.engine.process_many(
            sources, process, make_result, max_in_progress=_MAX_WAITING_JOBS, is_stable=is_stable
        )

    async def upload(
        self,
        source: LocalAudio,
        *,
        media_key: str | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> str:
        """Upload local audio, and return its `media://` URL. The API deletes the audio after 24 to 48 hours.

        Args:
            source: a path, bytes, an open binary file that can be rewound, or a waveform of at most 24 hours.
            media_key: the key of the audio, with or without `media://`; by default a new, unique one.
            on_progress: called with the bytes sent and the bytes in total; starts again from 0 when the upload is
                retried.

        Raises:
            MediaError: the source is no local audio, cannot be read or rewound, is empty, or changes during the upload.
            ConfigurationError: the source is a waveform, and the extra `[audio]` is not installed.
        """
        url = None if media_key is None else check_media_key(media_key)
        if not is_local(source):
            raise MediaError(
                "upload() accepts a path (pathlib.Path), bytes, an open binary file or a waveform, not "
                f"{type(source).__name__}."
            )
        self.engine.check_usable()
        async with open_audio(source) as audio:
            return await self.engine.upload(audio, media_url=url, on_progress=on_progress)

    async def resolve_key(self, key: str, *, job_id: str | None) -> None:
        """Resolve a submission key whose outcome is unknown, or free a key so that its audio can be billed again.

        Args:
            key: the key.
            job_id: the job that calls with this key return from now on; None frees the key: the next call submits.

        Raises:
            NotFoundError: this team has no such job.
            InvalidRequestError: the key is not in use.
            SubmissionInProgressError: a call is submitting the key.
            SharedStateError: the shared state cannot be reached.
        """
        arguments.check_submission_key(key)
        self.engine.check_usable()
        if job_id is not None:
            await self.engine.get_job(check_job_id(job_id))
        await self.engine.keys.resolve(key, job_id)

    async def purge_keys(self, *, older_than: float) -> int:
        """Delete the submission keys of accepted jobs, so that the shared state does not grow without end.

        Keys of unknown outcomes stay. A call with a deleted key submits again, and is billed again.

        Args:
            older_than: seconds since the job was accepted, for example `30 * 24 * 3600`.

        Returns:
            The number of deleted keys.
        """
        arguments.check_age(older_than)
        self.engine.check_usable()
        return await self.engine.keys.purge(older_than)

    def deliver(self, event: WebhookEvent) -> None:
        """Pass a verified webhook to the waits for its job, which finish at once.

        An event with an output is the result itself. After an event without an output, the job is read once. Duplicate
        events, and events for jobs that no caller waits for, do no harm. An event that arrives before the response to
        its submission is kept for a minute.

        With `shared=`, the event reaches the process that waits, whichever process receives the webhook. Only the
        status of the job is shared: the process that waits then reads the job.

        Args:
            event: the verified webhook.
        """
        self.engine.deliver(event)

    async def get_job(self, job_id: str) -> Job:
        """Read a job: `GET /v1/jobs/{jobId}`.

        Raises:
            NotFoundError: this team has no such job.
        """
        return await self.engine.get_job(check_job_id(job_id))

    def list_jobs(self, *, status: JobStatus | str | None = None) -> AsyncIterator[JobSummary]:
        """List all jobs of the team, of every kind, newest first: `GET /v2/jobs`, 100 in one request.

        Args:
            status: list only jobs with this status.
        """
        return self.engine.list_jobs(status=status)

    async def check_key(self) -> KeyStatus:
        """Check that the API accepts the key: `GET /v1/test`.

        Raises:
            AuthenticationError: the API does not accept the key.
        """
        return await self.engine.check_key()
