"""The send ladder. Each rung adds one thing.

`send` opens the way → `repeat` repeats what may be repeated → `_send_throttled` waits for a place and a slot →
`_submit` gives a submission a task of its own → `_exchange` makes one exchange of it over the wire, and settles its
turn whatever happens.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

from yarl import URL

from pyannote_voiceprint_async.api import rate_limit_headers, responses
from pyannote_voiceprint_async.api.endpoints import GET_JOB, Endpoint
from pyannote_voiceprint_async.api.responses import ApiResponse
from pyannote_voiceprint_async.concurrency.clock import Clock, Timer, timeout_at
from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.concurrency.protected_task import ProtectedTask, wait_until_done
from pyannote_voiceprint_async.concurrency.waiters import Waiters
from pyannote_voiceprint_async.errors import (
    ApiTimeoutError,
    ClientClosedError,
    QueueTooLongError,
    RateLimitError,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.models import JobCreated, VoiceprintJob
from pyannote_voiceprint_async.ratelimit.limiter import PermitRequest, RateLimiter
from pyannote_voiceprint_async.ratelimit.wait_queue import PermitState
from pyannote_voiceprint_async.settings import RetryPolicy, Timeouts

from . import retry as retry_rules
from .http import HttpClient
from .request import ApiRequest, SubmissionHooks
from .retry import Attempted, exponential

__all__ = ["Pipeline"]

log = logging.getLogger("pyannote_voiceprint_async")

A = TypeVar("A")
C = TypeVar("C", bound=Attempted)
R = TypeVar("R")

_REFUSED = 429
# `Date` has whole seconds.
_DATE_STEP = 1.0
_REMEMBERED = 1000


class Pipeline:
    """Everything between a method of the client and the wire.

    Args:
        http: makes one exchange.
        key: the API key, to keep it out of messages.
        base_url: where the API is.
        rate_limiter: who may send now; clients of one key may share it.
        retry_policy: what is repeated, and how.
        timeouts: how long one request may take.
        clock: time.
        waiters: everything that merely waits.
    """

    def __init__(  # noqa: PLR0913 - put together in one place, by keyword
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
    ) -> None:
        self.retries = self.rate_limited = 0
        self.abandoned: deque[JobCreated] = deque(maxlen=_REMEMBERED)
        self.rate_limiter = rate_limiter
        self.http = http
        self.key = key
        self._base_url = base_url.rstrip("/")
        self.retry_policy = retry_policy
        self.timeouts = timeouts
        self._clock = clock
        self._waiters = waiters
        self._urls: dict[str, URL] = {}
        self._heard: tuple[Mapping[str, str], float, float] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: Timer | None = None
        self._submissions: set[asyncio.Task[None]] = set()
        retry_rules.prepare()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.http.closed is not None

    async def send(  # noqa: PLR0913 - the one door of the ladder
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
        """Make a call: wait for its turn, send it, repeat it where that does no harm, read its answer.

        Args:
            endpoint: what is asked.
            path: what is filled into the path; it is quoted here.
            query: what is asked for in the query.
            body: the JSON to be sent.
            hooks: called around each try of a submission.
            max_queue_wait: seconds; a longer queue is refused at once.
            deadline: on the client's clock; a request that has not begun by then is not sent any more. One
                that has begun is never interrupted by it.
            once: do not repeat it; a 429 is waited for all the same.
            job_id: the job that the response must be about.

        Raises:
            VoiceprintError: any of the tree but `JobError`, `MediaError` and `WebhookError`.
        """
        self.check_usable()
        if max_queue_wait is not None:
            self._refuse_long_queue(endpoint, max_queue_wait)
        call = ApiRequest(endpoint, self._url(endpoint, path, query), body, hooks, deadline, job_id)
        call.max_queue_wait = max_queue_wait
        try:
            if once:
                return await self._send_throttled(call)  # type: ignore[no-any-return]  # the table says which it is
            return await self.with_retries(self._send_throttled, call)
        finally:
            self.retries += call.retries

    async def read_job(self, job_id: str) -> VoiceprintJob:
        """Read a job, and make sure that it is this one."""
        try:
            return await self.send(GET_JOB, path={"job_id": job_id}, job_id=job_id)
        except VoiceprintError as error:
            error.job_id = job_id
            raise

    def server_time(self) -> tuple[float, float]:
        """Give the time of the server as UTC epoch seconds: no earlier than the first, no later than the second.

        It is measured from the `Date` of the last answer, by both of our clocks: one stands still while a laptop
        sleeps, the other jumps when it is set. Before any answer it is this machine's clock.
        """
        told = self._told_date()
        if self._heard is None or told is None:
            return (self._clock.wall(), self._clock.wall())
        _, time, wall = self._heard
        passed = self._clock.time() - time, self._clock.wall() - wall
        return told + min(passed), told + max(passed) + _DATE_STEP

    def wall(self) -> float:
        """Return UTC epoch seconds of this machine, by the client's clock."""
        return self._clock.wall()

    @property
    def has_server_time(self) -> bool:
        """Whether the last answer said what time it is."""
        return self._told_date() is not None

    async def with_retries(self, send: Callable[[C], Awaitable[R]], call: C) -> R:
        """Send a call, and repeat what may be repeated, by the client's policy and clock."""
        return await retry_rules.with_retries(
            send, call, policy=self.retry_policy, clock=self._clock, sleep=self._waiters.sleep
        )

    def check_usable(self) -> None:
        """Make sure that the client may be used here and now.

        Raises:
            ClientClosedError: it is closed, or belongs to another event loop.
        """
        if self.closed:
            raise ClientClosedError(
                "This client is closed. Make a new one, or close it later: in a service, when the service shuts "
                "down (FastAPI: in its lifespan)."
            )
        loop = running_loop()
        if self._loop is None:
            self._loop = loop
            self.rate_limiter.sharers.add(self._arm_timer)
        elif self._loop is not loop:
            raise ClientClosedError(
                "This client belongs to another event loop. Make one client inside each asyncio.run(), or one in "
                "the lifespan of a service; in a notebook, make it in a cell and await it in the cells after it."
            )

    @property
    def is_loop_closed(self) -> bool:
        """Whether the event loop that it was used in is closed: nothing of it can run any more."""
        return self._loop is not None and self._loop.is_closed()

    async def discard(self) -> None:
        """Close what is left of a client whose event loop is closed, and report what was on the wire."""
        if self._submissions:
            log.warning(
                "The event loop was closed while %d submission(s) were on the wire. They may have been accepted: look "
                "at list_jobs() before you repeat them. Close a client before its event loop ends.",
                len(self._submissions),
            )
            self._submissions.clear()
        self.http.closed = ClientClosedError("The event loop of this client is closed. Make a new client.")
        with suppress(RuntimeError):  # its connections belong to the loop; the system closes them
            await self.http.aclose()

    def close(self) -> None:
        """Let nothing new begin, and end what merely waits."""
        if not self.closed:
            self.http.closed = ClientClosedError(
                "The client was closed while this call was waiting. A job that was accepted goes on: wait() on another "
                "client picks it up."
            )
            self._waiters.fail_all(self.http.closed)

    async def aclose(self) -> None:
        """Let submissions that were sent finish, and close our own connections."""
        self.close()
        while self._submissions:
            await wait_until_done(*self._submissions)
        if self._timer is not None:
            self._timer.cancel()
        # The timer may have been what others of this throttle waited for.
        self.rate_limiter.sharers.discard(self._arm_timer)
        for arm_timer in list(self.rate_limiter.sharers):
            arm_timer()
        await self.http.aclose()

    # The ladder

    async def _send_throttled(self, call: ApiRequest) -> Any:
        """Wait for a place and a slot. The wait of a 429 belongs here too: the turn keeps its number."""
        exchange = self._exchange if call.endpoint.repeatable else self._submit
        turn = self.rate_limiter.ask(
            call.endpoint.rate_limit,
            self._clock.time(),
            call.notify,
            max_queue_wait=math.inf if call.max_queue_wait is None else call.max_queue_wait,
            max_elapsed=self.retry_policy.max_elapsed,
        )
        while True:
            if turn.stage is not PermitState.GRANTED:
                await self._until_granted(call, turn)
            if call.deadline is not None and self._clock.time() >= call.deadline:
                self._leave(turn)
                raise _too_late(call.endpoint)
            try:
                return await exchange(call, turn)
            except VoiceprintError as error:
                if error.retryable and call.hooks is not None:
                    call.hooks.on_refused()
                if turn.expected_wait is not None:
                    raise _queue_too_long(call.endpoint, turn.expected_wait) from None
                if turn.stage is PermitState.OVER or not isinstance(error, RateLimitError):
                    raise

    async def _until_granted(self, call: ApiRequest, turn: PermitRequest) -> None:
        try:
            self._refuse_long_pause(call.endpoint)
            call.future = self._waiters.create_future()
            self._arm_timer()
            async with timeout_at(self._clock, call.deadline):
                await call.future
        except TimeoutError:
            self._leave(turn)
            raise _too_late(call.endpoint) from None
        except BaseException:
            self._leave(turn)
            raise
        finally:
            call.future = None

    async def _submit(self, call: ApiRequest, turn: PermitRequest) -> Any:
        """Make a submission in a task of its own, which goes on when the caller leaves: a job may have been accepted.

        The caller waits for a future, so that cancelling the caller cancels nothing else.
        """
        outcome = call.outcome = asyncio.get_running_loop().create_future()
        task = ProtectedTask(self._run_submission(call, turn), call.withdraw)
        if not task.done():
            self._submissions.add(task)
            task.add_done_callback(self._submissions.discard)
        try:
            return await outcome
        except asyncio.CancelledError:
            call.outcome = None
            if call.withdraw():
                # Nothing was sent: leave when everything that was begun for it has been undone.
                task.cancel()
                await wait_until_done(task)
                self._leave(turn)  # also when the task was cancelled before its first step
            elif outcome.done() and not outcome.cancelled():
                # The caller was cancelled in the moment in which the outcome came.
                error = outcome.exception()
                self._keep_outcome(turn, error, None if error else outcome.result())
            raise
        finally:
            # Errors hold their frames, and must not be held by them.
            call.outcome = error = None
            del outcome

    async def _run_submission(self, call: ApiRequest, turn: PermitRequest) -> None:
        try:
            job = await self._exchange(call, turn)
        except asyncio.CancelledError:
            if call.outcome is not None:
                call.outcome.cancel()
        except Exception as error:  # noqa: BLE001 - it is the caller's
            if call.outcome is None or call.outcome.done():
                self._keep_outcome(turn, error, None)
            else:
                call.outcome.set_exception(error)
        except BaseException:
            if call.outcome is not None:
                call.outcome.cancel()
            raise
        else:
            if call.outcome is None or call.outcome.done():
                self._keep_outcome(turn, None, job)
            else:
                call.outcome.set_result(job)

    def _keep_outcome(self, turn: PermitRequest, error: BaseException | None, job: JobCreated | None) -> None:
        """Keep what came of a submission whose caller has left."""
        self._leave(turn)
        if job is not None:
            self.keep_abandoned(job)
        elif getattr(error, "outcome_unknown", False):
            log.warning("A submission whose caller had gone ended without an answer. %s", error)

    def keep_abandoned(self, job: JobCreated) -> None:
        """Keep a job whose caller has gone: it is paid for."""
        self.abandoned.append(job)
        log.warning("Job %s was accepted, but its caller went or failed. It is kept in client.abandoned.", job.job_id)

    async def _exchange(self, call: ApiRequest, turn: PermitRequest) -> Any:
        """Make one request, read one answer, and settle the turn whatever happens."""
        call.prepare()
        answer: ApiResponse | None = None
        problem: VoiceprintError | None = None
        try:
            if call.hooks is not None:
                await call.hooks.before_send()
            answer = await self.http.request(call)
            return self._settle(call, turn, answer)
        except BaseException as error:
            if answer is None:
                self._settle_without_answer(call, turn)
                raise
            if isinstance(error, UnexpectedResponseError):
                await self.http.discard_connections()
            if isinstance(error, VoiceprintError) or not isinstance(error, Exception) or not call.may_be_billed:
                raise
            # A defect, or a log handler of the program.
            problem = responses.error_after_response(call.endpoint, answer, error)
        try:
            raise problem
        finally:
            del problem  # else the error and this frame keep each other alive

    def _settle(self, call: ApiRequest, turn: PermitRequest, answer: ApiResponse) -> Any:
        limit = rate_limit_headers.limit(answer.headers)
        now, wall = self._clock.time(), self._clock.wall()
        self._heard = (answer.headers, now, wall)
        if answer.status != _REFUSED:
            left = rate_limit_headers.remaining(answer.headers)
            if self.rate_limiter.answered(turn, now, limit, left):
                self._refuse_overdue(call.endpoint, now)
            if self.rate_limiter.queued:
                self._arm_timer()
        try:
            model = responses.parse_response(call.endpoint, answer, wall=wall, key=self.key)
        except RateLimitError as error:
            self._settle_refused(call, turn, error, limit)
            raise
        if isinstance(model, JobCreated):
            log.info("Job %s was accepted.", model.job_id)
        elif call.job_id is not None and model.job_id != call.job_id:
            # A voiceprint of somebody else is worse than none.
            raise UnexpectedResponseError(
                f"Asked for job {call.job_id}, the API answered with job {model.job_id}. It may be repeated without "
                "harm.",
                retryable=True,
            )
        return model

    def _settle_refused(self, call: ApiRequest, turn: PermitRequest, error: RateLimitError, limit: int | None) -> None:
        self.rate_limited += 1
        now, budget = self._clock.time(), call.endpoint.rate_limit
        wait = error.retry_after
        if wait is None:
            wait = exponential(self.retry_policy, self.rate_limiter.refusals(budget) + 1)
        if self.rate_limiter.refused(turn, now, wait, limit):
            log.warning("The API asks for a pause of %.0f s in %s.", wait, budget)
        if wait > self.retry_policy.max_retry_after:
            self.rate_limiter.leave(turn, now)
            self.rate_limiter.dismiss(budget, error)
        else:
            self._refuse_overdue(call.endpoint, now)
        self._arm_timer()

    def _refuse_overdue(self, endpoint: Endpoint[Any], now: float) -> None:
        """Refuse at once those in line that would now wait longer than they may."""
        for turn in self.rate_limiter.overdue(endpoint.rate_limit, now):
            if turn.expected_wait is not None:
                turn.notify(_queue_too_long(endpoint, turn.expected_wait))
            else:
                turn.notify(_refused_too_long(endpoint, self.rate_limiter.pause_left(endpoint.rate_limit, now)))

    def _settle_without_answer(self, call: ApiRequest, turn: PermitRequest) -> None:
        now = self._clock.time()
        if call.sent_at is None:
            self.rate_limiter.leave(turn, now)
        else:
            # The server may still see it for as long as we would have waited for its answer.
            self.rate_limiter.lost(turn, now, call.sent_at + self.timeouts.total)
        self._arm_timer()

    def _told_date(self) -> float | None:
        return None if self._heard is None else rate_limit_headers.server_date(self._heard[0])

    def _leave(self, turn: PermitRequest) -> None:
        self.rate_limiter.leave(turn, self._clock.time())
        self._arm_timer()

    def _refuse_long_pause(self, endpoint: Endpoint[Any]) -> None:
        left = self.rate_limiter.pause_left(endpoint.rate_limit, self._clock.time())
        if left > min(self.retry_policy.max_retry_after, self.retry_policy.max_elapsed):
            raise RateLimitError(
                f"{endpoint.method} {endpoint.path} was not sent: the API wants no such request for another "
                f"{left:.0f} s. Try again then.",
                status=429,
                retryable=True,
                retry_after=left,
            )

    def _refuse_long_queue(self, endpoint: Endpoint[Any], max_queue_wait: float) -> None:
        wait = self.rate_limiter.expected_wait(endpoint.rate_limit, self._clock.time())
        if wait > max_queue_wait:
            raise _queue_too_long(endpoint, wait)

    def _arm_timer(self) -> None:
        """Let one timer wake all who wait, at the first moment at which anybody may go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self.rate_limiter.next_at(self._clock.time())
        if when is not None and not self.closed:
            self._timer = self._clock.call_at(when, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.rate_limiter.advance(self._clock.time())
        self._arm_timer()

    def _url(self, endpoint: Endpoint[Any], path: Mapping[str, str] | None, query: Mapping[str, str] | None) -> URL:
        if path is None and query is None:
            if (known := self._urls.get(endpoint.path)) is None:
                known = self._urls[endpoint.path] = URL(f"{self._base_url}{endpoint.path}")
            return known
        quoted = {name: quote(value, safe="") for name, value in (path or {}).items()}
        return URL(f"{self._base_url}{endpoint.path.format_map(quoted)}", encoded=True).with_query(query)


def _queue_too_long(endpoint: Endpoint[Any], wait: float) -> QueueTooLongError:
    return QueueTooLongError(
        f"{endpoint.method} {endpoint.path} was not sent: it would wait about {wait:.0f} s for its turn in the rate "
        "limit, longer than max_queue_wait allows. Try again later.",
        expected_wait=wait,
    )


def _refused_too_long(endpoint: Endpoint[Any], pause: float) -> RateLimitError:
    return RateLimitError(
        f"{endpoint.method} {endpoint.path} was not sent: the API has refused such requests (429) for about as long as "
        "RetryPolicy.max_elapsed allows, and asks for a longer wait. Try again later.",
        status=_REFUSED,
        retryable=True,
        retry_after=pause,
    )


def _too_late(endpoint: Endpoint[Any]) -> ApiTimeoutError:
    return ApiTimeoutError(
        f"{endpoint.method} {endpoint.path} was not sent: its time was over while it still waited for its turn "
        "in the rate limit. Allow more time, or ask for less at once.",
        retryable=True,
    )
