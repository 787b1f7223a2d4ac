"""Summarize a store for people: members, permits, waiting requests, pauses and submission keys."""

from __future__ import annotations

import attrs

from .fleet_window import FleetWindow
from .store import Store

__all__ = ["ScopeStatus", "UnresolvedKey", "WindowStatus", "read_status"]

# A key whose owner has ended is counted as other processes treat it: free if nothing was sent, else of unknown outcome.
_LOST = "state = 'sending' AND alive_until <= {now}"
_COUNT_KEYS = (
    f"SELECT scope, CASE WHEN {_LOST} THEN 'unknown' ELSE state END AS shown, count(*) FROM voiceprint_keys "  # noqa: S608 - constants
    "WHERE state <> 'claimed' OR alive_until > {now} GROUP BY scope, shown ORDER BY scope, shown"
)
_UNRESOLVED = (
    f"SELECT scope, submission_key, sent_at FROM voiceprint_keys WHERE state = 'unknown' OR ({_LOST}) "  # noqa: S608 - constants
    "ORDER BY sent_at LIMIT 1000"
)


@attrs.frozen
class WindowStatus:
    """The shared rate-limit window of one operation."""

    operation: str
    limit: int
    members: int
    """Processes that take part."""
    in_use: int
    """Permits in use."""
    waiting_members: int
    """Processes in the wait queue."""
    waiting_requests: int
    """Permits that these processes wait for."""
    pause_seconds: float
    """Seconds until the end of the pause that the server requested; 0 without a pause."""


@attrs.frozen
class UnresolvedKey:
    """A submission key whose outcome is unknown."""

    key: str
    sent_at: float
    """When the first byte of the submission may have left, in UTC epoch seconds."""


@attrs.frozen
class ScopeStatus:
    """The state of one team and one API."""

    team: str
    base_url: str
    windows: tuple[WindowStatus, ...]
    keys: dict[str, int]
    """The number of submission keys by state."""
    unresolved_keys: tuple[UnresolvedKey, ...]
    """The oldest keys of unknown outcome, at most 1,000."""


async def read_status(store: Store) -> list[ScopeStatus]:
    """Return the state of each team and API in a store.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    clock, windows = await store.windows()
    counts = await store.run((_COUNT_KEYS, {}))
    unresolved = await store.run((_UNRESOLVED, {}))
    scopes = sorted({*(name.rpartition("|")[0] for name in windows), *(scope for scope, *_ in counts)})
    return [
        ScopeStatus(
            team=scope.partition("|")[0],
            base_url=scope.partition("|")[2],
            windows=tuple(
                _window_status(name.rpartition("|")[2], window, clock)
                for name, window in windows.items()
                if name.rpartition("|")[0] == scope
            ),
            keys={state: count for key_scope, state, count in counts if key_scope == scope},
            unresolved_keys=tuple(
                UnresolvedKey(key, sent_at / 1000) for key_scope, key, sent_at in unresolved if key_scope == scope
            ),
        )
        for scope in scopes
    ]


def _window_status(operation: str, window: FleetWindow, clock: int) -> WindowStatus:
    # The clock was set back, or the machine was restarted. Then no stored member is alive, and no stored permit counts.
    is_lost = clock < window.clock - 1000
    now = window.now + max(0, clock - window.clock)
    members = {name for name, member in window.members.items() if now < member.alive_until and not is_lost}
    waiting = [waiting.wanted for name, waiting in window.queue.items() if name in members]
    return WindowStatus(
        operation=operation,
        limit=window.limit,
        members=len(members),
        in_use=sum(now < when for when in window.permits.values()) if not is_lost else 0,
        waiting_members=len(waiting),
        waiting_requests=sum(waiting),
        pause_seconds=max(0, window.paused_until - now) / 1000,
    )
