"""A staged list: a temporary table that is checked as a whole and then applied to the ledger in one transaction.

All functions run in the thread of the database. Those that run before `apply` write only the temporary table.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyannote_voiceprint_async.enrollment.manifest.legacy_identity import legacy_identity
from pyannote_voiceprint_async.enrollment.manifest.names import normalize_name, unicode_forms
from pyannote_voiceprint_async.enrollment.manifest.preflight import CheckedAudio, change_time_ns
from pyannote_voiceprint_async.enrollment.manifest.row_checks import CheckedRow
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, State
from pyannote_voiceprint_async.enrollment.manifest.segments import segments_from_json, segments_to_json

from .report import INVALID_ROWS
from .spending import keep_failed_jobs

__all__ = [
    "apply",
    "count_invalid",
    "create",
    "delete_forgotten",
    "drop",
    "earlier_check",
    "find_conflicts",
    "forgotten_hash",
    "insert",
    "keep_checks",
    "replaced_labels",
    "reset_rows",
    "to_record",
    "to_wrong_record",
]

_CREATE = """
CREATE TEMP TABLE staged (
    position INTEGER PRIMARY KEY,
    line INTEGER,
    label TEXT,
    identity TEXT,
    model TEXT,
    source TEXT,
    is_file INTEGER,
    size INTEGER,
    modified_ns INTEGER,
    expires_at REAL,
    extra TEXT,
    pieces TEXT,
    asked TEXT,
    notes TEXT,
    is_wrong INTEGER NOT NULL
)
"""

# Conflicts of two rows. Columns: position, line and label of the later row, then of the earlier row.
_SAME_LABEL = """
SELECT twin.position, twin.line, twin.label, first.position, first.line, first.label FROM (
    SELECT label, min(position) AS position FROM staged WHERE label IS NOT NULL GROUP BY label HAVING count(*) > 1
) AS named
JOIN staged AS first ON first.position = named.position
JOIN staged AS twin ON twin.label = named.label AND twin.position > named.position
ORDER BY twin.position
"""

_SAME_AUDIO = """
SELECT twin.position, twin.line, twin.label, first.position, first.line, first.label FROM (
    SELECT identity, min(position) AS position FROM staged WHERE identity IS NOT NULL
    GROUP BY identity HAVING count(*) > 1
) AS shared
JOIN staged AS first ON first.position = shared.position
JOIN staged AS twin ON twin.identity = shared.identity AND twin.position > shared.position
AND twin.label <> first.label
ORDER BY twin.position
"""

# The same audio was billed under a label of an earlier list that this list does not have.
_SAME_AUDIO_IN_LEDGER = """
SELECT staged.position, staged.line, staged.label, staged.position, NULL, min(labels.label) FROM staged
JOIN recordings USING (identity)
JOIN labels ON labels.recording_id = recordings.id AND normal_name(labels.label) <> staged.label
WHERE recordings.state NOT IN ('pending', 'failed')
AND NOT EXISTS (SELECT 1 FROM staged AS listed WHERE listed.label = labels.label AND NOT listed.is_wrong)
AND NOT EXISTS (SELECT 1 FROM labels AS own WHERE own.label = staged.label AND own.recording_id = recordings.id)
GROUP BY staged.position ORDER BY staged.position
"""

# A billed label whose URL differs from the billed one only in its query: the URL was probably signed anew, in a way
# that `url_identity` does not recognize. It is no conflict if this URL is billed too, or the label is not billed for
# this model.
_SIGNED_ANEW = """
SELECT staged.position, staged.line, staged.label, staged.position, NULL, staged.label
FROM staged JOIN labels USING (label) JOIN recordings AS paid ON paid.id = labels.recording_id
WHERE NOT staged.is_wrong AND staged.identity LIKE 'url:%'
AND paid.model = staged.model AND paid.state NOT IN ('pending', 'failed') AND paid.identity <> staged.identity
AND substr(paid.identity, 1, instr(paid.identity || '?', '?') - 1)
    = substr(staged.identity, 1, instr(staged.identity || '?', '?') - 1)
AND NOT EXISTS (SELECT 1 FROM recordings AS own WHERE own.identity = staged.identity AND own.model = staged.model
    AND own.state NOT IN ('pending', 'failed'))
