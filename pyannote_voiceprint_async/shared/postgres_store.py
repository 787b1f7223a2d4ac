"""Shared state in PostgreSQL, for the processes of several machines."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, NoReturn

from pyannote_voiceprint_async.secret import Secret

from .fleet_window import FleetWindow, StepMessage, StepReply
from .postgres_connection import LOCK_NUMBER, REPLY_TIMEOUT, PostgresConnection
from .store import Rows, Statement, StoreUnavailableError, load_windows, step_stored_window

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresStore"]

# Even without patience, a step may take so many seconds.
_LEAST_TIMEOUT = 0.5
# Seconds without a notification after which the connection is checked and the deliveries are read.
_LISTEN_INTERVAL = 5.0
# Seconds until a lost connection is opened again.
_LISTEN_RETRY = 1.0

_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
_READ_WINDOWS = f"SELECT name, state, {_NOW} FROM voiceprint_windows"  # noqa: S608 - constants
# READ COMMITTED: the last statement must see the state that was committed while this transaction waited for the lock.
_LOCK_WINDOW = f"""
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SELECT pg_advisory_xact_lock({LOCK_NUMBER}, hashtext(%s));
    SELECT (SELECT state FROM voiceprint_windows WHERE name = %s), {_NOW}
"""  # noqa: S608 - constants
_WRITE_WINDOW = """
    INSERT INTO voiceprint_windows VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET state = excluded.state;
    COMMIT
"""
_NOTIFY: Statement = ("NOTIFY voiceprint_deliveries", {})


class PostgresStore:
    """One PostgreSQL database. Needs the extra `[postgres]`.

    A step of a window is a transaction of two round trips that holds the lock of the window. If a process is stopped in
    the middle of a step, the others wait for half a second: then the server ends the transaction.

    Args:
        dsn: the address of the database, `postgresql://…`. Its password is never shown.
        patience: seconds for which requests wait for a store that cannot be reached. A step fails after this time.

    Raises:
        ConfigurationError: the extra is missing, or the DSN cannot be parsed.
    """

    def __init__(self, dsn: Secret, patience: float = REPLY_TIMEOUT) -> None:
        self._step_timeout = min(REPLY_TIMEOUT, max(_LEAST_TIMEOUT, patience))
        self._connection = PostgresConnection(dsn)
        # A connection that waits for notifications can do nothing else.
        self._notified = PostgresConnection(dsn)

    async def open(self) -> None:
        """Connect, and create the tables if they are missing."""
        await self._connection.call(_ping, may_have_happened=False)

    async def step(self, window: str, message: StepMessage) -> StepReply | None:
        """Make one step of a window in one transaction."""
        return await self._connection.call(lambda db: _step(db, window, message), timeout=self._step_timeout)

    async def run(self, *statements: Statement, notify: bool = False) -> Rows:
        """Run statements in one durable transaction, and return the rows of the last one."""
        return await self._connection.call(lambda db: _run(db, (*statements, _NOTIFY) if notify else statements))

    async def listen(self, on_change: Callable[[], object]) -> NoReturn:
        """Call a function when a process has run statements with `notify`, and every few seconds anyway."""
        while True:
            try:
                await self._notified.call(_listen)
                # Notifications before LISTEN were missed.
                on_change()
                await self._notified.call(_next_notification, timeout=2 * _LISTEN_INTERVAL)
            except StoreUnavailableError:
                await asyncio.sleep(_LISTEN_RETRY)

    async def windows(self) -> tuple[int, dict[str, FleetWindow]]:
        """Return the time on the clock of the windows in milliseconds, and all windows by name."""
        return await self._connection.call(_windows)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()
        await self._notified.aclose()


async def _ping(db: psycopg.AsyncConnection[Any]) -> None:
    await db.execute("SELECT 1")


async def _listen(db: psycopg.AsyncConnection[Any]) -> None:
    await db.execute("LISTEN voiceprint_deliveries")


async def _next_notification(db: psycopg.AsyncConnection[Any]) -> None:
    async for _ in db.notifies(timeout=_LISTEN_INTERVAL, stop_after=1):
        pass


async def _windows(db: psycopg.AsyncConnection[Any]) -> tuple[int, dict[str, FleetWindow]]:
    rows = await (await db.execute(_READ_WINDOWS)).fetchall()
    return max((now for *_, now in rows), default=0), load_windows((name, stored) for name, stored, _ in rows)


async def _step(db: psycopg.AsyncConnection[Any], window: str, message: StepMessage) -> StepReply | None:
    from psycopg import AsyncClientCursor  # noqa: PLC0415 - an extra

    # Parameters are bound in the client: several statements are then one round trip.
    cursor = AsyncClientCursor(db)
    await cursor.execute(_LOCK_WINDOW, [window, window])
    while cursor.nextset():
        pass
    ((stored, now),) = await cursor.fetchall()
    state, reply = step_stored_window(stored, message, now, secrets.token_hex(8))
    if reply is None:
        await cursor.execute("ROLLBACK")
    else:
        await cursor.execute(_WRITE_WINDOW, [window, state.decode()])
    return reply


async def _run(db: psycopg.AsyncConnection[Any], statements: Collection[Statement]) -> Rows:
    rows: Rows = []
    async with db.transaction():
        for sql, parameters in statements:
            cursor = await db.execute(_to_psycopg(sql), parameters)
            rows = await cursor.fetchall() if cursor.description else []
    return rows


def _to_psycopg(sql: str) -> str:
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", sql.replace("{now}", _NOW))
