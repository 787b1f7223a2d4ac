"""A checksum in each row of the ledger: one flipped bit is detected before anything is sent or exported.

A checksum covers all other columns of its row, in the order of the table. Triggers write it, so no statement can forget
it. An update first compares the old row with its checksum, so that damaged data never gets a valid checksum.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from .sqlite_errors import DAMAGED_ROW, damage_error

__all__ = ["check_integrity", "cover", "covered_columns", "find_damage", "intact", "register"]

_COLUMN, _FUNCTION = "checksum", "row_checksum"

_TABLES = """
SELECT name FROM sqlite_schema AS found WHERE type = 'table'
AND EXISTS (SELECT 1 FROM pragma_table_info(found.name) WHERE name = 'checksum') ORDER BY name
"""


def register(connection: sqlite3.Connection) -> None:
    """Define the SQL function that the triggers and the checks call."""
    connection.create_function(_FUNCTION, -1, _checksum, deterministic=True)


def covered_columns(connection: sqlite3.Connection, table: str) -> Sequence[str]:
    """Return the columns of a table that its checksums cover; nothing if its rows have no checksums."""
    columns = [name for name, _ in _columns(connection, table)]
    return [name for name in columns if name != _COLUMN] if _COLUMN in columns else []


def cover(connection: sqlite3.Connection, table: str, before: Sequence[str]) -> None:
    """Extend the checksums of a table to all of its columns, within a transaction of the caller.

    Rows that differ from their checksums keep them, so the damage is still detected.

    Args:
        connection: the ledger.
        table: a table whose columns were changed, or whose rows get checksums.
        before: the result of `covered_columns` before the change.
    """
    if not before:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {_COLUMN} BLOB")
    columns = covered_columns(connection, table)
    is_intact = f"{table}.{_COLUMN} IS {_call(table, before)}" if before else "1"
    keys = [name for name, is_key in _columns(connection, table) if is_key]
    is_new_row = " AND ".join(f"{table}.{key} IS NEW.{key}" for key in keys)
    write = f"UPDATE {table} SET {_COLUMN} = {_call(table, columns)}"  # noqa: S608 - names of our own schema
    connection.execute(f"{write} WHERE {is_intact}")
    for trigger in ("inserted", "updated"):
        connection.execute(f"DROP TRIGGER IF EXISTS {table}_{trigger}")
    connection.execute(f"CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN {write} WHERE {is_new_row}; END")
    connection.execute(f"""
        CREATE TRIGGER {table}_updated AFTER UPDATE OF {", ".join(columns)} ON {table} BEGIN
            SELECT RAISE(ABORT, '{DAMAGED_ROW}') WHERE OLD.{_COLUMN} IS NOT {_call("OLD", columns)};
            {write} WHERE {is_new_row};
        END
    """)


def intact(connection: sqlite3.Connection, table: str, alias: str | None = None) -> str:
    """Return the SQL condition that a row matches its checksum; it always holds where rows have no checksums.

    Args:
        connection: the ledger, which an earlier version may have written.
        table: the table.
        alias: its name in the statement, where that differs.
    """
    name, columns = alias or table, covered_columns(connection, table)
    return f"{name}.{_COLUMN} IS {_call(name, columns)}" if columns else "1"


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


def _columns(connection: sqlite3.Connection, table: str) -> list[tuple[str, bool]]:
    """Return the columns of a table in its order, and whether each is part of the primary key."""
    return connection.execute("SELECT name, pk > 0 FROM pragma_table_info(?) ORDER BY cid", (table,)).fetchall()


def _call(row: str, columns: Iterable[str]) -> str:
    return f"{_FUNCTION}({', '.join(f'{row}.{column}' for column in columns)})"


def _checksum(*values: object) -> bytes:
    # `repr` escapes different characters in different versions of Python.
    return hashlib.blake2b(ascii(values).encode(), digest_size=8).digest()
