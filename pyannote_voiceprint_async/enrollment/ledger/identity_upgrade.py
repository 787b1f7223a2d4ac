"""Recompute identities and labels of a ledger that an earlier version wrote by other rules.

The identity of a recording and the label of a row decide what is billed. When the rules for either improve, a billed
row must not look like a new one.
"""

import sqlite3

from pyannote_voiceprint_async.enrollment.manifest.names import normalize_name
from pyannote_voiceprint_async.urls.url_identity import url_identity

__all__ = ["upgrade_identities"]

# Raise this number when the rules of `url_identity` or `normalize_name` change.
_RULES = "2"

# If two recordings become one, the billed one comes first, then the one with a label, then the newer one.
_URLS = """
SELECT id, identity, model, source FROM recordings WHERE identity LIKE 'url:%'
ORDER BY state IN ('pending', 'failed'), NOT EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id), id DESC
"""


def upgrade_identities(connection: sqlite3.Connection) -> None:
    """Recompute identities and labels, if other rules wrote the ledger."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'rules'").fetchone()
    if found == (_RULES,):
        return
    _upgrade_urls(connection)
    _upgrade_labels(connection)
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('rules', ?)", (_RULES,))


def _upgrade_urls(connection: sqlite3.Connection) -> None:
    changed = [
        (id_, identity, model)
        for id_, old_identity, model, source in connection.execute(_URLS)
        if (identity := f"url:{url_identity(source)}") != old_identity
    ]
    # Move all old identities out of the way: a new identity must only conflict with other new or unchanged ones.
    connection.executemany(
        "UPDATE recordings SET identity = 'former:' || id WHERE id = ?", [(id_,) for id_, _, _ in changed]
    )
    for id_, identity, model in changed:
        _set_identity(connection, id_, identity, model)


def _set_identity(connection: sqlite3.Connection, id_: int, identity: str, model: str) -> None:
    """Store a new identity. If another recording has it already, one of the two is kept under `identity#id`."""
    query = "SELECT id, state IN ('pending', 'failed') FROM recordings WHERE identity = ? AND model = ?"
    other = connection.execute(query, (identity, model)).fetchone()
    if other is not None and other[1]:
        # The other one is not billed: a list with this URL must find the billed recording.
        connection.execute("UPDATE recordings SET identity = ? WHERE id = ?", (f"{identity}#{other[0]}", other[0]))
    elif other is not None:
        identity = f"{identity}#{id_}"
    connection.execute("UPDATE recordings SET identity = ? WHERE id = ?", (identity, id_))


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
