"""Whether the store can be reached."""

from __future__ import annotations

from pyannote_voiceprint_async.event_emitter import EventEmitter
from pyannote_voiceprint_async.events import SharedStateLost, SharedStateRestored

from .store import StoreUnavailableError

__all__ = ["StoreContact"]


class StoreContact:
    """The contact of one client with its store, so that all its windows report an outage once.

    Args:
        patience: seconds for which requests wait for a store that cannot be reached.
        events: reports an outage and its end.
    """

    def __init__(self, patience: float, events: EventEmitter) -> None:
        self.is_lost = False
        """Whether the store could not be reached for `patience` seconds."""
        self._patience = patience
        self._events = events
        self._failing_since: float | None = None
        self._members: dict[str, int] = {}

    @property
    def members(self) -> int | None:
        """The most processes that any window had when this client last used it; None if the store never replied."""
        return max(self._members.values(), default=None)

    def record_failure(self, error: StoreUnavailableError, began: float, now: float) -> None:
        """Record a call that began at a time and failed by now."""
        if self._failing_since is None:
            self._failing_since = began
        if not self.is_lost and now - self._failing_since >= self._patience:
            self.is_lost = True
            self._events.emit(SharedStateLost(0, "shared", str(error)))

    def record_reply(self, window: str, members: int | None) -> None:
        """Record a step that succeeded.

        Args:
            window: the name of the window.
            members: the number of processes in the window, if the reply has it.
        """
        if members is not None:
            self._members[window] = members
        if self.is_lost:
            self._events.emit(SharedStateRestored(0, "shared"))
        self.is_lost, self._failing_since = False, None
