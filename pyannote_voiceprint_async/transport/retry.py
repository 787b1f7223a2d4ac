"""When a request is sent once more, and after what pause. The only place that knows backoff.

| what happened | a repeatable operation | a submission |
| --- | --- | --- |
| never sent | repeat | repeat |
| 503 with `Retry-After` | repeat after it | repeat after it |
| other 5xx, 408, no answer, unreadable 2xx | repeat | raise, unless `replay_unknown` |
| other 4xx, 3xx | raise | raise |

A 429 never comes here: its wait belongs to the throttle, because it concerns everyone. What comes here as
`RateLimitError` was told to wait longer than `max_retry_after`, or was refused for longer than `max_elapsed`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Protocol, TypeVar

from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.errors import QueueTooLongError, RateLimitError, VoiceprintError
from pyannote_voiceprint_async.settings import RetryPolicy

__all__ = ["Attempted", "exponential", "is_final", "pause_after", "prepare", "with_retries"]

log = logging.getLogger("pyannote_voiceprint_async")

C = TypeVar("C", bound="Attempted")
R = TypeVar("R")

# Doublings after which every policy has reached its cap.
_ENOUGH = 100


class Attempted(Protocol):
    """One call on its way down the ladder, as far as repeating it is concerned."""

    first_sent_at: float | None
    """When its first byte left, on the client's clock; None while nothing was sent."""
    deadline: float | None
    """When it may not be sent any more, on the client's clock."""
    retries: int
    """How often it was repeated."""


def prepare() -> None:
    """Load backoff when the first client is made, not with the package: that costs a tenth of importing it."""
    import backoff  # noqa: F401, PLC0415


def exponential(policy: RetryPolicy, tries: int) -> float:
    """Return a pause in seconds with full jitter, after so many tries (from 1)."""
    import backoff  # noqa: PLC0415 - see `prepare`

    pauses = backoff.expo(factor=policy.base, max_value=policy.cap)
    # The first value only starts the generator.
    longest = next(islice(pauses, min(tries, _ENOUGH), None))
    return backoff.full_jitter(longest)


def pause_after(error: VoiceprintError, tries: int, policy: RetryPolicy) -> float:
    """Give the final pause in seconds: the server's word where there is one, else the exponential."""
    told = error.retry_after
    return told if told is not None and 0.0 < told < math.inf else exponential(policy, tries)


def is_final(error: VoiceprintError, policy: RetryPolicy) -> bool:
    """Say whether the error is raised at once, whatever tries and time are left."""
    if isinstance(error, RateLimitError | QueueTooLongError) or (error.retry_after or 0.0) > policy.max_retry_after:
        return True
    return not error.retryable and not (error.outcome_unknown and policy.replay_unknown)


async def with_retries(
    send: Callable[[C], Awaitable[R]],
    call: C,
    *,
    policy: RetryPolicy,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
) -> R:
    """Send a call, and repeat what may be repeated.

    Args:
        send: makes one try.
        call: what is sent.
        policy: what is repeated, and how.
        clock: time.
        sleep: waits for so many seconds of it.

    Raises:
        VoiceprintError: of the last try.
    """
    tries = 0
    while True:
        tries += 1
        try:
            return await send(call)
        except VoiceprintError as error:
            seconds = pause_after(error, tries, policy)
            if tries >= policy.max_tries or is_final(error, policy) or not _fits(seconds, call, policy, clock):
                raise
            log.debug(
                "Try %d of %d failed; the next one follows in %.1f s. %s", tries, policy.max_tries, seconds, error
            )
        call.retries += 1
        await sleep(seconds)


def _fits(seconds: float, call: Attempted, policy: RetryPolicy, clock: Clock) -> bool:
    """Return whether a call may still be sent after such a pause."""
    again_at = clock.time() + seconds
    if call.deadline is not None and again_at >= call.deadline:
        return False
    return call.first_sent_at is None or again_at - call.first_sent_at <= policy.max_elapsed
