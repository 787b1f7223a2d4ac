"""Whether the store can be reached."""

from __future__ import annotations

import logging

from .store import StoreUnavailableError

__all__ = ["StoreContact"]

log = logging.getLogger("pyannote_voiceprint_async")


class StoreContact:
    """The contact of one client with its store, so that all its windows report an outage once.

    Args:
        patience: seconds for which requests wait for a store that cannot be reached.
    """

    def __init__(self, patience: float) -> None:
        self.is_lost = False
        """Whether the store could not be reached for `patience` seconds."""
        self._patience = patience
        self._failing_since: float | None = None

    def record_failure(self, error: StoreUnavailableError, began: float, now: float) -> None:
        """Record a call that began at a time and failed by now."""
        if self._failing_since is None:
            self._failing_since = began
        if not self.is_lost and now - self._failing_since >= self._patience:
            self.is_lost = True
            log.warning(
                "%s Until it can be reached again, this process sends its share of each rate limit: the limit divided "
                "by the number of processes that it knows of. Requests with a submission key are refused.",
                error,
            )

    def record_reply(self) -> None:
        """Record a call that succeeded."""
        if self.is_lost:
            log.info("The shared state can be reached again. All processes share one rate limit again.")
        self.is_lost, self._failing_since = False, None
