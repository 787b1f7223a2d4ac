"""Decide whether and when a request is retried. The only module that uses backoff.

| what happened | a repeatable operation | a submission |
| --- | --- | --- |
| never sent | retry | retry |
| 503 with `Retry-After` | retry after it | retry after it |
| other 5xx, 408, no response, unreadable 2xx | retry | raise, unless `replay_unknown` |
| other 4xx, 3xx | raise | raise |

`api/outcomes.py` decides which status means what; this module decides only what follows.

The rate limiter handles a 429, because its pause concerns all requests of the operation. A `RateLimitError` reaches
this module only when the server requested a wait above `max_retry_after`, or has refused for longer than `max_elapsed`.

A call that has lost its submission key raises `SubmissionInProgressError` at once: each try would lose it again.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Protocol, TypeVar

from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.errors import (
    QueueTooLongError,
    RateLimitError,
    SubmissionInProgressError,
    VoiceprintError,
)
from pyannote_voiceprint_async.settings import RetryPolicy

__all__ = ["RetriedRequest", "exponential_wait", "is_final", "load_backoff", "retry_wait", "with_retries"]

C = TypeVar("C", bound="RetriedRequest")
R = TypeVar("R")

# Only the caller can repeat these: what they wait for is not a part of the request.
_LEFT_TO_CALLER = (QueueTooLongError, RateLimitError, SubmissionInProgressError)
# Doublings after which every policy has reached its cap.
_MAX_DOUBLINGS = 100


class RetriedRequest(Protocol):
    """What the retry loop needs to know about a request."""

    first_sent_at: float | None
    """When its first byte was sent, on the client's clock; None while nothing is sent."""
    deadline: float | None
    """The time on the client's clock after which it must not be sent any more."""
    retries: int
    """How often it was retried."""


def load_backoff() -> None:
    """Import backoff for the first client instead of with the package, whose import it makes a tenth slower."""
    import backoff  # noqa: F401, PLC0415


def exponential_wait(policy: RetryPolicy, tries: int) -> float:
    """Return an exponential wait in seconds with full jitter, after this number of tries (from 1)."""
    import backoff  # noqa: PLC0415 - see `load_backoff`

    waits = backoff.expo(factor=policy.base, max_value=policy.cap)
    # The generator's first value is not a wait; it only starts the generator.
    longest = next(islice(waits, min(tries, _MAX_DOUBLINGS), None))
    return backoff.full_jitter(longest)


def retry_wait(error: VoiceprintError, tries: int, policy: RetryPolicy) -> float:
    """Return the seconds to wait before the next try: those that the server requested, else the exponential wait."""
    requested = error.retry_after
    return requested if requested is not None and 0.0 < requested < math.inf else exponential_wait(policy, tries)


def is_final(error: VoiceprintError, policy: RetryPolicy) -> bool:
    """Return whether the error is raised at once, even if tries and time are left."""
    if isinstance(error, _LEFT_TO_CALLER) or (error.retry_after or 0.0) > policy.max_retry_after:
        return True
    return not error.retryable and not (error.outcome_unknown and policy.replay_unknown)


async def with_retries(  # noqa: PLR0913 - called in one place, by keyword
    send: Callable[[C], Awaitable[R]],
    request: C,
    *,
    policy: RetryPolicy,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
    on_retry: Callable[[C, VoiceprintError, int, float], None],
) -> R:
    """Send a request, and retry it as the policy allows.

    Args:
        send: makes one try.
        request: the request; its `retries` is updated.
        policy: the limits of the retries.
        clock: the client's clock.
        sleep: sleeps on that clock.
        on_retry: called with the request, its error, the number of tries and the seconds until the next one.

    Raises:
        VoiceprintError: the error of the last try.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return await send(request)
        except VoiceprintError as error:
            seconds = retry_wait(error, tries, policy)
            if tries >= policy.max_tries or is_final(error, policy) or not _has_time(seconds, request, policy, clock):
                raise
            on_retry(request, error, tries, seconds)
        request.retries += 1
        await sleep(seconds)


def _has_time(wait: float, request: RetriedRequest, policy: RetryPolicy, clock: Clock) -> bool:
    """Return whether the request may still be sent after waiting for this number of seconds."""
    next_try_at = clock.time() + wait
    if request.deadline is not None and next_try_at >= request.deadline:
        return False
    return request.first_sent_at is None or next_try_at - request.first_sent_at <= policy.max_elapsed
