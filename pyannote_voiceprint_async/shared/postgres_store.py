"""Shared state in PostgreSQL, for the processes of several machines."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections.abc import Callable, Collection, Coroutine
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

# Seconds within which the server must accept a connection, and reply to one call.
_CONNECT_TIMEOUT = 5.0
_REPLY_TIMEOUT = 2.0
# A transaction that another process replaced is tried again after at most this many seconds, times the tries.
_RETRY_WAIT = 0.002
_MAX_WAITS = 8

_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
# The windows are not logged: after a crash of the server they are empty, and a new window starts carefully.
_WINDOWS = """CREATE UNLOGGED TABLE IF NOT EXISTS voiceprint_windows (
    name TEXT PRIMARY KEY, version BIGINT NOT NULL, state TEXT
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)"""
_READ_WINDOW = f"SELECT version, state, {_NOW} FROM voiceprint_windows WHERE name = %s"  # noqa: S608 - constants
_NEW_WINDOW = "INSERT INTO voiceprint_windows VALUES (%s, 0, NULL) ON CONFLICT DO NOTHING"
_REPLACE_WINDOW = "UPDATE voiceprint_windows SET state = %s, version = version + 1 WHERE name = %s AND version = %s"
# A process that is stopped inside a transaction must not hold up the others.
_SETTINGS = (
    "SET idle_in_transaction_session_timeout = '1s'; SET lock_timeout = '1s'; SET statement_timeout = '2s'; "
    "SET client_min_messages = warning"
)
# Messages of the server that another try cannot change; libpq passes on no code for them.
_FINAL_MESSAGES = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
)
# Classes of error codes that another try cannot change: wrong login, unknown database, missing table or permission.
_FINAL_CLASSES = {"28", "3D", "3F", "42"}


class PostgresStore:
    """One PostgreSQL database. Needs the extra `[postgres]`.

    A step of a window is an optimistic transaction: a process that is stopped in the middle of it holds up no other.

    Args:
        dsn: the address of the database, `postgresql://…`. Its password is never shown.

    Raises:
        ConfigurationError: the extra is missing, or the DSN cannot be parsed.
    """

    def __init__(self, dsn: Secret) -> None:
        try:
            import psycopg  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigurationError(
                "Shared state in PostgreSQL needs the extra [postgres]. Install it: "
                "pip install 'pyannote-voiceprint-async[postgres]'."
            ) from None
        self._psycopg = psycopg
        self._dsn = dsn
        self._password = self._parse()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()

    def _parse(self) -> Secret | None:
        """Return the password of the DSN."""
        try:
            password = self._psycopg.conninfo.conninfo_to_dict(self._dsn.reveal()).get("password")
        except self._psycopg.Error:
            pass  # raised below: the frames of the context would show the DSN
        else:
            return Secret(str(password)) if password else None
        raise ConfigurationError(
            "The DSN of the shared state cannot be parsed. Its form is postgresql://user@host:5432/database; quote "
            "special characters in its parts, such as %40 for @."
        )

    async def open(self) -> None:
        """Connect, and create the tables if they are missing."""
        await self._call(_ping, may_have_happened=False)

    async def step(self, window: str, message: StepMessage) -> StepReply | None:
        """Make one step of a window: read it, and replace it unless another process was faster."""
        return await self._call(lambda db: _step(db, window, message))

    async def run(self, *statements: Statement) -> Rows:
        """Run statements in one durable transaction, and return the rows of the last one."""
        return await self._call(lambda db: _run(db, statements))

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _call(
        self,
        function: Callable[[psycopg.AsyncConnection[Any]], Coroutine[Any, Any, R]],
        *,
        may_have_happened: bool = True,
    ) -> R:
        """Call a function with the connection."""
        async with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = await self._finish(
                    self._connected(), _CONNECT_TIMEOUT, "cannot be reached", may_have_happened=False
                )
            return await self._finish(
                function(self._connection), _REPLY_TIMEOUT, "did not reply", may_have_happened=may_have_happened
            )

    async def _finish(
        self,
        coroutine: Coroutine[Any, Any, R],
        seconds: float,
        failed: str,
        *,
        may_have_happened: bool,
    ) -> R:
        """Return the result of a coroutine that uses the connection. If it has none in time, drop the connection.

        The coroutine runs in a task of its own: the frames of an error of psycopg hold the DSN, and psycopg answers a
        cancellation only after it has asked the server to cancel the query.
        """
        task = asyncio.get_running_loop().create_task(coroutine)
        try:
            await asyncio.wait([task], timeout=seconds)
        finally:
            if not task.done() or task.cancelled() or task.exception() is not None:
                self._drop()
            if not task.done():
                task.cancel()
                task.add_done_callback(_retrieve_error)
        if not task.done() or task.cancelled():
            reason, is_final = f"no reply within {seconds:.0f} s", False
        elif (error := task.exception()) is None:
            return task.result()
        elif isinstance(error, StoreUnavailableError) or not isinstance(error, (self._psycopg.Error, OSError)):
            raise error
        else:
            reason, is_final = self._reason(error), _is_final(error)
        del task
        error = None
        raise StoreUnavailableError(
            f"The shared state in PostgreSQL {failed}: {reason}.",
            may_have_happened=may_have_happened and not is_final,
            is_final=is_final,
        )

    def _drop(self) -> None:
        """Close the connection without a word to the server, which may not reply."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    def _reason(self, error: BaseException) -> str:
        """Return the first line of an error without the DSN and its password."""
        text = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        text = text.replace(self._dsn.reveal(), "the DSN")
        return text.replace(self._password.reveal(), "…") if self._password else text

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        """Return a new connection to a database with all tables."""
        db = await self._psycopg.AsyncConnection.connect(self._dsn.reveal(), autocommit=True, prepare_threshold=2)
        try:
            await db.execute(_SETTINGS)
            # Several processes may create the tables at once.
            with suppress(self._psycopg.errors.UniqueViolation, self._psycopg.errors.DuplicateTable):
                await db.execute("; ".join((*TABLES, _WINDOWS)))
            await _check_version(db)
        except BaseException:
            db.pgconn.finish()
            raise
        return db


