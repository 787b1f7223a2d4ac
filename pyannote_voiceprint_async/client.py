"""The client: one short method per thing a person wants."""

from __future__ import annotations

import asyncio
import inspect
import os
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, cast

import aiohttp
import attrs

from pyannote_voiceprint_async.api.endpoints import (
    DEFAULT_BASE_URL,
    LIST_JOBS,
    MAX_PAGE_SIZE,
    MAX_VOICEPRINT_BYTES,
    OUTPUT_LIFETIME,
    TEST_KEY,
    VOICEPRINT,
)
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
from pyannote_voiceprint_async.concurrency.clock import Clock, LoopClock, timeout_at
from pyannote_voiceprint_async.concurrency.protected_task import ProtectedTask, wait_until_done
from pyannote_voiceprint_async.concurrency.waiters import Waiters
from pyannote_voiceprint_async.jobs.batch import BatchItem, BatchRun, Results
from pyannote_voiceprint_async.jobs.poller import JobPoller, with_voiceprint
from pyannote_voiceprint_async.jobs.uploads import LocalAudio
from pyannote_voiceprint_async.ratelimit.limiter import RateLimiter
from pyannote_voiceprint_async.transport.http import HttpClient
from pyannote_voiceprint_async.transport.pipeline import Pipeline
from pyannote_voiceprint_async.transport.request import SubmissionHooks

from .api import codec
from .errors import ApiTimeoutError, ConfigurationError, MediaError
from .jobs import uploads
from .models import (
    JobCreated,
    JobStatus,
    JobSummary,
    KeyStatus,
    Model,
    Voiceprint,
    VoiceprintJob,
    VoiceprintRequest,
    WebhookEvent,
)
from .redaction import redact_url
from .reprs import safe_repr
from .results import ClientStats, Source, Submission, VoiceprintResult
from .secret import hide
from .settings import Polling, RateLimits, RetryPolicy, Timeouts

__all__ = ["AsyncVoiceprintClient"]

Items = TypeVar("Items")

# voiceprint_many keeps so many jobs waiting: more than the API's rate makes in the default timeout.
_MOST_WAITING = 10_000
# Jobs that asked for a webhook, and until when they are left to it.
_MOST_EXPECTED = 10_000


