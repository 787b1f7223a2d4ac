"""A checksum in each row of the ledger: one flipped bit is detected before anything is sent or exported.

Triggers write the checksum, so no statement can forget it. An update first compares the old row with its checksum, so
that damaged data never gets a valid checksum.
"""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from .sqlite_errors import DAMAGED_ROW, damage_error

__all__ = [
    "CHECKSUM_SCHEMA",
    "COVERED_COLUMNS",
    "check_integrity",
    "find_damage",
    "intact",
    "intact_if_covered",
    "register",
]

_COLUMN, _FUNCTION = "checksum", "row_checksum"

# The columns that identify a row, and all columns that the checksum covers.
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
    """Define the SQL function that the triggers and the checks call."""
    connection.create_function(_FUNCTION, -1, _checksum, deterministic=True)


def intact(table: str, alias: str | None = None) -> str:
    """Return the SQL condition that a row matches its checksum.

    Args:
        table: the table.
        alias: its name in the statement, where that differs.
    """
    name = alias or table
    return f"{name}.{_COLUMN} IS {_call(table, name)}"


def intact_if_covered(connection: sqlite3.Connection, table: str) -> str:
    """Return `intact(table)`, or a condition that always holds where an earlier version made the table."""
    return intact(table) if _is_covered(connection, table) else "1"


def check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Check that no bit of a ledger has changed since it was written.

    Raises:
        LedgerError: the ledger is damaged.
    """
    # A damaged index can hide a paid row although its table is intact.
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok" or (found := find_damage(connection)) is not None:
        raise damage_error(found, str(path))


def find_damage(connection: sqlite3.Connection) -> str | None:
    """Compare all rows with their checksums, and describe the first damage.

    A ledger of an earlier version has no checksums and passes.
    """
    try:
        for table in _TABLES:
            if not _is_covered(connection, table):
                continue
            query = f"SELECT count(*) FROM {table} WHERE NOT ({intact(table)})"  # noqa: S608 - names of our own schema
            (damaged,) = connection.execute(query).fetchone()
            if damaged:
                rows = "one row" if damaged == 1 else f"{damaged} rows"
                return f"{rows} of its table {table}"
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise
        return str(exc)
    return None


def _is_covered(connection: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
    return connection.execute(query, (table, _COLUMN)).fetchone() is not None


def _checksum(*values: object) -> bytes:
    # `repr` escapes different characters in different versions of Python.
    return hashlib.blake2b(ascii(values).encode(), digest_size=8).digest()


def _call(table: str, name: str) -> str:
    return f"{_FUNCTION}({', '.join(f'{name}.{column}' for column in _TABLES[table][1])})"


def _script(table: str) -> str:
    keys, columns = _TABLES[table]
    is_new_row = " AND ".join(f"{table}.{key} IS NEW.{key}" for key in keys)
    write = f"UPDATE {table} SET {_COLUMN} = {_call(table, table)}"  # noqa: S608 - names of our own schema
    return f"""
        ALTER TABLE {table} ADD COLUMN {_COLUMN} BLOB;
        {write};
        CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN
            {write} WHERE {is_new_row};
        END;
        CREATE TRIGGER {table}_updated AFTER UPDATE OF {", ".join(columns)} ON {table} BEGIN
            SELECT RAISE(ABORT, '{DAMAGED_ROW}') WHERE OLD.{_COLUMN} IS NOT {_call(table, "OLD")};
            {write} WHERE {is_new_row};
        END
    """


COVERED_COLUMNS: Mapping[str, set[str]] = {table: set(columns) for table, (_, columns) in _TABLES.items()}
"""The columns that a checksum covers, by table."""

CHECKSUM_SCHEMA = ";".join(_script(table) for table in _TABLES)
"""The schema step that adds the checksums and computes those of existing rows."""
