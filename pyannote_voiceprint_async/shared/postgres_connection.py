"""One connection to PostgreSQL, which is opened again after an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.extras import install_command
from pyannote_voiceprint_async.secret import Secret

from .store import TABLES, VERSION, StoreUnavailableError

if TYPE_CHECKING:
    import psycopg

__all__ = ["REPLY_TIMEOUT", "PostgresConnection"]

R = TypeVar("R")

# Seconds within which the server must accept a connection.
_CONNECT_TIMEOUT = 5.0
REPLY_TIMEOUT = 2.0
# The locks of this package have this number, so that they are no locks of other programs. It has no other meaning.
LOCK_NUMBER = 7165018
"""Seconds within which the server must reply to one call."""

# Unlogged tables are fast, and empty after a crash of the server. That is safe: a new window grants no permits until
# its members have reported what they hold.
_WINDOWS = """CREATE UNLOGGED TABLE IF NOT EXISTS voiceprint_windows (
    name TEXT PRIMARY KEY, state TEXT NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)"""
# `IF NOT EXISTS` fails if two transactions create the same table at once.
_CREATION_LOCK = f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})"
# A process that is stopped inside a transaction must not hold up the others: they wait for its lock until the server
# has ended the transaction.
_SETTINGS = (
    "SET idle_in_transaction_session_timeout = '500ms'; SET lock_timeout = '1s'; SET statement_timeout = '2s'; "
    "SET client_min_messages = warning"
)
# Messages of failures that another try cannot change. libpq reports no error code if it cannot connect.
_FINAL_MESSAGES = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
)
# Classes of SQLSTATE that another try cannot change: wrong login, unknown database, missing table or permission.
_FINAL_CLASSES = {"28", "3D", "3F", "42"}


class PostgresConnection:
    """A connection to one PostgreSQL database. The first call opens it, and so does the first call after an error.

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
                "Shared state in PostgreSQL needs the extra [postgres]. Install it: " + install_command("postgres")
            ) from None
        self._psycopg = psycopg
        self._dsn = dsn
        self._password = self._parse()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        self._is_closed = False

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

    async def aclose(self) -> None:
        """Close the connection. A later call does not open it again."""
        self._is_closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def call(
        self,
        function: Callable[[psycopg.AsyncConnection[Any]], Coroutine[Any, Any, R]],
        *,
        timeout: float = REPLY_TIMEOUT,  # noqa: ASYNC109 - it drops the connection
        may_have_happened: bool = True,
    ) -> R:
        """Call a function with the connection, when earlier calls have ended.

        Args:
            function: the function.
            timeout: seconds within which the function must end.
            may_have_happened: whether the function may have changed the database although it failed.

        Raises:
            StoreUnavailableError: the server cannot be reached, did not reply in time, or refused the call.
        """
        async with self._lock:
            if self._is_closed:
                raise StoreUnavailableError.of_closed_store()
            if self._connection is None or self._connection.closed:
                self._connection = await self._finish(
                    self._connected(), _CONNECT_TIMEOUT, "cannot be reached", may_have_happened=False
                )
            return await self._finish(
                function(self._connection), timeout, "did not reply", may_have_happened=may_have_happened
            )

    async def _finish(
        self,
        coroutine: Coroutine[Any, Any, R],
        seconds: float,
        failed: str,
        *,
        may_have_happened: bool,
    ) -> R:
        """Return the result of a coroutine that uses the connection. Close the connection if it fails or is late.

        The coroutine runs in a task of its own, for two reasons: the frames of an error of psycopg hold the DSN; and a
        cancelled psycopg call first asks the server to cancel the query, which may take as long as the call.
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
            reason, is_final = f"no reply within {seconds:g} s", False
        elif (error := task.exception()) is None:
            return task.result()
        elif not isinstance(error, (self._psycopg.Error, OSError, UnicodeError)):
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
        """Close the connection without waiting for the server, which may not reply."""
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
            # One implicit transaction. Without the lock, processes that create the tables at once would get errors.
            await db.execute("; ".join((_CREATION_LOCK, *TABLES, _WINDOWS)))
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


def _is_final(error: BaseException) -> bool:
    sqlstate = getattr(error, "sqlstate", None) or ""
    # A name of a host that cannot be encoded is a UnicodeError.
    return (
        isinstance(error, UnicodeError)
        or sqlstate[:2] in _FINAL_CLASSES
        or any(message in str(error) for message in _FINAL_MESSAGES)
    )


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    """Prevent asyncio from logging the error of a task whose result is not needed any more."""
    if not task.cancelled():
        task.exception()
