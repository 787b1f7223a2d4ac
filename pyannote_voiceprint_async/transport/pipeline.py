"""Send API requests: `send` → `with_retries` → `_send_with_permit` → `_send_once`.

- `with_retries` retries what may be sent again;
- `_send_with_permit` waits for a permit and a slot of the rate limiter, again after each 429;
- `_send_once` makes one HTTP request; a submission runs in a task of its own, which outlives a cancelled caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from yarl import URL

from pyannote_voiceprint_async.api import responses
from pyannote_voiceprint_async.api.endpoints import GET_JOB, Endpoint
from pyannote_voiceprint_async.api.responses import ApiResponse
from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.concurrency.threads import LongFunctions
from pyannote_voiceprint_async.concurrency.waiters import Waiters
from pyannote_voiceprint_async.errors import ClientClosedError, RateLimitError, UnexpectedResponseError, VoiceprintError
from pyannote_voiceprint_async.event_emitter import EventEmitter
from pyannote_voiceprint_async.models import Job, JobCreated
from pyannote_voiceprint_async.ratelimit.limiter import RateLimiter
from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest, PermitState
from pyannote_voiceprint_async.settings import RetryPolicy, Timeouts

from . import retry
from .http import HttpClient
from .permits import Permits, queue_too_long
from .request import ApiRequest, OutcomeHooks, SubmissionHooks
from .retry import RetriedRequest
from .server_clock import ServerClock
from .submissions import Submissions

__all__ = ["Pipeline"]

A = TypeVar("A")
C = TypeVar("C", bound=RetriedRequest)
R = TypeVar("R")


class Pipeline:
    """Sends the API requests of one client.

    Args:
        http: makes one request.
        key: the API key, which no error may show.
        base_url: the base URL of the API.
        rate_limiter: decides when a request may be sent; clients of one key may share it.
        retry_policy: the limits of retries.
        timeouts: the timeouts of one request.
        clock: the client's clock.
        waiters: the waits that end when the client is closed.
        events: reports what happens.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, by keyword
        self,
        *,
        http: HttpClient,
        key: str,
        base_url: str,
        rate_limiter: RateLimiter,
        retry_policy: RetryPolicy,
        timeouts: Timeouts,
        clock: Clock,
        waiters: Waiters,
        events: EventEmitter,
    ) -> None:
        self.http = http
        self.rate_limiter = rate_limiter
        self.retries = 0
        """The number of retries so far."""
        self.submitted = 0
        """The number of accepted jobs so far."""
        self._events = events
        self.large_outputs = LongFunctions()
        """Decodes large outputs and builds results from them, in a thread."""
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._retry_policy = retry_policy
        self._clock = clock
        self._waiters = waiters
        self._sleep = waiters.sleep
        self._urls: dict[str, URL] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server_clock = ServerClock(clock)
        self._permits = Permits(
            rate_limiter.scheduler,
            retry_policy=retry_policy,
            response_timeout=timeouts.total,
            clock=clock,
            waiters=waiters,
            events=events,
        )
        self._submissions = Submissions(self._send_submission, self._permits.cancel, events)
        retry.load_backoff()

    # Requests

    async def send(  # noqa: PLR0913 - all options of a request, by keyword
        self,
        endpoint: Endpoint[A],
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: bytes | memoryview | None = None,
        hooks: SubmissionHooks | None = None,
        max_queue_wait: float | None = None,
        deadline: float | None = None,
        once: bool = False,
        job_id: str | None = None,
    ) -> A:
        """Send a request when the rate limiter permits it, retry it where that is safe, and parse its response.

        Args:
            endpoint: the operation.
            path: the values of the fields of the path; they are percent-encoded here.
            query: the query of the URL.
            body: the JSON body.
            hooks: called around each try of a submission.
            max_queue_wait: seconds; a request that would wait longer for its permit is refused.
            deadline: a time on the client's clock. A request that is not sent by then is not sent any more; one that
                was sent is never interrupted.
            once: do not retry; a 429 is still waited for.
            job_id: the id that the job in the response must have.

        Raises:
            VoiceprintError: any error except `JobError`, `MediaError` and `WebhookError`.
        """
        self.check_usable()
        if max_queue_wait is not None:
            self._permits.refuse_long_queue(endpoint, max_queue_wait)
        url = self._url(endpoint, path, query)
        request = ApiRequest(endpoint, url, body, hooks, deadline, job_id, max_queue_wait)
        try:
            if once:
                return await self._send_with_permit(request)  # type: ignore[no-any-return]  # of the endpoint's model
            return await self.with_retries(self._send_with_permit, request)
        finally:
            self.retries += request.retries

    async def read_job(self, job_id: str) -> Job:
        """Read a job, and check that the response is about this job."""
        try:
            return await self.send(GET_JOB, path={"job_id": job_id}, job_id=job_id)
        except VoiceprintError as error:
            error.job_id = job_id
            raise

    def with_retries(self, send: Callable[[C], Awaitable[R]], request: C) -> Awaitable[R]:
        """Send a request, and retry it as the client's policy allows."""
        return retry.with_retries(
            send,
            request,
            policy=self._retry_policy,
            clock=self._clock,
            sleep=self._sleep,
            on_retry=self._report_retry,
        )

    async def _send_with_permit(self, request: ApiRequest) -> Any:
        """Wait for a permit and a slot, then send. After a 429 the request waits again, at its old position."""
        permit = self._permits.request(request)
        while True:
            if permit.state is not PermitState.GRANTED:
                await self._permits.wait(request, permit)
            self._permits.check_deadline(request, permit)
            try:
                if request.endpoint.repeatable:
                    return await self._send(request, permit)
                return await self._submissions.run(request, permit)
            except VoiceprintError as error:
                if error.retryable and request.hooks is not None:
                    request.hooks.on_refused()
                if permit.expected_wait is not None:
                    raise queue_too_long(request.endpoint, permit.expected_wait) from None
                if permit.state is PermitState.FINISHED or not isinstance(error, RateLimitError):
                    raise

    def _send_submission(self, request: ApiRequest, permit: PermitRequest) -> Coroutine[Any, Any, Any]:
        """Send a submission once. It runs in a task of its own, which outlives a cancelled caller."""
        outcome = None if request.hooks is None else request.hooks.outcome
        return self._send(request, permit) if outcome is None else self._send_and_record(request, permit, outcome)

    async def _send_and_record(self, request: ApiRequest, permit: PermitRequest, outcome: OutcomeHooks) -> Any:
        """Send a submission once, and pass its outcome to the hooks, even if its caller was cancelled."""
        try:
            job = await self._send(request, permit)
        except BaseException as error:
            await outcome.on_not_accepted(may_exist=getattr(error, "outcome_unknown", request.may_be_billed))
            raise
        await outcome.on_accepted(job)
        return job

    def _send(self, request: ApiRequest, permit: PermitRequest) -> Coroutine[Any, Any, Any]:
        """Make one HTTP request, and report it as an event if events are used."""
        return self._send_and_report(request, permit) if self._events.is_wanted else self._send_once(request, permit)

    async def _send_and_report(self, request: ApiRequest, permit: PermitRequest) -> Any:
        try:
            model = await self._send_once(request, permit)
        except BaseException as error:
            self._report_request(request, permit, getattr(error, "job_id", None), type(error).__name__)
            raise
        self._report_request(request, permit, getattr(model, "job_id", None), None)
        return model

    async def _send_once(self, request: ApiRequest, permit: PermitRequest) -> Any:
        """Make one HTTP request, parse its response, and return the permit whatever happens."""
        request.prepare()
        response: ApiResponse | None = None
        problem: VoiceprintError | None = None
        try:
            if request.hooks is not None:
                await request.hooks.before_send()
            request.begun_at = self._clock.time()
            response = await self.http.request(request)
            request.status = response.status
            return await self._parse(request, permit, response)
        except BaseException as error:
            if response is None:
                self._permits.record_no_response(request, permit)
                raise
            if isinstance(error, UnexpectedResponseError):
                await self.http.discard_connections()
            if isinstance(error, VoiceprintError) or not isinstance(error, Exception) or not request.may_be_billed:
                raise
            # A log handler of the program failed, or this package has a bug.
            problem = responses.error_after_response(request.endpoint, response, error, key=self._key)
        try:
            raise problem
        finally:
            del problem  # breaks the reference cycle of the error and this frame

    async def _parse(self, request: ApiRequest, permit: PermitRequest, response: ApiResponse) -> Any:
        """Record a response with the rate limiter and the server clock, and return its model."""
        now, wall = self._clock.time(), self._clock.wall()
        self._server_clock.record(response.headers, now, wall)
        self._permits.record_response(request, permit, response, now)
        try:
            elapsed = 0.0 if request.begun_at is None else now - request.begun_at
            decode = partial(
                responses.parse_response, request.endpoint, response, wall=wall, key=self._key, elapsed=elapsed
            )
            # The output of a long recording is decoded in a thread. A submission is decoded here: its task must not
            # end without the job id.
            is_long = request.endpoint.repeatable and response.is_large
            model = await self.large_outputs.run(decode) if is_long else decode()
        except RateLimitError as error:
            self._permits.record_refusal(request, permit, response, error)
            raise
        if isinstance(model, JobCreated):
            self.submitted += 1
        elif request.job_id is not None and model.job_id != request.job_id:
            # Without this check, a caller could get the voiceprint of another person.
            raise UnexpectedResponseError(
                f"The API returned job {model.job_id} instead of job {request.job_id}. The request can be repeated "
                "without harm.",
                retryable=True,
            )
        return model

    def _report_request(
        self, request: ApiRequest, permit: PermitRequest, job_id: str | None, error: str | None
    ) -> None:
        """Report a request that has begun, and the job that it submitted."""
        if request.begun_at is None:
            return
        from pyannote_voiceprint_async.events import JobAccepted, RequestFinished  # noqa: PLC0415 - see EventEmitter

        endpoint, now, scheduler = request.endpoint, self._clock.time(), self.rate_limiter.scheduler
        times = (permit.queue_seconds, now - request.begun_at)
        permits = (scheduler.permits_in_use(endpoint.rate_limit, now), scheduler.limit(endpoint.rate_limit))
        self._events.report(RequestFinished, endpoint.name, *times, request.status, job_id, error, *permits)
        if error is None and job_id is not None and endpoint.model is JobCreated:
            self._events.report(JobAccepted, job_id, endpoint.name, *times)

    def _report_retry(self, request: RetriedRequest, error: VoiceprintError, tries: int, wait: float) -> None:
        from pyannote_voiceprint_async.events import RequestRetried  # noqa: PLC0415 - see EventEmitter

        self._events.report(RequestRetried, str(request), tries, wait, type(error).__name__, error.status)

    def _url(self, endpoint: Endpoint[Any], path: Mapping[str, str] | None, query: Mapping[str, str] | None) -> URL:
        if path is None and query is None:
            if (known := self._urls.get(endpoint.path)) is None:
                known = self._urls[endpoint.path] = URL(f"{self._base_url}{endpoint.path}")
            return known
        quoted = {name: quote(value, safe="") for name, value in (path or {}).items()}
        return URL(f"{self._base_url}{endpoint.path.format_map(quoted)}", encoded=True).with_query(query)

    # State

    def refresh_permits(self, operation: str, *, waits_changed: bool, error: VoiceprintError | None) -> None:
        """Apply what other processes have changed in a shared window; see `Permits.refresh`."""
        self._permits.refresh(operation, waits_changed=waits_changed, error=error)

    @property
    def rate_limited(self) -> int:
        """The number of responses with status 429."""
        return self._permits.rate_limited

    @property
    def abandoned_count(self) -> int:
        """The number of accepted jobs whose caller was cancelled or failed."""
        return self._submissions.abandoned_count

    @property
    def abandoned(self) -> deque[JobCreated]:
        """The last accepted jobs whose caller was cancelled or failed."""
        return self._submissions.abandoned

    def keep_abandoned(self, job: JobCreated) -> None:
        """Keep a job whose caller was cancelled or failed: the job is billed."""
        self._submissions.keep_abandoned(job)

    @property
    def has_server_time(self) -> bool:
        """Whether the last response had a valid `Date` header."""
        return self._server_clock.is_known

    def server_time(self) -> tuple[float, float]:
        """Return the earliest and the latest UTC epoch seconds that the server's clock can show now."""
        return self._server_clock.now()

    def wall(self) -> float:
        """Return the UTC epoch seconds of this machine, from the client's clock."""
        return self._clock.wall()

    # Opening and closing

    @property
    def closed(self) -> bool:
        """Whether the client was closed."""
        return self.http.closed is not None

    @property
    def is_loop_closed(self) -> bool:
        """Whether the event loop of this client is closed, so that nothing can be awaited any more."""
        return self._loop is not None and self._loop.is_closed()

    def check_usable(self) -> None:
        """Bind the client to the running event loop, or check that it is bound to this one.

        Raises:
            ClientClosedError: the client is closed, or belongs to another event loop.
        """
        if self.closed:
            raise ClientClosedError(
                "This client is closed. A job that was accepted continues: to get its result, call wait() of another "
                "client. Close a client last: in a service, when the service shuts down (FastAPI: in its lifespan)."
            )
        loop = running_loop()
        if self._loop is None:
            self._loop = loop
            self._permits.open()
        elif self._loop is not loop:
            raise ClientClosedError(
                "This client belongs to another event loop. Create one client inside each asyncio.run(), or one in "
                "the lifespan of a service; in a notebook, create it in a cell and await it in later cells."
            )

    def close(self) -> None:
        """Refuse new requests, and fail all waits. Submissions in flight continue."""
        if not self.closed:
            self.http.closed = ClientClosedError(
                "The client was closed while this call was waiting. A job that was accepted continues: to get its "
                "result, call wait() of another client."
            )
            self._waiters.fail_all(self.http.closed)

    async def aclose(self) -> None:
        """Finish the submissions in flight, and close the connections of this client."""
        self.close()
        await self._submissions.finish()
        self._permits.close()
        await self.http.aclose()

    async def discard(self) -> None:
        """Drop the state of a client whose event loop is closed, and log the submissions that were in flight."""
        self._submissions.forget()
        self.http.closed = ClientClosedError("The event loop of this client is closed. Create a new client.")
        with suppress(RuntimeError):  # the connections belong to the closed event loop
            await self.http.aclose()