@safe_repr
class AsyncVoiceprintClient:
    """An asyncio client for pyannoteAI's voiceprints.

    Args:
        api_key: the key; else `PYANNOTEAI_API_KEY`, else `PYANNOTE_API_KEY` of the environment.
        base_url: where the API is; else `PYANNOTEAI_BASE_URL`, else https://api.pyannote.ai.
        max_concurrency: API requests in flight, all operations together.
        max_uploads: media files on the wire; they hold no API slot.
        rate_limits: the key's budgets; by default the documented ones, then what the API's headers say.
        max_queue_wait: seconds; what would queue longer for the rate limit is refused at once.
        retry: what is repeated, and how.
        timeouts: how long one request may take.
        polling: how often waiting looks.
        webhook: asked for with every submission that names none.
        proxy: an HTTP proxy; else that of the environment. `.netrc` is never read.
        session: your own session, for API requests only; it is never closed nor changed.
        throttle: one throttle for several clients of the same key; then `max_concurrency` and `rate_limits`
            are the throttle's.
        clock: time, for tests.

    Raises:
        ConfigurationError: no key, or a value that cannot work.
    """

    def __init__(  # noqa: PLR0913 - the settings of the design, all but the first by keyword
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
        throttle: RateLimiter | None = None,
        clock: Clock | None = None,
    ) -> None:
        # Tracebacks are shown with local variables: a call that fails here must show neither key nor token.
        api_key, webhook, proxy = hide(api_key), hide(webhook), hide(proxy)
        _check_kinds(
            rate_limits=(rate_limits, RateLimits),
            retry=(retry, RetryPolicy),
            timeouts=(timeouts, Timeouts),
            polling=(polling, Polling),
        )
        if throttle is not None:
            _check_kinds(throttle=(throttle, RateLimiter))
        codec.prepare()
        _check_queue_wait(max_queue_wait)
        _check_session(session)
        check_webhook(webhook)
        check_proxy(proxy)
        self._clock = clock or LoopClock()
        self._waits = Waiters(self._clock)
        self._max_concurrency = check_count("max_concurrency", max_concurrency)
        self._max_queue_wait = max_queue_wait
        self._webhook = webhook
        self._uploads = asyncio.Semaphore(check_count("max_uploads", max_uploads))
        self._works: set[BatchRun[Any]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._base_url = check_base_url(base_url or os.environ.get("PYANNOTEAI_BASE_URL") or DEFAULT_BASE_URL)
        key = check_api_key(_first(api_key, "PYANNOTEAI_API_KEY", "PYANNOTE_API_KEY"))
        self._transport = Pipeline(
            http=HttpClient(
                key=key,
                base_url=self._base_url,
                timeouts=timeouts,
                proxy=proxy,
                session=session,
                clock=self._clock,
            ),
            key=key,
            base_url=self._base_url,
            rate_limiter=throttle or RateLimiter(max_concurrency, rate_limits),
            retry_policy=retry,
            timeouts=timeouts,
            clock=self._clock,
            waiters=self._waits,
        )
        self._webhook_grace = polling.webhook_grace
        self._expecting: dict[str, float] = {}
        self._watcher = JobPoller(self._transport, polling, self._clock, self._waits)

    def __repr__(self) -> str:
        stats = self.stats
        state = " closed" if self._transport.closed else ""
        return (
            f"<AsyncVoiceprintClient {redact_url(self._base_url)} in_flight={stats.in_flight} "
            f"queued={stats.queued}{state}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "An AsyncVoiceprintClient cannot be pickled or copied: it holds connections of one event loop, and the API "
            "key. Pass on its settings instead, and make a client where it is used: one in each process, inside its "
            "event loop."
        )

    async def __aenter__(self) -> Self:
        self._transport.check_usable()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        transport = getattr(self, "_transport", None)
        if transport is not None and transport.http.has_open_sessions:
            warnings.warn(
                f"{self!r} was not closed: use `async with`, or `await client.aclose()`.",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )

    async def aclose(self) -> None:
        """Close the client. Closing twice is fine.

        What waits ends with `ClientClosedError`; submissions that are on the wire are finished, so that no job
        is left whose id nobody has. A caller that is cancelled meanwhile, however often, is cancelled afterwards.
        """
        if self._transport.is_loop_closed:
            await self._transport.discard()
            return
        self._transport.close()
        if self._closing is None:
            self._closing = ProtectedTask(self._close(), lambda: False)
        await wait_until_done(self._closing)
        self._closing.result()

    async def _close(self) -> None:
        for work in list(self._works):
            await work.aclose()
        await self._watcher.aclose()
        await self._transport.aclose()

    @property
    def stats(self) -> ClientStats:
        """What the client is doing, and has done."""
        transport = self._transport
        return ClientStats(
            in_flight=transport.rate_limiter.in_flight,
            queued=transport.rate_limiter.queued,
            requests=transport.http.requests,
            retries=transport.retries,
            rate_limited=transport.rate_limited,
        )

    @property
    def abandoned(self) -> tuple[JobCreated, ...]:
        """The last 1,000 jobs whose caller had gone when the answer came, or while it waited."""
        return tuple(self._transport.abandoned)

    async def submit(
        self,
        url: str | VoiceprintRequest,
        *,
        model: str = Model.PRECISION_2,
        webhook: str | None = None,
        webhook_status_only: bool = False,
    ) -> JobCreated:
        """Submit one voiceprint job: `POST /v1/voiceprint`. Every accepted call is a bill.

        Args:
            url: where the audio is: `http(s)://` or `media://`; or a whole request, which then has the rest.
            model: the voiceprint model.
            webhook: where the result is to be posted; else the client's.
            webhook_status_only: leave the output out of the webhook's payload.

        Raises:
            InvalidRequestError: the request is wrong; nothing was accepted.
            VoiceprintError: see `outcome_unknown`: True means that the job may exist all the same.
        """
        url, webhook = hide(url), hide(webhook)
        return await self._submit(_request(url, model, webhook, webhook_status_only=webhook_status_only))

    def submit_many(
        self, items: Iterable[str | VoiceprintRequest] | AsyncIterable[str | VoiceprintRequest]
    ) -> Results[Submission]:
        """Submit many, and give each `Submission` as it finishes. Use it with `async with`.

        Args:
            items: URLs or requests; read at most `max_concurrency` ahead.

        Raises:
            AccountError: out of the iteration, once, when all that was in flight is yielded.
        """
        _check_many(items)

        async def run(item: BatchItem) -> JobCreated:
            return await self._submit(_request(item.value), hooks=SubmissionHooks(item.before_send, item.refused))

        def result(item: BatchItem, job: Any, error: Exception | None) -> Submission:
            return Submission(item.index, item.value, job, error)

        ahead = self._max_concurrency
        return self._start(Results(items, run, result, ahead=ahead, waiting=ahead, on_left=self._keep_left))

    async def wait(self, job: str | JobCreated, *, timeout: float | None = 900.0) -> VoiceprintJob:  # noqa: ASYNC109 - it is the job's time, and never cancels a request
        """Wait for a job of any kind, of this program or another one, until it has succeeded.

        Args:
            job: its id, or what `submit` gave.
            timeout: seconds; None waits as long as an output can exist.

        Returns:
            The job. Outputs of other kinds of jobs than voiceprints are in `output.extra`.

        Raises:
            AuthenticationError, PermissionDeniedError: the key may not read jobs any more. This ends all waits of the
                client; the jobs go on.
            JobFailedError: it failed; `message` says why.
            JobCanceledError: it was canceled.
            JobExpiredError: there is no such job, or its output is gone.
            JobTimeoutError: it was not done in time; it goes on.
        """
        job_id = check_job_id(job.job_id if isinstance(job, JobCreated) else job)
        self._transport.check_usable()
        return await self._wait(job_id, self._until(timeout))

    async def voiceprint(  # noqa: PLR0913 - a person's one call; all but the first by keyword
        self,
        source: Source,
        *,
        model: str = Model.PRECISION_2,
        webhook: str | None = None,
        timeout: float | None = 900.0,  # noqa: ASYNC109 - it never interrupts a submission, as a scope around it would
        on_submitted: Callable[[JobCreated], Awaitable[None] | None] | None = None,
        max_queue_wait: float | None = None,
        check: bool = True,
    ) -> Voiceprint:
        """Turn a recording into a voiceprint: upload it if it is local, submit it, wait for it.

        Args:
            source: a URL, a request, or local audio: a path, bytes, an open binary file, or
                `{"waveform": array, "sample_rate": int}` (see `audio.as_clip`). One speaker, at most 30 seconds and
                100 MiB. A `str` is always a URL. Files and arrays must stay as they are until it is submitted.
            model: the voiceprint model.
            webhook: where the result is to be posted too.
            timeout: seconds for all of it; None waits as long as an output can exist.
            on_submitted: called (and awaited) with the job before it is waited for: keep the id there.
            max_queue_wait: seconds; else the client's.
            check: check local audio on a worker thread before it is uploaded, as the command does: audio that is too
                long, under a second, silent, damaged or joined is refused, and smaller findings are added to the
                result's `warnings`. Without the extra `[audio]`, files are uploaded unchecked. URLs are never checked.

        Raises:
            MediaError: the audio cannot be read or uploaded, or the check refused it.
            ConfigurationError: it is a waveform, and the extra `[audio]` is missing.
            JobError: the job has no voiceprint for us; `job_id` says which job.
            VoiceprintError: see `outcome_unknown`: True means that a job may exist.
        """
        source, webhook = _hidden_url(source), hide(webhook)
        _check_hook(on_submitted)
        self._transport.check_usable()
        job: JobCreated | None = None

        async def keep(created: JobCreated) -> None:
            nonlocal job
            job = created
            await _call(on_submitted, created)

        try:
            return await self._voiceprint(
                source,
                model,
                webhook,
                until=self._until(timeout),
                on_submitted=keep,
                max_queue_wait=max_queue_wait,
                check=check,
            )
        except asyncio.CancelledError:
            if job is not None:
                self._transport.keep_abandoned(job)
            raise

    def voiceprint_many(  # noqa: PLR0913 - as `voiceprint`
        self,
        sources: Iterable[Source] | AsyncIterable[Source],
        *,
        model: str = Model.PRECISION_2,
        webhook: str | None = None,
        timeout: float | None = 900.0,
        on_submitted: Callable[[int, JobCreated], Awaitable[None] | None] | None = None,
        check: bool = True,
    ) -> Results[VoiceprintResult]:
        """Turn many recordings into voiceprints, and yield each `VoiceprintResult` as it finishes. Use `async with`.

        Args:
            sources: as for `voiceprint`; read at most `max_concurrency` ahead of what is submitted. Of a waveform, the
                next source is read when it is encoded: a generator may fill the same array again and again.
            model: the voiceprint model.
            webhook: where the results are to be posted too.
            timeout: seconds for each, from when it was submitted on.
            on_submitted: called (and awaited) with the item's place in the input and its job, before it is waited for.
            check: check local audio before it is uploaded, as `voiceprint` does.

        Raises:
            AccountError: out of the iteration, once, when all that was in flight is yielded.
        """
        self._until(timeout)  # raises before anything is sent
        _check_many(sources)
        _check_hook(on_submitted)

        async def run(item: BatchItem) -> Voiceprint:
            async def submitted(job: JobCreated) -> None:
                item.submitted(job)
                await _call(on_submitted, item.index, job)

            return await self._voiceprint(
                _hidden_url(item.value),
                model,
                webhook,
                timeout=timeout,
                on_submitted=submitted,
                hooks=SubmissionHooks(item.before_send, item.refused),
                taken=item.taken,
                check=check,
            )

        def result(item: BatchItem, voiceprint: Any, error: Exception | None) -> VoiceprintResult:
            return VoiceprintResult(item.index, item.value, voiceprint, error)

        return self._start(
            Results(
                sources,
                run,
                result,
                ahead=self._max_concurrency,
                waiting=_MOST_WAITING,
                lasts=_lasts,
                on_left=self._keep_left,
            )
        )

    async def upload(
        self,
        source: LocalAudio,
        *,
        media_key: str | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> str:
        """Upload local audio and give its `media://` URL. The API deletes it after 24 to 48 hours.

        Args:
            source: a path, bytes, an open binary file that can be rewound, or a waveform, as for `voiceprint`; one that
                is only uploaded may last a day.
            media_key: its key, with or without `media://`; by default a new one, unique and flat.
            on_progress: called with the bytes sent and the bytes in total; begins anew when the upload does.

        Raises:
            MediaError: it cannot be read or rewound, is empty, or changes while it is sent.
            ConfigurationError: it is a waveform, and the extra `[audio]` is missing.
        """
        url = None if media_key is None else check_media_key(media_key)
        if not uploads.is_local(source):
            raise MediaError(
                "upload() wants a path (pathlib.Path), bytes, an open binary file or a waveform, not "
                f"{type(source).__name__}."
            )
        self._transport.check_usable()
        async with uploads.opened(source) as audio, self._uploads:
            return await uploads.upload(self._transport, audio, url, on_progress)

    def deliver(self, event: WebhookEvent) -> None:
        """Take a verified webhook: whoever waits for its job finishes at once.

        With an output it is the answer itself; without, the job is read once. Deliveries that come twice, or for
        jobs that nobody waits for, do no harm. One that overtakes the answer to its own submission is kept for a
        minute.

        Args:
            event: what `webhooks.verify_webhook` gave.
        """
        if event.status.is_terminal:
            self._expecting.pop(event.job_id, None)
        self._watcher.deliver(event)

    async def get_job(self, job_id: str) -> VoiceprintJob:
        """Read a job: `GET /v1/jobs/{jobId}`.

        Raises:
            NotFoundError: there is no such job in this team.
        """
        return await self._transport.read_job(check_job_id(job_id))

    async def list_jobs(self, *, status: JobStatus | str | None = None) -> AsyncIterator[JobSummary]:
        """List all jobs of the team, of every kind, newest first: `GET /v2/jobs`, 100 in one request.

        Args:
            status: only those that stand there.
        """
        query = {"limit": str(MAX_PAGE_SIZE)} | ({} if status is None else {"status": str(status)})
        seen = set()
        while True:
            page = await self._transport.send(LIST_JOBS, query=query)
            for summary in page.items:
                yield summary
            # A cursor that comes twice would go round forever.
            if page.next_cursor is None or page.next_cursor in seen:
                return
            seen.add(page.next_cursor)
            query["cursor"] = page.next_cursor

    async def check_key(self) -> KeyStatus:
        """Ask the API whether it knows the key: `GET /v1/test`.

        Raises:
            AuthenticationError: it does not.
        """
        return await self._transport.send(TEST_KEY)

    async def _voiceprint(  # noqa: PLR0913 - what `voiceprint` and `voiceprint_many` have in common
        self,
        source: Source,
        model: str,
        webhook: str | None,
        *,
        until: float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the wait's, as in `voiceprint`
        on_submitted: Callable[[JobCreated], Awaitable[None]],
        hooks: SubmissionHooks | None = None,
        taken: Callable[[], None] | None = None,
        max_queue_wait: float | None = None,
        check: bool,
    ) -> Voiceprint:
        request, warnings = await self._requested(source, model, webhook, until, taken, check=check)
        job = await self._submit(request, hooks=hooks, until=until, max_queue_wait=max_queue_wait)
        try:
            await on_submitted(job)
            done = await self._wait_for_voiceprint(job.job_id, self._until(timeout) if until is None else until)
        except Exception as error:
            if getattr(error, "job_id", None) is None:
                self._transport.keep_abandoned(job)
                error.add_note(f"The job is {job.job_id}; wait() picks it up.")
            raise
        return Voiceprint.from_job(done, request.model, *warnings, job.warning)

    async def _requested(  # noqa: PLR0913 - what `_voiceprint` has
        self,
        source: Source,
        model: str,
        webhook: str | None,
        until: float | None,
        taken: Callable[[], None] | None,
        *,
        check: bool,
    ) -> tuple[VoiceprintRequest, tuple[str, ...]]:
        if not uploads.is_local(source):
            return _request(source, model, webhook), ()
        async with uploads.opened(cast("LocalAudio", source), is_voice=check) as audio:
            if taken is not None and not _lasts(source):
                taken()
            if audio.size > MAX_VOICEPRINT_BYTES:
                raise MediaError(
                    f"The audio has {audio.size / 2**20:.0f} MiB; a voiceprint takes at most 100 MiB and 30 seconds."
                )
            url: str | None = None
            warnings: tuple[str, ...] = ()
            with suppress(TimeoutError):
                async with timeout_at(self._clock, until):
                    # A waveform was checked when it was encoded.
                    warnings = await audio.check() if check and not isinstance(source, Mapping) else ()
                    async with self._uploads:
                        url = await uploads.upload(self._transport, audio, None, None)
            if url is None:
                # Not out of an `except`: the frames of its context hold the presigned URL.
                raise ApiTimeoutError("The audio was not uploaded in time; nothing was submitted.", retryable=True)
        return _request(url, model, webhook), warnings

    async def _submit(
        self,
        request: VoiceprintRequest,
        *,
        hooks: SubmissionHooks | None = None,
        until: float | None = None,
        max_queue_wait: float | None = None,
    ) -> JobCreated:
        if request.webhook is None and self._webhook is not None:
            request = attrs.evolve(request, webhook=self._webhook)
        check_request(request)
        job = await self._transport.send(
            VOICEPRINT,
            body=memoryview(codec.encode(request)),
            hooks=hooks,
            max_queue_wait=self._max_queue_wait if max_queue_wait is None else max_queue_wait,
            deadline=until,
        )
        if request.webhook is not None:
            self._expecting[job.job_id] = self._clock.time() + self._webhook_grace
            if len(self._expecting) > _MOST_EXPECTED:
                del self._expecting[next(iter(self._expecting))]
        return job

    async def _wait(self, job_id: str, until: float) -> VoiceprintJob:
        grace = self._expecting.get(job_id, 0.0) - self._clock.time()
        return await self._watcher.wait(job_id, until, grace=max(0.0, grace))

    async def _wait_for_voiceprint(self, job_id: str, until: float) -> VoiceprintJob:
        return with_voiceprint(await self._wait(job_id, until))

    def _until(self, timeout: float | None) -> float:
        seconds = OUTPUT_LIFETIME if timeout is None else timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ConfigurationError(f"timeout must be seconds above zero, or None, not {timeout!r}.")
        return self._clock.time() + seconds

    def _start(self, results: Results[Items]) -> Results[Items]:
        # Held until they are over: what was sent must be finished, even when nobody holds the results.
        self._works.add(results.work)
        results.work.on_over = self._works.discard
        return results

    def _keep_left(self, job: JobCreated) -> None:
        if job not in self._transport.abandoned:
            self._transport.keep_abandoned(job)


def _request(
    source: Any,
    model: str = Model.PRECISION_2,
    webhook: str | None = None,
    *,
    webhook_status_only: bool = False,
) -> VoiceprintRequest:
    if isinstance(source, VoiceprintRequest):
        return source
    return VoiceprintRequest(source, model, webhook, webhook_status_only)


def _hidden_url(source: Any) -> Any:
    """Hide a URL from tracebacks; audio in memory stays as it is."""
    return hide(source) if isinstance(source, str) else source


async def _call(hook: Callable[..., Awaitable[None] | None] | None, *arguments: object) -> None:
    given = None if hook is None else hook(*arguments)
    if inspect.isawaitable(given):
        await given


def _lasts(source: object) -> bool:
    """Whether it stays as it is. An array may be filled anew by whoever gave it, once it is encoded."""
    return not isinstance(source, Mapping)


def _check_hook(hook: object) -> None:
    if hook is not None and not callable(hook):
        raise TypeError(f"on_submitted must be a function, not {type(hook).__name__}.")


def _check_many(items: object) -> None:
    if isinstance(items, str | bytes | Mapping):
        raise TypeError("Give a list of sources, or another iterable of them; a single one goes into a list too.")


def _first(given: str | None, *variables: str) -> str | None:
    if given is not None:
        return given
    return next((value for name in variables if (value := os.environ.get(name))), None)


def _check_kinds(**settings: tuple[object, type]) -> None:
    for name, (value, kind) in settings.items():
        if not isinstance(value, kind):
            raise ConfigurationError(f"{name} must be a {kind.__name__}, not {value!r}.")


def _check_queue_wait(seconds: object) -> None:
    if seconds is not None and (not isinstance(seconds, int | float) or not seconds >= 0):
        raise ConfigurationError(f"max_queue_wait must be seconds from 0 on, or None, not {seconds!r}.")


def _check_session(session: aiohttp.ClientSession | None) -> None:
    if session is None:
        return
    _check_kinds(session=(session, aiohttp.ClientSession))
    if session.auth is not None or "Authorization" in session.headers:
        raise ConfigurationError(
            "The session has an Authorization of its own, which would meet the API key. Give a session without it."
        )
