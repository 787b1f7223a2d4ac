"""A checksum in each row of the ledger: a single flipped bit is detected before anything is sent or exported.

Triggers write the checksum, so no statement can forget it. An update first compares the old row with its checksum:
damage is never written on under a new one.
"""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence

__all__ = ["CHECKSUMS", "COVERED", "covered", "is_damage", "register", "verify", "whole"]

_COLUMN, _FUNCTION = "checksum", "row_checksum"
_DAMAGED = "damaged row"

# The columns that identify a row, and all that the checksum covers.
_TABLES: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "meta": (("name",), ("name", "value")),
    "recordings": (
        ("id",),
        (
            "id", "identity", "model", "source", "is_file", "size", "modified_ns", "expires_at", "media_url",
            "uploaded_at", "state", "intended_from", "intended_until", "job_id", "voiceprint", "voiceprint_hash",
            "created_at", "warnings", "finished_at", "error", "reason", "pieces", "asked", "notes",
        ),
    ),
    "labels": (("label",), ("label", "recording_id", "listed_in", "position", "extra")),
    "jobs": (("job_id",), ("job_id", "is_ours", "recording_id", "created_at")),
    "lost_intents": (("id",), ("id", "was_resubmitted", "intended_from", "intended_until")),
    "forgotten": (("hash",), ("hash",)),
    "looks": (("source", "asked"), ("source", "asked", "size", "modified_ns", "identity", "pieces", "notes")),
}  # fmt: skip


def register(connection: sqlite3.Connection) -> None:
    """Define the SQL function that the triggers and the checks use."""
    connection.create_function(_FUNCTION, -1, _checksum, deterministic=True)


def whole(table: str, alias: str | None = None) -> str:
    """Return the SQL condition that a row is as it was written.

    Args:
        table: the table.
        alias: its name in the statement, where that is another one.
    """
    name = alias or table
    return f"{name}.{_COLUMN} IS {_of(table, name)}"


def verify(connection: sqlite3.Connection) -> str | None:
    """Compare all rows with their checksums, and return what is wrong.

    A ledger of an earlier version has no checksums, and passes.
    """
    try:
        for table in _TABLES:
            if not _is_covered(connection, table):
                continue
            ask = f"SELECT count(*) FROM {table} WHERE NOT ({whole(table)})"  # noqa: S608 - names of our own schema
            (damaged,) = connection.execute(ask).fetchone()
            if damaged:
                rows = "one row" if damaged == 1 else f"{damaged} rows"
                return f"{rows} of its table {table}"
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise
        return str(exc)
    return None


def covered(connection: sqlite3.Connection, table: str) -> str:
    """Return `whole(table)` where the table has checksums, else a condition that holds."""
    return whole(table) if _is_covered(connection, table) else "1"


def is_damage(exc: Exception) -> bool:
    """Whether a trigger found a row that is not as it was written."""
    return isinstance(exc, sqlite3.IntegrityError) and _DAMAGED in str(exc)


def _is_covered(connection: sqlite3.Connection, table: str) -> bool:
    ask = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
    return connection.execute(ask, (table, _COLUMN)).fetchone() is not None


def _checksum(*values: object) -> bytes:
    # Not `repr`: which characters it escapes differs between versions of Python.
    return hashlib.blake2b(ascii(values).encode(), digest_size=8).digest()


def _of(table: str, name: str) -> str:
    return f"{_FUNCTION}({', '.join(f'{name}.{column}' for column in _TABLES[table][1])})"


def _script(table: str) -> str:
    keys, columns = _TABLES[table]
    is_it = " AND ".join(f"{table}.{key} IS NEW.{key}" for key in keys)
    write = f"UPDATE {table} SET {_COLUMN} = {_of(table, table)}"  # noqa: S608 - names of our own schema
    return f"""
        ALTER TABLE {table} ADD COLUMN {_COLUMN} BLOB;
        {write};
        CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN
            {write} WHERE {is_it};
        END;
        CREATE TRIGGER {table}_updated AFTER UPDATE OF {", ".join(columns)} ON {table} BEGIN
            SELECT RAISE(ABORT, '{_DAMAGED}') WHERE OLD.{_COLUMN} IS NOT {_of(table, "OLD")};
            {write} WHERE {is_it};
        END
    """


COVERED: Mapping[str, set[str]] = {table: set(columns) for table, (_, columns) in _TABLES.items()}
"""The columns that a checksum covers, by table."""

CHECKSUMS = ";".join(_script(table) for table in _TABLES)
"""The step of the schema that adds them, and computes those of the rows that are there."""