ORDER BY staged.position
"""

# The result of an earlier check of an unchanged file. A file that was billed as a whole is not checked again. A file
# that failed because it had changed (reason 'file', written by `sender.py`) is checked again, or it would fail forever.
# The warnings of an applied list were reported by its run; those of a refused list are reported now.
_EARLIER_CHECK = """
SELECT identity, pieces, NULL FROM recordings
WHERE source = :source AND is_file AND size = :size AND modified_ns = :modified_ns AND reason IS NOT 'file'
AND (asked = :asked OR (:is_whole AND pieces IS NULL AND state NOT IN ('pending', 'failed')))
UNION ALL
SELECT identity, pieces, notes FROM looks
WHERE source = :source AND size = :size AND modified_ns = :modified_ns AND asked = :asked
LIMIT 1
"""

_KEEP_CHECKS = """
INSERT OR REPLACE INTO looks (source, asked, size, modified_ns, identity, pieces, notes)
SELECT source, asked, size, modified_ns, identity, pieces, notes FROM temp.staged WHERE is_file AND notes IS NOT NULL
"""

# A finished recording keeps its source; an unfinished one gets the newest signature. A file may have moved.
_APPLY_RECORDINGS = """
INSERT INTO recordings (identity, model, source, is_file, size, modified_ns, expires_at, pieces, asked, notes)
SELECT identity, model, source, is_file, size, modified_ns, expires_at, pieces, asked, notes FROM staged
WHERE NOT is_wrong ORDER BY position
ON CONFLICT (identity, model) DO UPDATE SET
    source = excluded.source, is_file = excluded.is_file, size = excluded.size,
    modified_ns = excluded.modified_ns, expires_at = excluded.expires_at,
    pieces = excluded.pieces, asked = excluded.asked, notes = coalesce(excluded.notes, notes)
WHERE excluded.is_file OR state NOT IN ('succeeded', 'expired')
"""

# If a label gets another recording, the old recording keeps its state.
_APPLY_LABELS = """
INSERT INTO labels (label, recording_id, listed_in, position, extra)
SELECT label, recordings.id, :run, position, extra
FROM staged JOIN recordings USING (identity, model) WHERE NOT is_wrong ORDER BY position
ON CONFLICT (label) DO UPDATE SET
    recording_id = excluded.recording_id, listed_in = excluded.listed_in,
    position = excluded.position, extra = excluded.extra
"""

# A label that was corrected before anything was sent must not get the voiceprint as well.
_DELETE_CORRECTED_LABELS = """
DELETE FROM labels WHERE listed_in < :run
AND recording_id IN (SELECT recording_id FROM labels WHERE listed_in = :run)
AND recording_id IN (SELECT id FROM recordings WHERE state IN ('pending', 'failed'))
"""

# A recording that gets a label again was missing from earlier exports: `purge` must not treat it as exported.
_TOUCH_RETURNED = """
UPDATE recordings SET finished_at = :now + 0.001
WHERE state = 'succeeded' AND NOT EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id)
AND EXISTS (SELECT 1 FROM staged WHERE NOT is_wrong AND staged.identity = recordings.identity)
"""

# Billed labels with another recording, and whether that one is billed as well.
_REPLACED = """
SELECT staged.label, EXISTS (SELECT 1 FROM recordings AS own WHERE own.identity = staged.identity
    AND own.model = staged.model AND own.state NOT IN ('pending', 'failed'))
