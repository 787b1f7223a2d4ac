"""Shared state in PostgreSQL, for the processes of several machines."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.secret import Secret

from .fleet_window import StepMessage, StepReply
from .store import TABLES, VERSION, Rows, Statement, StoreUnavailableError, step_stored_window

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresStore"]

R = TypeVar("R")
Connection = "psycopg.AsyncConnection[Any]"

# Seconds within which the server must reply to one call.
_REPLY_TIMEOUT = 2.0
_CONNECT_TIMEOUT = 5
_CHANNEL = "pyannote_voiceprint_deliveries"
_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
# The windows are not logged: after a crash of the server they are empty, and a new window starts carefully.
_WINDOWS = """CREATE UNLOGGED TABLE IF NOT EXISTS voiceprint_windows (
    name TEXT PRIMARY KEY, version BIGINT NOT NULL, state TEXT
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)"""


class PostgresStore:
    """One PostgreSQL database. Needs the extra `[postgres]`.

    A step of a window is an optimistic transaction: a process that is stopped in the middle of it holds up nobody.

    Args:
        dsn: the address of the database, `postgresql://…`. Its password is never shown.
    """

    def __init__(self, dsn: str) -> None:
        try:
            import psycopg  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigurationError(
                "Shared state in PostgreSQL needs the extra [postgres]. Install it: "
                "pip install 'pyannote-voiceprint-async[postgres]'."
            ) from None
        self._psycopg = psycopg
        self._dsn = Secret(dsn)
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Connect, and create the tables if they are missing."""
        await self._call(self._ping, may_have_happened=False)

    async def step(self, window: str, message: StepMessage) -> StepReply | None:
        """Make one step of a window: read it, and replace it unless another process was faster."""
        return await self._call(lambda db: self._step(db, window, message))

    async def run(self, *statements: Statement) -> Rows:
        """Run statements in one durable transaction, and return the rows of the last one."""
        return await self._call(lambda db: _run(db, statements))

    async def publish(self, statements: Collection[Statement], job_id: str) -> None:
        """Run statements, and notify the listeners of all processes when the transaction is committed."""
        notification = (f"SELECT pg_notify('{_CHANNEL}', :job_id)", {"job_id": job_id})
        await self._call(lambda db: _run(db, [*statements, notification]))

    async def listen(self, waited_jobs: Callable[[], Collection[str]], notify: Callable[[str], object]) -> None:
        """Notify of published jobs with LISTEN; connect again when the connection is lost. Runs until cancelled."""
        while True:
            try:
                async with await self._connect() as db:
                    await db.execute(f"LISTEN {_CHANNEL}")
                    # Deliveries that were published while nobody listened.
                    for (job_id,) in await _run(
                        db,
                        [
                            (
                                "SELECT job_id FROM voiceprint_deliveries WHERE job_id = ANY(:ids)",
                                {"ids": list(waited_jobs())},
                            )
                        ],
                    ):
                        notify(job_id)
                    async for notification in db.notifies():
                        notify(notification.payload)
            except self._psycopg.Error:
                pass
            await asyncio.sleep(1.0 + random.random())

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _call(
        self, function: Callable[[psycopg.AsyncConnection[Any]], Awaitable[R]], *, may_have_happened: bool = True
    ) -> R:
        """Call a function with the connection, within the reply timeout."""
        async with self._lock:
            db = self._connection
            try:
                if db is None or db.closed:
                    db = self._connection = await self._opened()
            except (self._psycopg.Error, OSError, TimeoutError) as error:
                raise StoreUnavailableError(
                    f"The shared state in PostgreSQL cannot be reached: {self._reason(error)}", may_have_happened=False
                ) from None
            try:
                async with asyncio.timeout(_REPLY_TIMEOUT):
                    return await function(db)
            except TimeoutError:
                reason = f"the server did not reply within {_REPLY_TIMEOUT:.0f} s."
            except self._psycopg.Error as error:
                reason = self._reason(error)
            except BaseException:
                self._drop(db)
                raise
            self._drop(db)
            raise StoreUnavailableError(
                f"The shared state in PostgreSQL did not reply: {reason}", may_have_happened=may_have_happened
            )

    def _drop(self, db: psycopg.AsyncConnection[Any]) -> None:
        """Close the connection without a word to the server, which may not reply."""
        self._connection = None
        db.pgconn.finish()

    def _reason(self, error: BaseException) -> str:
        """Return the first line of an error without the DSN."""
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        password = self._psycopg.conninfo.conninfo_to_dict(self._dsn[:]).get("password")
        text = text.replace(self._dsn[:], "the DSN")
        return (text.replace(str(password), "***") if password else text) + "."

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await self._psycopg.AsyncConnection.connect(
            self._dsn[:], autocommit=True, connect_timeout=_CONNECT_TIMEOUT, prepare_threshold=2
        )

    async def _opened(self) -> psycopg.AsyncConnection[Any]:
        db = await self._connect()
        try:
            # Several processes may create the tables at once.
            with suppress(self._psycopg.errors.UniqueViolation, self._psycopg.errors.DuplicateTable):
                for sql in (*TABLES, _WINDOWS):
                    await db.execute(sql)
            cursor = await db.execute("SELECT version FROM voiceprint_version")
            row = await cursor.fetchone()
            if row is None:
                await db.execute("INSERT INTO voiceprint_version VALUES (%s)", (VERSION,))
            elif row[0] != VERSION:
                raise StoreUnavailableError(
                    f"The shared state in PostgreSQL has version {row[0]}, and this program needs version {VERSION}. "
                    "Use the same version of the package in all processes.",
                    may_have_happened=False,
                    is_final=True,
                )
        except BaseException:
            db.pgconn.finish()
            raise
        return db

    @staticmethod
    async def _ping(db: psycopg.AsyncConnection[Any]) -> None:
        await db.execute("SELECT 1")

    @staticmethod
    async def _step(db: psycopg.AsyncConnection[Any], window: str, message: StepMessage) -> StepReply | None:
        tries = 0
        while True:
            cursor = await db.execute(
                f"SELECT version, state, {_NOW} FROM voiceprint_windows WHERE name = %s", [window]
            )
            row = await cursor.fetchone()
            if row is None:
                await db.execute("INSERT INTO voiceprint_windows VALUES (%s, 0, NULL) ON CONFLICT DO NOTHING", [window])
                continue
            version, stored, now = row
            state, reply = step_stored_window(stored, message, now, secrets.token_hex(8))
            if reply is None:
                return None
            cursor = await db.execute(
                "UPDATE voiceprint_windows SET state = %s, version = version + 1 WHERE name = %s AND version = %s",
                [state.decode(), window, version],
            )
            if cursor.rowcount == 1:
                return reply
            # Another process was faster. Processes that try again at once would disturb each other for long.
            tries += 1
            await asyncio.sleep(random.random() * 0.002 * min(tries, 8))


async def _run(db: psycopg.AsyncConnection[Any], statements: Collection[Statement]) -> Rows:
    rows: Rows = []
    async with db.transaction():
        for sql, parameters in statements:
            cursor = await db.execute(_to_psycopg(sql), parameters)
            rows = await cursor.fetchall() if cursor.description else []
    return rows


def _to_psycopg(sql: str) -> str:
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", sql.replace("{now}", _NOW))
