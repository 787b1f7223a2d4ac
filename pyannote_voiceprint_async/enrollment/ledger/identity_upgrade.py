"""Recompute identities and labels of a ledger that an earlier version wrote by other rules.

The identity of a recording and the label of a row decide what is billed. When the rules for either improve, a billed
row must not look like a new one.
"""

import sqlite3
from typing import NamedTuple

from pyannote_voiceprint_async.enrollment.manifest.names import normalize_name
from pyannote_voiceprint_async.errors import LedgerError
from pyannote_voiceprint_async.urls.url_identity import url_identity

__all__ = ["upgrade_identities"]

# Raise this number when the rules of `url_identity` or `normalize_name` change.
_RULES = 2


class _Table(NamedTuple):
    """A table in which an identity of a URL, together with another column, identifies a row."""

    name: str
    key: str
    """The other column."""
    urls: str
    """Selects the id, the identity, the key and the URL of its rows.

    If two rows become one, the billed one comes first, then the more useful one, then the newer one.
    """


_TABLES = (
    _Table(
        "recordings",
        "model",
        """
        SELECT id, identity, model, source FROM recordings WHERE identity LIKE 'url:%'
        ORDER BY state IN ('pending', 'failed'),
            NOT EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id), id DESC
        """,
    ),
    # The URL itself is not stored. Its identity still has the parameters that the earlier rules did not recognize.
    _Table(
        "identifications",
        "request",
        """
        SELECT id, identity, request, substr(identity, 5) FROM identifications WHERE identity LIKE 'url:%'
        ORDER BY state IN ('pending', 'failed'), state <> 'succeeded', id DESC
        """,
    ),
)


def upgrade_identities(connection: sqlite3.Connection) -> None:
    """Recompute identities and labels, if earlier rules wrote the ledger.

    Raises:
        LedgerError: later rules wrote the ledger. By the rules of this version, billed URLs would look new.
    """
    found = connection.execute("SELECT value FROM meta WHERE name = 'rules'").fetchone()
    # A damaged number is no reason to stop: recomputing is safe at any time.
    rules = int(found[0]) if found is not None and found[0].isdecimal() else 0
    if rules > _RULES:
        raise LedgerError("The ledger was written by a later version of this package. Install that version.")
    if rules == _RULES:
        return
    for table in _TABLES:
        _upgrade_urls(connection, table)
    _upgrade_labels(connection)
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('rules', ?)", (str(_RULES),))


def _upgrade_urls(connection: sqlite3.Connection, table: _Table) -> None:
    changed = [
        (id_, identity, key)
        for id_, old_identity, key, url in connection.execute(table.urls)
        if (identity := f"url:{url_identity(url)}") != old_identity
    ]
    # Move all old identities out of the way: a new identity must only conflict with other new or unchanged ones.
    connection.executemany(
        f"UPDATE {table.name} SET identity = 'former:' || id WHERE id = ?",  # noqa: S608 - a name of the schema
        [(id_,) for id_, _, _ in changed],
    )
    for id_, identity, key in changed:
        _set_identity(connection, table, id_, identity, key)


def _set_identity(connection: sqlite3.Connection, table: _Table, id_: int, identity: str, key: str) -> None:
    """Store a new identity. If another row has it already, one of the two is kept under `identity#id`."""
    query = f"SELECT id, state IN ('pending', 'failed') FROM {table.name} WHERE identity = ? AND {table.key} = ?"  # noqa: S608 - names of the schema
    update = f"UPDATE {table.name} SET identity = ? WHERE id = ?"  # noqa: S608 - a name of the schema
    other = connection.execute(query, (identity, key)).fetchone()
    if other is not None and other[1]:
        # The other one is not billed: a run with this URL must find the billed row.
        connection.execute(update, (f"{identity}#{other[0]}", other[0]))
    elif other is not None:
        identity = f"{identity}#{id_}"
    connection.execute(update, (identity, id_))


def _upgrade_labels(connection: sqlite3.Connection) -> None:
    labels = connection.execute("SELECT label, recording_id FROM labels").fetchall()
    for label, recording_id in labels:
        normal = normalize_name(label)
        if normal == label:
            continue
        twin = connection.execute("SELECT recording_id FROM labels WHERE label = ?", (normal,)).fetchone()
        if twin is None:
            connection.execute("UPDATE labels SET label = ? WHERE label = ?", (normal, label))
        elif twin == (recording_id,):
            connection.execute("DELETE FROM labels WHERE label = ?", (label,))
        # Two recordings with one name: both are billed or will be billed, so both stay, and `forget` erases both.