FROM staged JOIN labels USING (label) JOIN recordings ON recordings.id = labels.recording_id
WHERE NOT is_wrong AND recordings.identity <> staged.identity AND recordings.state NOT IN ('pending', 'failed')
ORDER BY staged.position
"""

_RETRY_RENEWED_URLS = """
UPDATE recordings SET state = 'pending', error = NULL, reason = NULL
WHERE state = 'failed' AND reason = 'url-expired' AND (expires_at IS NULL OR expires_at > :now)
"""

_RETRY = """
UPDATE recordings SET state = 'pending', error = NULL, reason = NULL
WHERE state = :state AND instr(lower(normal_name(coalesce(error, ''))), lower(normal_name(:text)))
AND id IN (SELECT recording_id FROM labels WHERE listed_in = :run)
"""

_CLEAR_JOBS = """
UPDATE recordings SET job_id = NULL WHERE state = 'pending' AND job_id IS NOT NULL
"""

_SHARE = (
    "two labels for one recording are nearly always a mistake. If it is intended, --allow-shared-audio submits the "
    "audio once for both"
)
_REPLACE = (
    "the label is already billed, and its URL differs from the billed one only in its query. If the URL was only "
    "signed anew, leave the row out: the ledger keeps its voiceprint. If it is another recording, --replace (in "
    "Python, replace=True) submits it, and it is billed again"
)

_CONFLICTS: Mapping[str, tuple[str, str]] = {
    "label": (_SAME_LABEL, "the label is there twice{where}; each speaker needs a label of its own"),
    "audio": (_SAME_AUDIO, f"the same audio is under {{label!r}}{{where}}; {_SHARE}"),
    "paid audio": (_SAME_AUDIO_IN_LEDGER, f"the same audio is under {{label!r}} in the ledger; {_SHARE}"),
    "signature": (_SIGNED_ANEW, _REPLACE),
}


def create(connection: sqlite3.Connection) -> None:
    """Create the empty table; a list that was staged before and not applied is dropped."""
    connection.create_function("normal_name", 1, normalize_name, deterministic=True)
    drop(connection)
    connection.execute(_CREATE)


def drop(connection: sqlite3.Connection) -> None:
    """Drop the table."""
    connection.execute("DROP TABLE IF EXISTS temp.staged")


def insert(connection: sqlite3.Connection, records: Sequence[Sequence[Any]]) -> None:
    """Add rows as `to_record` and `to_wrong_record` return them."""
    connection.executemany(f"INSERT INTO temp.staged VALUES ({', '.join('?' * 15)})", records)  # noqa: S608 - marks only


def to_record(position: int, checked: CheckedRow, settings_key: str) -> tuple[Any, ...]:
    """Return the values of a row without a problem.

    Args:
        position: its position in the list.
        checked: the row.
        settings_key: the settings by which its file was checked; empty for a URL.
    """
    row, audio = checked.row, checked.audio
    warnings = None if audio.warnings is None else json.dumps(audio.warnings, ensure_ascii=False)
    extra = json.dumps(dict(row.extra), ensure_ascii=False, default=str) if row.extra else "{}"
    return (
        position, row.line, row.label, audio.identity, row.model, str(row.source), checked.is_file, audio.size,
        audio.modified_ns, audio.expires_at, extra, segments_to_json(audio.segments), settings_key, warnings, False,
    )  # fmt: skip


def to_wrong_record(position: int, problem: Problem) -> tuple[Any, ...]:
    """Return the values of a row with a problem. It keeps its label, which another row may have as well."""
    label = None if problem.label is None else normalize_name(problem.label)
    return (position, problem.line, label, *[None] * 11, True)


def earlier_check(
    connection: sqlite3.Connection, path: Path, found: os.stat_result, settings_key: str, *, is_whole: bool
) -> CheckedAudio | None:
    """Return the result of an earlier check of a file by the same settings, if the file has not changed since.

    Args:
        connection: the ledger.
        path: the file.
        found: its `path.stat()`.
        settings_key: the settings of the check.
        is_whole: whether the whole file is wanted, not segments of it.
    """
    values = {
        "source": str(path.absolute()),
        "size": found.st_size,
        "modified_ns": change_time_ns(found),
        "asked": settings_key,
        "is_whole": is_whole,
    }
    row = connection.execute(_EARLIER_CHECK, values).fetchone()
    if row is None:
        return None
    identity, segments, warnings = row
    return CheckedAudio(
        identity, segments_from_json(segments), None if warnings is None else tuple(json.loads(warnings))
    )


def delete_forgotten(connection: sqlite3.Connection) -> int:
    """Delete the rows of people whom `forget` has erased, and return their number."""
    hashes = {hash_ for (hash_,) in connection.execute("SELECT hash FROM forgotten")}
    if not hashes:
        return 0
    salt = connection.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()[0]

    def is_forgotten(label: str, identity: str, source: str) -> bool:
        # Earlier versions hashed the label in the Unicode form of the list, and an identity by other rules.
        legacy = [f"url:{legacy_identity(source)}"] if identity.startswith("url:") else []
        return any(forgotten_hash(salt, text) in hashes for text in {*unicode_forms(label), identity, *legacy})

    staged = connection.execute("SELECT position, label, identity, source FROM temp.staged WHERE NOT is_wrong")
    deleted = [(position,) for position, *row in staged if is_forgotten(*row)]
    connection.executemany("DELETE FROM temp.staged WHERE position = ?", deleted)
    return len(deleted)


def find_conflicts(connection: sqlite3.Connection, *, allow_shared_audio: bool, replace: bool) -> Iterator[Problem]:
    """Yield the conflicts between rows, and mark every row of a conflict invalid: no row can be trusted more.

    Args:
        connection: the ledger.
        allow_shared_audio: the same audio may have several labels.
        replace: a billed label may get a URL that differs only in its query.
    """
    connection.execute("CREATE INDEX temp.staged_by_label ON staged (label)")
    connection.execute("CREATE INDEX temp.staged_by_identity ON staged (identity)")
    allowed = {"audio", "paid audio"} if allow_shared_audio else set[str]()
    allowed |= {"signature"} if replace else set()
    for kind, (query, message) in _CONFLICTS.items():
        if kind not in allowed:
            yield from _find_conflicts(connection, query, message)


def count_invalid(connection: sqlite3.Connection) -> int:
    """Return the number of rows with a problem."""
    return int(connection.execute("SELECT count(*) FROM staged WHERE is_wrong").fetchone()[0])


def replaced_labels(connection: sqlite3.Connection) -> Iterator[tuple[str, bool]]:
    """Yield the labels that get another recording although their earlier one is billed, and whether the new one is too.

    To be called before `apply`.
    """
    for label, is_paid in connection.execute(_REPLACED):
        yield label, bool(is_paid)


def apply(
    connection: sqlite3.Connection,
    *,
    run: int,
    now: float,
    invalid: int,
    allow_shared_audio: bool,
) -> None:
    """Write the rows without a problem into the ledger."""
    meta = {"run": str(run), INVALID_ROWS: str(invalid)}
    connection.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", meta.items())
    connection.execute(_APPLY_RECORDINGS)
    connection.execute(_TOUCH_RETURNED, {"now": now})
    connection.execute(_APPLY_LABELS, {"run": run})
    if not allow_shared_audio:
        connection.execute(_DELETE_CORRECTED_LABELS, {"run": run})
    connection.execute("DELETE FROM looks")  # the recordings have the results of the checks now


def reset_rows(
    connection: sqlite3.Connection, *, run: int, now: float, retry_failed: str | None, retry_expired: bool
) -> None:
    """Reset rows of this run's list to pending: those with a renewed URL, and those that the caller retries."""
    with keep_failed_jobs(connection):
        connection.execute(_RETRY_RENEWED_URLS, {"now": now})
        if retry_failed is not None:
            connection.execute(_RETRY, {"state": State.FAILED, "text": retry_failed, "run": run})
        if retry_expired:
            connection.execute(_RETRY, {"state": State.EXPIRED, "text": "", "run": run})
        connection.execute(_CLEAR_JOBS)


def keep_checks(connection: sqlite3.Connection) -> None:
    """Store the results of audio checks of a refused list: the corrected list does not repeat hours of decoding."""
    connection.execute(_KEEP_CHECKS)


def forgotten_hash(salt: str, text: str) -> bytes:
    """Return the hash that remains of an erased label or identity."""
    return hashlib.sha256(f"{salt} forgotten {text}".encode()).digest()


def _find_conflicts(connection: sqlite3.Connection, query: str, message: str) -> Iterator[Problem]:
    invalid = set()
    for position, line, label, other, other_line, other_label in connection.execute(query):
        where = f" (line {other_line})" if other_line else ""
        yield Problem(message.format(label=other_label, where=where), label, line)
        invalid |= {position, other}
    connection.executemany("UPDATE staged SET is_wrong = 1 WHERE position = ?", [(at,) for at in invalid])