async def _check_version(db: psycopg.AsyncConnection[Any]) -> None:
    cursor = await db.execute("SELECT max(version) FROM voiceprint_version")
    row = await cursor.fetchone()
    version = row[0] if row else None
    if version is None:
        await db.execute("INSERT INTO voiceprint_version VALUES (%s)", [VERSION])
    elif version != VERSION:
        raise StoreUnavailableError(
            f"The shared state in PostgreSQL has version {version}, and this program needs version {VERSION}. Use the "
            "same version of the package in all processes.",
            may_have_happened=False,
            is_final=True,
        )


async def _ping(db: psycopg.AsyncConnection[Any]) -> None:
    await db.execute("SELECT 1")


async def _step(db: psycopg.AsyncConnection[Any], window: str, message: StepMessage) -> StepReply | None:
    tries = 0
    while True:
        row = await (await db.execute(_READ_WINDOW, [window])).fetchone()
        if row is None:
            await db.execute(_NEW_WINDOW, [window])
            continue
        version, stored, now = row
        state, reply = step_stored_window(stored, message, now, secrets.token_hex(8))
        if reply is None:
            return None
        cursor = await db.execute(_REPLACE_WINDOW, [state.decode(), window, version])
        if cursor.rowcount == 1:
            return reply
        # Another process was faster. Processes that try again at once would disturb each other for long.
        tries += 1
        await asyncio.sleep(random.random() * _RETRY_WAIT * min(tries, _MAX_WAITS))  # noqa: S311 - no secret


async def _run(db: psycopg.AsyncConnection[Any], statements: Collection[Statement]) -> Rows:
    rows: Rows = []
    async with db.transaction():
        for sql, parameters in statements:
            cursor = await db.execute(_to_psycopg(sql), parameters)
            rows = await cursor.fetchall() if cursor.description else []
    return rows


def _to_psycopg(sql: str) -> str:
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", sql.replace("{now}", _NOW))


def _is_final(error: BaseException) -> bool:
    sqlstate = getattr(error, "sqlstate", None) or ""
    return sqlstate[:2] in _FINAL_CLASSES or any(message in str(error) for message in _FINAL_MESSAGES)


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    """Prevent asyncio from logging the error of a task whose result is not needed any more."""
    if not task.cancelled():
        task.exception()
