"""Counts of requests, jobs and webhooks, as `Sandbox.state` and `/_sandbox/state` show them."""

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.define
class Tally:
    """Counts of one operation's requests."""

    requests: int = 0
    """Requests that arrived, with or without a response."""
    rate_limited: int = 0
    """Requests that were refused with a 429."""
    in_flight: int = 0
    """Requests that arrived and have no response yet."""
    highest_in_flight: int = 0
    """Maximum of `in_flight` so far."""

    def to_dict(self) -> dict[str, int]:
        """Return the counts as `/_sandbox/state` writes them."""
        return {
            "requests": self.requests,
            "rateLimited": self.rate_limited,
            "inFlight": self.in_flight,
            "highestInFlight": self.highest_in_flight,
        }


@attrs.frozen
class WebhookTally:
    """Counts of webhooks."""

    attempts: int
    """Attempts that are over, including retries."""
    delivered: int
    """Attempts that the receiver answered with a 2xx."""
    waiting: int
    """Webhooks that wait for the end of their job or for a retry, or that are in flight."""

    def to_dict(self) -> dict[str, int]:
        """Return the counts as `/_sandbox/state` writes them."""
        return attrs.asdict(self)


@attrs.frozen
class SandboxState:
    """The counts of one moment."""

    operations: Mapping[str, Tally]
    """Counts by operation. `upload` is the PUT of a media file, which is not an operation of the API."""
    total: Tally
    """Counts of all operations of the API together, without uploads."""
    jobs: int
    """Accepted jobs."""
    webhooks: WebhookTally

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as `/_sandbox/state` writes them."""
        operations = {name: tally.to_dict() for name, tally in self.operations.items()}
        return {
            "operations": operations,
            "total": self.total.to_dict(),
            "jobs": self.jobs,
            "webhooks": self.webhooks.to_dict(),
        }
