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
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from .clock import Clock
from .errors import QueueTooLongError, RateLimitError, VoiceprintError
from .settings import RetryPolicy

if TYPE_CHECKING:
    from backoff.types import Details

__all__ = ["Attempted", "exponential", "is_final", "pause_after", "repeating"]

log = logging.getLogger("pyannote_voiceprint_async")

C = TypeVar("C", bound="Attempted")
R = TypeVar("R")


class Attempted(Protocol):
    """One call on its way down the ladder, as far as repeating it is concerned."""

    first_byte_at: float | None
    """When its first byte left, on the client's clock; None while nothing was sent."""
    deadline: float | None
    """When it may not be sent any more, on the client's clock."""
    retries: int
    """How often it was repeated."""
    failure: VoiceprintError | None
    """The failure of its first try, while that is still to be looked at."""


def exponential(policy: RetryPolicy, tries: int) -> float:
    """Give a pause in seconds with full jitter, after so many tries (from 1)."""
    return random.uniform(0.0, min(policy.cap, policy.base * 2.0 ** min(tries - 1, 60)))  # noqa: S311 - no secret


def pause_after(error: VoiceprintError, tries: int, policy: RetryPolicy) -> float:
    """Give the final pause in seconds: the server's word where there is one, else the exponential."""
    told = error.retry_after
    return told if told is not None and 0.0 < told < math.inf else exponential(policy, tries)


def is_final(error: VoiceprintError, policy: RetryPolicy) -> bool:
    """Say whether the error is raised at once, whatever tries and time are left."""
    if isinstance(error, RateLimitError | QueueTooLongError) or (error.retry_after or 0.0) > policy.max_retry_after:
        return True
    return not error.retryable and not (error.outcome_unknown and policy.replay_unknown)


def repeating(
    send: Callable[[C], Awaitable[R]],
    *,
    policy: RetryPolicy,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
) -> Callable[[C], Awaitable[R]]:
    """Wrap `send` so that it repeats what may be repeated.

    backoff runs the loop. It would sleep on asyncio's own clock, so it is told to sleep for 0 seconds and the
    pause is made here, on the client's clock. Its own log would print arguments, and its `max_time` would cut
    the wait that the server told: both are ours.
    """
    # Imported when the first client is made, not with the package: it costs as much as a tenth of this package.
    import backoff  # noqa: PLC0415

    async def pause(details: Details) -> None:
        error = cast("VoiceprintError", details["exception"])  # type: ignore[typeddict-item]  # backoff leaves it out of its type
        call = cast("C", details["args"][0])
        seconds = pause_after(error, details["tries"], policy)
        elapsed = 0.0 if call.first_byte_at is None else clock.time() - call.first_byte_at
        too_late = call.deadline is not None and clock.time() + seconds >= call.deadline
        if too_late or elapsed + seconds > policy.max_elapsed:
            raise error
        log.debug(
            "Try %d of %d failed; the next one follows in %.1f s. %s",
            details["tries"],
            policy.max_tries,
            seconds,
            error,
        )
        call.retries += 1
        await sleep(seconds)

    async def again(call: C) -> R:
        if call.failure is None:
            return await send(call)
        failure, call.failure = call.failure, None
        raise failure

    retry = backoff.on_exception(
        backoff.constant,
        VoiceprintError,
        interval=0,
        jitter=None,
        logger=None,
        max_tries=policy.max_tries,
        giveup=lambda error: is_final(cast("VoiceprintError", error), policy),
        on_backoff=pause,
    )(again)

    async def send_repeating(call: C) -> R:
        # Nearly every call succeeds at once: backoff's loop, which costs as much as the throttle, is only
        # entered with a failure. Its first try is that failure.
        try:
            return await send(call)
        except VoiceprintError as error:
            call.failure = error
        return await retry(call)

    return send_repeating
