"""The permits of one client: wait for them, and report the result of each request to the rate limiter."""

from __future__ import annotations

import math
from typing import Any

from pyannote_voiceprint_async.api import rate_limit_headers
from pyannote_voiceprint_async.api.endpoints import ENDPOINTS, Endpoint
from pyannote_voiceprint_async.api.responses import ApiResponse
from pyannote_voiceprint_async.concurrency.clock import Clock, Timer, timeout_at
from pyannote_voiceprint_async.concurrency.waiters import Waiters
from pyannote_voiceprint_async.errors import ApiTimeoutError, QueueTooLongError, RateLimitError, VoiceprintError
from pyannote_voiceprint_async.event_emitter import EventEmitter
from pyannote_voiceprint_async.ratelimit.permit_request import PermitRequest
from pyannote_voiceprint_async.ratelimit.scheduler import PermitScheduler
from pyannote_voiceprint_async.settings import RetryPolicy

from .request import ApiRequest
from .retry import exponential_wait

__all__ = ["Permits"]

_TOO_MANY_REQUESTS = 429


class Permits:
    """The permits of one client. One timer wakes all waiting requests.

    Args:
        scheduler: the scheduler of the rate limiter, which several clients may share.
        retry_policy: limits for how long the server may refuse a request.
        response_timeout: for this many seconds after its first byte, a request without a response may reach the server.
        clock: the client's clock.
        waiters: the waits that end when the client is closed.
        events: reports responses with status 429.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, by keyword
        self,
        scheduler: PermitScheduler,
        *,
        retry_policy: RetryPolicy,
        response_timeout: float,
        clock: Clock,
        waiters: Waiters,
        events: EventEmitter,
    ) -> None:
        self.rate_limited = 0
        """The number of responses with status 429."""
        self._scheduler = scheduler
        self._retry_policy = retry_policy
        self._response_timeout = response_timeout
        self._clock = clock
        self._waiters = waiters
        self._events = events
        self._timer: Timer | None = None
        self._is_closed = False

    def open(self) -> None:
        """Begin to use the scheduler."""
        self._scheduler.reset_timers.add(self._reset_timer)

    def close(self) -> None:
        """Stop using the scheduler. The client's `Waiters` end the waits."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Other clients may share the scheduler, and the timer of this client may have been the one that wakes them.
        self._scheduler.reset_timers.discard(self._reset_timer)
        for reset_timer in list(self._scheduler.reset_timers):
            reset_timer()

    def request(self, request: ApiRequest) -> PermitRequest:
        """Put a request into the wait queue."""
        return self._scheduler.request(
            request.endpoint.rate_limit,
            self._clock.time(),
            request.notify,
            max_queue_wait=math.inf if request.max_queue_wait is None else request.max_queue_wait,
            max_elapsed=self._retry_policy.max_elapsed,
        )

    async def wait(self, request: ApiRequest, permit: PermitRequest) -> None:
        """Wait until a permit and a slot are granted.

        Raises:
            ApiTimeoutError: the request's deadline has passed.
            RateLimitError: the server refuses such requests for longer than the retry policy allows.
            QueueTooLongError: the wait would exceed the request's `max_queue_wait`.
            ClientClosedError: the client was closed.
        """
        try:
            self._refuse_long_pause(request.endpoint)
            request.permit_waiter = self._waiters.create_future()
            self._reset_timer()
            async with timeout_at(self._clock, request.deadline):
                await request.permit_waiter
        except TimeoutError:
            self.cancel(permit)
            raise _deadline_passed(request.endpoint) from None
        except BaseException:
            self.cancel(permit)
            raise
        finally:
            request.permit_waiter = None

    def check_deadline(self, request: ApiRequest, permit: PermitRequest) -> None:
        """Check the deadline of a request. If it has passed, cancel its permit.

        Raises:
            ApiTimeoutError: the deadline has passed.
        """
        if request.deadline is not None and self._clock.time() >= request.deadline:
            self.cancel(permit)
            raise _deadline_passed(request.endpoint)

    def cancel(self, permit: PermitRequest) -> None:
        """Cancel the permit of a request that was cancelled or never sent. A second call does nothing."""
        self._scheduler.cancel(permit, self._clock.time())
        self._reset_timer()

    def record_response(self, request: ApiRequest, permit: PermitRequest, response: ApiResponse, now: float) -> None:
        """Record a response and its rate-limit headers. A 429 is left to `record_refusal`."""
        if response.status == _TOO_MANY_REQUESTS:
            return
        limit = rate_limit_headers.limit(response.headers)
        remaining = rate_limit_headers.remaining(response.headers)
        if self._scheduler.record_response(permit, now, limit, remaining):
            self._refuse_overdue(request.endpoint.rate_limit, now)
        if self._scheduler.queued:
            self._reset_timer()

    def record_refusal(
        self, request: ApiRequest, permit: PermitRequest, response: ApiResponse, error: RateLimitError
    ) -> None:
        """Record a 429: the operation pauses, and the request waits for a new permit at its old position."""
        from pyannote_voiceprint_async.events import RateLimited  # noqa: PLC0415 - see EventEmitter

        self.rate_limited += 1
        now, operation = self._clock.time(), request.endpoint.rate_limit
        wait = error.retry_after
        if wait is None:
            wait = exponential_wait(self._retry_policy, self._scheduler.refusals(operation) + 1)
        is_long_pause = self._scheduler.record_refusal(permit, now, wait, rate_limit_headers.limit(response.headers))
        self._events.report(RateLimited, request.endpoint.name, wait, is_long_pause)
        if wait > self._retry_policy.max_retry_after:
            self._scheduler.cancel(permit, now)
            self._scheduler.reject_waiting(operation, error)
        else:
            self._refuse_overdue(request.endpoint.rate_limit, now)
        self._reset_timer()

    def record_no_response(self, request: ApiRequest, permit: PermitRequest) -> None:
        """Record that no response arrived. The permit of a request that was never sent is cancelled."""
        now = self._clock.time()
        if request.sent_at is None:
            self._scheduler.cancel(permit, now)
        else:
            self._scheduler.record_no_response(permit, now, request.sent_at + self._response_timeout)
        self._reset_timer()

    def refuse_long_queue(self, endpoint: Endpoint[Any], max_queue_wait: float) -> None:
        """Refuse a request that would wait too long for its permit.

        Args:
            endpoint: the operation.
            max_queue_wait: the longest allowed wait in seconds.

        Raises:
            QueueTooLongError: the wait would exceed `max_queue_wait`.
        """
        wait = self._scheduler.expected_wait(endpoint.rate_limit, self._clock.time())
        if wait > max_queue_wait:
            raise queue_too_long(endpoint, wait)

    def refresh(self, operation: str, *, waits_changed: bool, error: VoiceprintError | None) -> None:
        """Apply what other processes have changed in a shared window.

        Args:
            operation: the operation of the window.
            waits_changed: whether waiting requests may now wait for longer.
            error: fails the waiting requests: the shared state can never be used again.
        """
        now = self._clock.time()
        pause = self._scheduler.pause_left(operation, now)
        if error is not None:
            self._scheduler.reject_waiting(operation, error)
        elif waits_changed and pause > self._retry_policy.max_retry_after:
            self._scheduler.reject_waiting(operation, _paused(ENDPOINTS[operation], pause))
        elif waits_changed:
            self._refuse_overdue(operation, now)
        self._scheduler.grant_waiting(now)
        self._reset_timer()

    def _refuse_overdue(self, operation: str, now: float) -> None:
        """Refuse the waiting requests whose wait now exceeds their limits."""
        endpoint = ENDPOINTS[operation]
        for permit in self._scheduler.remove_overdue(operation, now):
            if permit.expected_wait is not None:
                permit.notify(queue_too_long(endpoint, permit.expected_wait))
            else:
                permit.notify(_refused_too_long(endpoint, self._scheduler.pause_left(operation, now)))

    def _refuse_long_pause(self, endpoint: Endpoint[Any]) -> None:
        """Raise an error during a pause that is longer than the retry policy allows."""
        pause = self._scheduler.pause_left(endpoint.rate_limit, self._clock.time())
        if pause > min(self._retry_policy.max_retry_after, self._retry_policy.max_elapsed):
            raise _paused(endpoint, pause)

    def _reset_timer(self) -> None:
        """Set the timer to the next time at which the scheduler can grant a permit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self._scheduler.next_grant_at(self._clock.time())
        if when is not None and not self._is_closed:
            self._timer = self._clock.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._scheduler.grant_waiting(self._clock.time())
        self._reset_timer()


def queue_too_long(endpoint: Endpoint[Any], wait: float) -> QueueTooLongError:
    """Return the error for a request that would wait too long for its permit."""
    return QueueTooLongError(
        f"{endpoint.name} was not sent: it would wait about {wait:.0f} s for the rate limit, longer "
        "than max_queue_wait allows. Try again later.",
        expected_wait=wait,
    )


def _paused(endpoint: Endpoint[Any], pause: float) -> RateLimitError:
    return RateLimitError(
        f"{endpoint.name} was not sent: the API requests a pause, which lasts another {pause:.0f} s. Try again after "
        "it.",
        status=_TOO_MANY_REQUESTS,
        retryable=True,
        retry_after=pause,
    )


def _refused_too_long(endpoint: Endpoint[Any], pause: float) -> RateLimitError:
    return RateLimitError(
        f"{endpoint.name} was not sent: the API has refused such requests (429) for about as long as "
        "RetryPolicy.max_elapsed allows, and requests a longer pause. Try again later.",
        status=_TOO_MANY_REQUESTS,
        retryable=True,
        retry_after=pause,
    )


def _deadline_passed(endpoint: Endpoint[Any]) -> ApiTimeoutError:
    return ApiTimeoutError(
        f"{endpoint.name} was not sent: its timeout ended while it waited for the rate limit. Use a "
        "longer timeout, or send fewer requests at once.",
        retryable=True,
    )
