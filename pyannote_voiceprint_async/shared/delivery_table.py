"""The webhook deliveries in a store: the final status of each job, without its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from .store import Store

__all__ = ["DeliveryTable", "StoredDelivery"]

# Milliseconds for which a delivery is kept for a wait that begins later, as `PendingWebhooks` keeps it in one process.
_LIFETIME = 60_000

_POST = (
    "INSERT INTO voiceprint_deliveries (scope, job_id, status, delivered_at) VALUES (:scope, :job_id, :status, {now}) "
    "ON CONFLICT (scope, job_id) DO UPDATE SET status = excluded.status, delivered_at = excluded.delivered_at"
)
_DELETE_OLD = "DELETE FROM voiceprint_deliveries WHERE delivered_at < {now} - :lifetime"
_READ = (
    "SELECT job_id, status, delivered_at FROM voiceprint_deliveries "
    "WHERE scope = :scope AND delivered_at >= {now} - :lifetime"
)


class StoredDelivery(NamedTuple):
    """A delivery that one of the processes received."""

    job_id: str
    status: str
    delivered_at: int
    """Milliseconds since 1970, on the clock of the store."""


class DeliveryTable:
    """The deliveries of one team and one API. Each method is one transaction, and raises `StoreUnavailableError`.

    Results are voiceprints, which are biometric data: only the status of a job is stored, for a minute.

    Args:
        store: the store.
        scope: the team and the base URL.
    """

    def __init__(self, store: Store, scope: str) -> None:
        self._store = store
        self._scope = scope

    async def post(self, statuses: Mapping[str, str]) -> None:
        """Post the statuses of jobs, by job id, and delete old deliveries."""
        posts = [
            (_POST, {"scope": self._scope, "job_id": job_id, "status": status}) for job_id, status in statuses.items()
        ]
        await self._store.run((_DELETE_OLD, {"lifetime": _LIFETIME}), *posts, notify=True)

    async def listen(self, on_change: Callable[[], object]) -> NoReturn:
        """Call a function when deliveries may have been posted; see `Store.listen`."""
        await self._store.listen(on_change)

    async def read(self) -> set[StoredDelivery]:
        """Return the deliveries of the last minute.

        All of them are read each time: transactions do not end in the order of their times, so a query for the newer
        ones would miss some.
        """
        rows = await self._store.run((_READ, {"scope": self._scope, "lifetime": _LIFETIME}))
        return {StoredDelivery(*row) for row in rows}
