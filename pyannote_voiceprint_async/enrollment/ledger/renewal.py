"""Bring identities and labels of an earlier ledger to the rules of this version, once.

A ledger knows what is paid by the identity of a recording and by a label. Where the rules for either became better,
a paid row must not look like a new one.
"""

import sqlite3

from pyannote_voiceprint_async.enrollment.manifest.names import normalize_name
from pyannote_voiceprint_async.enrollment.manifest.url_identity import url_identity

__all__ = ["renew"]

# Raised when the rules of `url_identity` or `normal_name` change.
_RULES = "2"

_MARK = "INSERT OR REPLACE INTO meta (name, value) VALUES ('rules', ?)"
# Of two recordings that become one, the paid one goes first, then the one with a label, then the newer one.
_URLS = """
SELECT id, identity, model, source FROM recordings WHERE identity LIKE 'url:%'
ORDER BY state IN ('pending', 'failed'), NOT EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id), id DESC
"""


def renew(connection: sqlite3.Connection) -> None:
    """Compute identities and labels anew, if the ledger is of a version with other rules."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'rules'").fetchone()
    if found == (_RULES,):
        return
    _renew_identities(connection)
    _renew_labels(connection)
    connection.execute(_MARK, (_RULES,))


def _renew_identities(connection: sqlite3.Connection) -> None:
    changed = [
        (number, identity, model)
        for number, former, model, source in connection.execute(_URLS)
        if (identity := f"url:{url_identity(source)}") != former
    ]
    # All at once out of the way, so that only the new identities meet each other and those that stay.
    connection.executemany(
        "UPDATE recordings SET identity = 'former:' || id WHERE id = ?", [one[:1] for one in changed]
    )
    for number, identity, model in changed:
        _give(connection, number, identity, model)


def _give(connection: sqlite3.Connection, number: int, identity: str, model: str) -> None:
    """Store a new identity. Where two recordings are one object, one of them keeps what it has, marked with its id."""
    place = "SELECT id, state IN ('pending', 'failed') FROM recordings WHERE identity = ? AND model = ?"
    other = connection.execute(place, (identity, model)).fetchone()
    if other is not None and other[1]:
        # Unpaid: listing the object must find the paid one.
        connection.execute("UPDATE recordings SET identity = ? WHERE id = ?", (f"{identity}#{other[0]}", other[0]))
    elif other is not None:
        identity = f"{identity}#{number}"
    connection.execute("UPDATE recordings SET identity = ? WHERE id = ?", (identity, number))


def _renew_labels(connection: sqlite3.Connection) -> None:
    labels = connection.execute("SELECT label, recording_id FROM labels").fetchall()
    for label, recording in labels:
        normal = normalize_name(label)
        if normal == label:
            continue
        twin = connection.execute("SELECT recording_id FROM labels WHERE label = ?", (normal,)).fetchone()
        if twin is None:
            connection.execute("UPDATE labels SET label = ? WHERE label = ?", (normal, label))
        elif twin == (recording,):
            connection.execute("DELETE FROM labels WHERE label = ?", (label,))
        # Two recordings of one name: both are paid or to be paid, so both stay, and `forget` erases both.
