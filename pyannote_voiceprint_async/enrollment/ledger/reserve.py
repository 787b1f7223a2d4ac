"""Room inside the ledger file that is freed for job ids when the disk is full."""

import sqlite3

__all__ = ["FREE_STEPS", "fill_reserve", "free_reserve"]

_BLOCKS, _BLOCK_BYTES = 32, 4096

FREE_STEPS = (1, 4, _BLOCKS)
"""How many blocks a write frees in each attempt: first as few as possible, because other writes may need room too."""


def fill_reserve(connection: sqlite3.Connection) -> None:
    """Allocate all blocks that are missing, within a transaction of the caller."""
    connection.executemany(
        "INSERT OR IGNORE INTO reserve VALUES (?, zeroblob(?))", [(number, _BLOCK_BYTES) for number in range(_BLOCKS)]
    )


def free_reserve(connection: sqlite3.Connection, *, blocks: int) -> None:
    """Free some blocks, within a transaction of the caller."""
    connection.execute("DELETE FROM reserve WHERE id IN (SELECT id FROM reserve ORDER BY id LIMIT ?)", (blocks,))
