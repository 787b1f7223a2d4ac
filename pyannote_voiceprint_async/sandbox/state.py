"""What the sandbox has seen: requests, refusals, and how many were in flight at once."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs


@attrs.define
class Tally:
    """Counts of one operation."""

    requests: int = 0
    """Requests that arrived, whatever became of them."""
    rate_limited: int = 0
    """Requests that were answered with 429."""
    in_flight: int = 0
    """Requests that arrived and have no answer yet."""
    highest_in_flight: int = 0
    """The most that were in flight at once."""

    def arrive(self) -> None:
        """Count a request in."""
        self.requests += 1
        self.in_flight += 1
        self.highest_in_flight = max(self.highest_in_flight, self.in_flight)

    def leave(self) -> None:
        """Count a request out."""
        self.in_flight -= 1

    def to_dict(self) -> dict[str, int]:
        """The tally as `/_sandbox/state` writes it."""
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
    """Tries that are over, retries among them."""
    delivered: int
    """Tries that a receiver took."""
    waiting: int
    """WebhookDispatcher that wait for the end of their job or for a retry, or are on their way."""

    def to_dict(self) -> dict[str, int]:
        """The tally as `/_sandbox/state` writes it."""
        return attrs.asdict(self)


@attrs.frozen
class SandboxState:
    """The counts of one moment."""

    operations: Mapping[str, Tally]
    """By operation; `upload` is the PUT of a media file, which is no operation of the API."""
    total: Tally
    """All operations of the API together, uploads not counted."""
    jobs: int
    """Accepted jobs."""
    webhooks: WebhookTally
    """What was told of their ends."""

    def to_dict(self) -> dict[str, Any]:
        """The state as `/_sandbox/state` writes it."""
        operations = {name: tally.to_dict() for name, tally in self.operations.items()}
        return {
            "operations": operations,
            "total": self.total.to_dict(),
            "jobs": self.jobs,
            "webhooks": self.webhooks.to_dict(),
        }


class RequestCounters:
    """The running tallies of one sandbox."""

    def __init__(self, operations: Iterable[str]) -> None:
        self._operations = {name: Tally() for name in operations}
        self._upload = Tally()
        self._total = Tally()

    @contextmanager
    def request(self, operation: str) -> Iterator[None]:
        """Count a request of the API while it is in flight."""
        tally = self._operations[operation]
        tally.arrive()
        self._total.arrive()
        try:
            yield
        finally:
            tally.leave()
            self._total.leave()

    @contextmanager
    def upload(self) -> Iterator[None]:
        """Count the PUT of a media file while it is in flight."""
        self._upload.arrive()
        try:
            yield
        finally:
            self._upload.leave()

    def rate_limited(self, operation: str) -> None:
        """Count a 429."""
        self._operations[operation].rate_limited += 1
        self._total.rate_limited += 1

    def snapshot(self, jobs: int, webhooks: WebhookTally) -> SandboxState:
        """The counts of this moment, which later requests do not change."""
        tallies = {**self._operations, "upload": self._upload}
        operations = {name: attrs.evolve(tally) for name, tally in tallies.items()}
        return SandboxState(operations, attrs.evolve(self._total), jobs, webhooks)
