"""Counters of the requests of one sandbox."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import attrs

from pyannote_voiceprint_async.sandbox.state import SandboxState, Tally, WebhookTally


class RequestCounters:
    """The running counts of requests, by operation and in total."""

    def __init__(self, operations: Iterable[str]) -> None:
        self._operations = {name: Tally() for name in operations}
        self._upload = Tally()
        self._total = Tally()

    def request(self, operation: str) -> AbstractContextManager[None]:
        """Return a context in which a request of the API is in flight."""
        return _in_flight(self._operations[operation], self._total)

    def upload(self) -> AbstractContextManager[None]:
        """Return a context in which the PUT of a media file is in flight."""
        return _in_flight(self._upload)

    def rate_limited(self, operation: str) -> None:
        """Count a 429."""
        for tally in (self._operations[operation], self._total):
            tally.rate_limited += 1

    def snapshot(self, jobs: int, webhooks: WebhookTally) -> SandboxState:
        """Return a copy of the counts, which later requests do not change."""
        tallies = {**self._operations, "upload": self._upload}
        operations = {name: attrs.evolve(tally) for name, tally in tallies.items()}
        return SandboxState(operations, attrs.evolve(self._total), jobs, webhooks)


@contextmanager
def _in_flight(*tallies: Tally) -> Iterator[None]:
    for tally in tallies:
        tally.requests += 1
        tally.in_flight += 1
        tally.highest_in_flight = max(tally.highest_in_flight, tally.in_flight)
    try:
        yield
    finally:
        for tally in tallies:
            tally.in_flight -= 1
