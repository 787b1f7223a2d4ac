"""Webhooks that are expected, and webhooks that arrived before the wait for their job began."""

from __future__ import annotations

from collections import OrderedDict

import attrs

from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.models import WebhookEvent

__all__ = ["PendingWebhooks"]

# A job whose webhook is no longer expected is polled like any other.
_MAX_EXPECTED = 10_000
# A job whose early webhook was dropped is polled, too.
_MAX_EARLY = 1_000
# Seconds for which an early webhook is kept for its wait.
_EARLY_LIFETIME = 60.0
# The most turns of an output that is kept with an early webhook.
_MAX_EARLY_TURNS = 1_000


class PendingWebhooks:
    """Jobs whose webhook is expected, and webhooks that arrived before their wait began.

    Pure: the caller passes the time.

    Args:
        grace: seconds for which a job whose webhook is expected is not polled.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._expected: dict[str, float] = {}
        self._early: OrderedDict[str, tuple[float, WebhookEvent]] = OrderedDict()

    def expect(self, job_id: str, now: float) -> None:
        """Record that the webhook of a job was requested."""
        self._expected[job_id] = now + self._grace
        if len(self._expected) > _MAX_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def grace_left(self, job_id: str, now: float) -> float:
        """Return the seconds for which the job must not be polled yet, because its webhook is expected."""
        return max(0.0, self._expected.get(job_id, now) - now)

    def record_delivery(self, job_id: str) -> None:
        """Record that the webhook of a finished job has arrived: no second one is expected."""
        self._expected.pop(job_id, None)

    def keep_early(self, event: WebhookEvent, now: float) -> None:
        """Keep a webhook that arrived before the response to its submission, or before its wait began.

        A long output is dropped, and the wait reads the job: a thousand of them would need gigabytes of memory.
        """
        self._early.pop(event.job_id, None)
        self._early[event.job_id] = (now, attrs.evolve(event, output=None) if _is_long(event) else event)
        if len(self._early) > _MAX_EARLY:
            self._early.popitem(last=False)

    def drop_old(self, now: float) -> float | None:
        """Drop the expired webhooks: they may hold voiceprints, which are biometric data.

        Returns:
            The time at which the next webhook expires; None if none is kept.
        """
        while self._early:
            kept_at, _ = next(iter(self._early.values()))
            if now < kept_at + _EARLY_LIFETIME:
                return kept_at + _EARLY_LIFETIME
            self._early.popitem(last=False)
        return None

    def pop_early(self, job_id: str, now: float) -> WebhookEvent | None:
        """Remove and return the webhook of this job that arrived early; None if there is none."""
        kept_at, event = self._early.pop(job_id, (now, None))
        return event if now - kept_at < _EARLY_LIFETIME else None


def _is_long(event: WebhookEvent) -> bool:
    output = event.output
    return (
        isinstance(output, IdentificationOutput)
        and len(output.identification) + len(output.diarization) > _MAX_EARLY_TURNS
    )
