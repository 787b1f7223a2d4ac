"""The interface of a store of shared state, which `SqliteStore` and `PostgresStore` implement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Protocol, Self

import orjson

from .fleet_window import FleetWindow, StepMessage, StepReply, step

__all__ = [
    "TABLES",
    "VERSION",
    "VERSION_TABLE",
    "Rows",
    "Statement",
    "Store",
    "StoreUnavailableError",
    "load_windows",
    "step_stored_window",
]

Rows = list[tuple[Any, ...]]
Statement = tuple[str, dict[str, Any]]

VERSION = 1
"""The version of the tables. A store with another version is refused."""

VERSION_TABLE = "voiceprint_version"

# The same statements create the tables in SQLite and PostgreSQL. Parameters are written as `:name`, the time in
# milliseconds since 1970 as `{now}`. A scope is a team and a base URL.
TABLES = (
    "CREATE TABLE IF NOT EXISTS voiceprint_version (version BIGINT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS voiceprint_keys (
        scope TEXT NOT NULL,
        submission_key TEXT NOT NULL,
        state TEXT NOT NULL,
        owner TEXT NOT NULL,
        fence BIGINT NOT NULL,
        request TEXT NOT NULL,
        job_id TEXT,
        sent_at BIGINT,
        changed_at BIGINT NOT NULL,
        alive_until BIGINT NOT NULL,
        PRIMARY KEY (scope, submission_key)
    )""",
    "CREATE INDEX IF NOT EXISTS voiceprint_keys_by_owner ON voiceprint_keys (owner)",
    """CREATE TABLE IF NOT EXISTS voiceprint_deliveries (
        scope TEXT NOT NULL,
        job_id TEXT NOT NULL,
        status TEXT NOT NULL,
        delivered_at BIGINT NOT NULL,
        PRIMARY KEY (scope, job_id)
    )""",
)


class StoreUnavailableError(Exception):
    """The store did not reply, or refused the call. The message is a sentence without secrets.

    Args:
        message: what happened.
        may_have_happened: whether the store may have made the change nevertheless.
        is_final: whether another try would fail too: another version, a deleted file, a wrong password.
    """

    def __init__(self, message: str, *, may_have_happened: bool, is_final: bool = False) -> None:
        super().__init__(message)
        self.may_have_happened = may_have_happened
        self.is_final = is_final

    @classmethod
    def of_closed_store(cls) -> Self:
        """Return the error of a call after the store was closed."""
        return cls("The shared state was closed with its client.", may_have_happened=False, is_final=True)


class Store(Protocol):
    """A database that the processes of one API key share. Every method raises `StoreUnavailableError`."""

    async def open(self) -> None:
        """Connect, and create the tables if they are missing. A second call does nothing."""

    async def step(self, window: str, message: StepMessage) -> StepReply | None:
        """Make one step of a window in one transaction; see `fleet_window.step`."""

    async def run(self, *statements: Statement, notify: bool = False) -> Rows:
        """Run statements in one transaction that survives a power failure, and return the rows of the last one.

        Args:
            statements: the statements.
            notify: whether to wake the processes that `listen`; then no rows are returned.
        """

    async def listen(self, on_change: Callable[[], object]) -> NoReturn:
        """Call a function soon after a process has run statements with `notify`. It may be called at other times too.

        This method never raises `StoreUnavailableError`; it connects again.
        """

    async def windows(self) -> tuple[int, dict[str, FleetWindow]]:
        """Return the time on the clock of the windows in milliseconds, and all windows by name."""

    async def aclose(self) -> None:
        """Close the connections."""


def load_windows(rows: Iterable[tuple[str, bytes | str | None]]) -> dict[str, FleetWindow]:
    """Return the windows by name, without damaged ones.

    Args:
        rows: the name of each window, and its JSON; None if it has none yet.
    """
    windows = {name: _load(stored) for name, stored in rows}
    return {name: window for name, window in sorted(windows.items()) if window is not None}


def step_stored_window(
    stored: bytes | str | None, message: StepMessage, clock: int, epoch: str
) -> tuple[bytes, StepReply | None]:
    """Make one step of a stored window, and return its new JSON and the reply.

    Args:
        stored: the stored window as JSON; None if there is none.
        message: the member's message.
        clock: milliseconds on the store's clock.
        epoch: the name of a new window.
    """
    state, reply = step(_load(stored), message, clock, epoch)
    return orjson.dumps(state.to_json()), reply


def _load(stored: bytes | str | None) -> FleetWindow | None:
    """Return a stored window, or None if it is damaged: its members then report what they hold to a new window."""
    try:
        return None if stored is None else FleetWindow.from_json(orjson.loads(stored))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
