"""The write transaction of SQLite files: every INSERT, UPDATE and DELETE of the package runs inside `atomic()`."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["atomic"]


@contextmanager
def atomic(connection: sqlite3.Connection, execute: Callable[[str], object] | None = None) -> Iterator[None]:
    """Commit everything that the body writes, or nothing of it if an exception leaves the body.

    Args:
        connection: an open connection without a transaction.
        execute: runs BEGIN and COMMIT; by default the connection does, which waits only for SQLite's timeout.
    """
    run = execute or connection.execute
    run("BEGIN IMMEDIATE")
    try:
        yield
        run("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                connection.execute("ROLLBACK")
        raise
