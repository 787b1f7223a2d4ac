"""A checksum in each row of the ledger: one flipped bit is detected before anything is sent or exported.

A checksum covers all other columns of its row, in the order of the table. Triggers write it, so no statement can forget
it. An update first compares the old row with its checksum, so that damaged data never gets a valid checksum.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .sqlite_errors import DAMAGED_ROW, damage_error

__all__ = ["check_intact", "check_integrity", "cover", "find_damage", "intact", "register"]

_COLUMN = "checksum"
_FUNCTION, _EARLIER_FUNCTION = "row_crc32", "row_checksum"

# A row as text, of which SQLite itself makes the parts: a function in Python would cost several times as much. The
# digits of a REAL depend on SQLite's version, so its value is scaled to an integer, exactly for times of today.
_PARTS = {"REAL": "CAST({} * 4194304.0 AS INTEGER)", "BLOB": "hex({})"}

_TABLES = """
SELECT name FROM sqlite_schema AS found WHERE type = 'table'
AND EXISTS (SELECT 1 FROM pragma_table_info(found.name) WHERE name = 'checksum') ORDER BY name
"""


class _Column(NamedTuple):
    """A column of a table, in SQLite's words."""

    name: str
    type: str
    is_key: bool


def register(connection: sqlite3.Connection) -> None:
    """Define the SQL functions that the triggers and the checks call."""
    connection.create_function(_FUNCTION, 1, zlib.crc32, deterministic=True)
    connection.create_function(_EARLIER_FUNCTION, -1, _earlier_checksum, deterministic=True)


def cover(connection: sqlite3.Connection, table: str, is_intact: str) -> None:
    """Renew the checksums of a table and extend them to all of its columns, within a transaction of the caller.

    Rows that differ from their checksums keep them, so the damage is still detected.

    Args:
        connection: the ledger.
        table: a table whose columns were changed, or whose rows get checksums.
        is_intact: the result of `intact` before the change.
    """
    columns = _columns(connection, table)
    if not _has_checksums(columns):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {_COLUMN} BLOB")
    # All names are those of our own schema.
    connection.execute(f"UPDATE {table} SET {_COLUMN} = {_call(table, columns)} WHERE {is_intact}")  # noqa: S608
    for trigger in ("inserted", "updated"):
        connection.execute(f"DROP TRIGGER IF EXISTS {table}_{trigger}")
    is_new_row = " AND ".join(f"{table}.{column.name} IS NEW.{column.name}" for column in columns if column.is_key)
    write = f"UPDATE {table} SET {_COLUMN} = {_call('NEW', columns)} WHERE {is_new_row};"  # noqa: S608
    covered = ", ".join(column.name for column in _covered(columns))
    connection.execute(f"CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN {write} END")
    connection.execute(f"""
        CREATE TRIGGER {table}_updated AFTER UPDATE OF {covered} ON {table} BEGIN
            SELECT RAISE(ABORT, '{DAMAGED_ROW}') WHERE OLD.{_COLUMN} IS NOT {_call("OLD", columns)};
            {write}
        END
    """)


def intact(connection: sqlite3.Connection, table: str, alias: str | None = None) -> str:
    """Return the SQL condition that a row matches its checksum; it always holds where rows have no checksums.

    Args:
        connection: the ledger, which an earlier version may have written.
        table: the table.
        alias: its name in the statement, where that differs.
    """
    name, columns = alias or table, _columns(connection, table)
    if not _has_checksums(columns):
        return "1"
    call = _earlier_call if _is_earlier(connection, table) else _call
    return f"{name}.{_COLUMN} IS {call(name, columns)}"


def check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Check that no bit of a ledger has changed since it was written.

    Raises:
        LedgerError: the ledger is damaged.
    """
    # A damaged index can hide a billed row although its table is intact.
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok" or (found := find_damage(connection)) is not None:
        raise damage_error(found, str(path))


def find_damage(connection: sqlite3.Connection) -> str | None:
    """Compare all rows with their checksums, and describe the first damage.

    A ledger of an earlier version has no checksums and passes.
    """
    try:
        for (table,) in connection.execute(_TABLES).fetchall():
            query = f"SELECT count(*) FROM {table} WHERE NOT ({intact(connection, table)})"  # noqa: S608 - our own schema
            (damaged,) = connection.execute(query).fetchone()
            if damaged:
                rows = "one row" if damaged == 1 else f"{damaged} rows"
                return f"{rows} of its table {table}"
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise
        return str(exc)
    return None


def _columns(connection: sqlite3.Connection, table: str) -> list[_Column]:
    """Return the columns of a table, in its order."""
    query = "SELECT name, type, pk > 0 FROM pragma_table_info(?) ORDER BY cid"
    return [_Column(name, type_, bool(is_key)) for name, type_, is_key in connection.execute(query, (table,))]


def _has_checksums(columns: Sequence[_Column]) -> bool:
    return any(column.name == _COLUMN for column in columns)


def _covered(columns: Sequence[_Column]) -> list[_Column]:
    return [column for column in columns if column.name != _COLUMN]


def _call(row: str, columns: Sequence[_Column]) -> str:
    parts = [_PARTS.get(column.type, "{}").format(f"{row}.{column.name}") for column in _covered(columns)]
    return f"{_FUNCTION}(CAST(printf('{' '.join(['%Q'] * len(parts))}', {', '.join(parts)}) AS BLOB))"


# The checksums of the step "checksums of all rows" as it was before the step "faster checksums"


def _is_earlier(connection: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? AND instr(sql, ?)"
    return connection.execute(query, (table, f"{_EARLIER_FUNCTION}(")).fetchone() is not None


def _earlier_call(row: str, columns: Sequence[_Column]) -> str:
    return f"{_EARLIER_FUNCTION}({', '.join(f'{row}.{column.name}' for column in _covered(columns))})"


def _earlier_checksum(*values: object) -> bytes:
    # `repr` escapes different characters in different versions of Python.
    return hashlib.blake2b(ascii(values).encode(), digest_size=8).digest()


def check_intact(row: Sequence[Any]) -> Sequence[Any]:
    """Return a row without its first column, which is 0 if the row differs from its checksum."""
    is_intact, *rest = row
    if not is_intact:
        raise damage_error("a row that was about to be read")
    return rest
