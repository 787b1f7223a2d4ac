"""A list of speakers into the ledger: everything that is wrong is found before a cent is spent."""

import asyncio
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

import attrs

from pyannote_voiceprint_async.enrollment.events import RowWarning
from pyannote_voiceprint_async.enrollment.manifest.names import normalize_name, unicode_forms
from pyannote_voiceprint_async.enrollment.manifest.preflight import (
    PREFLIGHT_UNAVAILABLE,
    CheckedAudio,
    Preflight,
    change_time_ns,
)
from pyannote_voiceprint_async.enrollment.manifest.row_checks import CheckedRow, CheckFile, check_row
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row, State
from pyannote_voiceprint_async.enrollment.manifest.segments import Segments, segments_from_json, segments_to_json
from pyannote_voiceprint_async.enrollment.manifest.url_identity import legacy_identity
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.errors import LedgerError, ManifestError

from .counts import LEFT_OUT
from .renewal import renew
from .store import LedgerStore

__all__ = ["Staging", "forgotten_hash"]

_AT_ONCE = 500
# A list that is wrong all over says enough in so many lines.
_MOST_PROBLEMS = 1000
_MOST_NOTES = 1000

_STAGED = """
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

# What is wrong with two rows together: the later one, its line and label; the earlier one, its line and label.
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

# With a label of an earlier list that this one has not, and whose audio was paid.
_SAME_AUDIO_IN_LEDGER = """
SELECT staged.position, staged.line, staged.label, staged.position, NULL, min(labels.label) FROM staged
JOIN recordings USING (identity)
JOIN labels ON labels.recording_id = recordings.id AND normal_name(labels.label) <> staged.label
WHERE recordings.state NOT IN ('pending', 'failed')
AND NOT EXISTS (SELECT 1 FROM staged AS listed WHERE listed.label = labels.label AND NOT listed.is_wrong)
AND NOT EXISTS (SELECT 1 FROM labels AS own WHERE own.label = staged.label AND own.recording_id = recordings.id)
GROUP BY staged.position ORDER BY staged.position
"""

# A label that is paid, with a URL that differs in nothing but its query: probably signed anew, in a way that is not
# known. What is paid under the listed URL too, or was never paid under this model, is no second bill.
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

# What was paid as a whole is not looked at any more: whatever is wrong with it, its voiceprint is there. What failed
# because it was not what it should be ('file' is written by `sender.py`) is looked at anew, or would fail forever.
# Its notes were told then, but for those of a list that was refused.
_KNOWN = """
SELECT identity, pieces, NULL FROM recordings
WHERE source = :source AND is_file AND size = :size AND modified_ns = :modified_ns AND reason IS NOT 'file'
AND (asked = :asked OR (:is_whole AND pieces IS NULL AND state NOT IN ('pending', 'failed')))
UNION ALL
SELECT identity, pieces, notes FROM looks
WHERE source = :source AND size = :size AND modified_ns = :modified_ns AND asked = :asked
LIMIT 1
"""

_KEEP_LOOKS = """
INSERT OR REPLACE INTO looks (source, asked, size, modified_ns, identity, pieces, notes)
SELECT source, asked, size, modified_ns, identity, pieces, notes FROM temp.staged WHERE is_file AND notes IS NOT NULL
"""

# A row that is finished stays as it is; one that is not takes over the newest signature. A file may have moved.
_MERGE_RECORDINGS = """
INSERT INTO recordings (identity, model, source, is_file, size, modified_ns, expires_at, pieces, asked, notes)
SELECT identity, model, source, is_file, size, modified_ns, expires_at, pieces, asked, notes FROM staged
WHERE NOT is_wrong ORDER BY position
ON CONFLICT (identity, model) DO UPDATE SET
    source = excluded.source, is_file = excluded.is_file, size = excluded.size,
    modified_ns = excluded.modified_ns, expires_at = excluded.expires_at,
    pieces = excluded.pieces, asked = excluded.asked, notes = coalesce(excluded.notes, notes)
WHERE excluded.is_file OR state NOT IN ('succeeded', 'expired')
"""

# Where a label now means another recording, its old one keeps what it has.
_MERGE_LABELS = """
INSERT INTO labels (label, recording_id, listed_in, position, extra)
SELECT label, recordings.id, :run, position, extra
FROM staged JOIN recordings USING (identity, model) WHERE NOT is_wrong ORDER BY position
ON CONFLICT (label) DO UPDATE SET
    recording_id = excluded.recording_id, listed_in = excluded.listed_in,
    position = excluded.position, extra = excluded.extra
"""

# A name that was corrected before anything was sent must not get the voiceprint too.
_CORRECTED = """
DELETE FROM labels WHERE listed_in < :run
AND recording_id IN (SELECT recording_id FROM labels WHERE listed_in = :run)
AND recording_id IN (SELECT id FROM recordings WHERE state IN ('pending', 'failed'))
"""

# What comes back into the ledger's labels was not in its exports: `purge` must not take it for exported.
_COME_BACK = """
UPDATE recordings SET finished_at = :now + 0.001
WHERE state = 'succeeded' AND NOT EXISTS (SELECT 1 FROM labels WHERE recording_id = recordings.id)
AND EXISTS (SELECT 1 FROM staged WHERE NOT is_wrong AND staged.identity = recordings.identity)
"""

_REPLACED = """
SELECT count(*) FROM staged JOIN labels USING (label) JOIN recordings ON recordings.id = labels.recording_id
WHERE NOT is_wrong AND recordings.identity <> staged.identity AND state NOT IN ('pending', 'failed')
"""

_RENEWED = """
UPDATE recordings SET state = 'pending', error = NULL, reason = NULL
WHERE state = 'failed' AND reason = 'url-expired' AND (expires_at IS NULL OR expires_at > :now)
"""

_RETRIED = """
UPDATE recordings SET state = 'pending', error = NULL, reason = NULL
WHERE state = :state AND instr(lower(normal_name(coalesce(error, ''))), lower(normal_name(:text)))
AND id IN (SELECT recording_id FROM labels WHERE listed_in = :run)
"""

_TO_BE_PAID_AGAIN = """
UPDATE recordings SET job_id = NULL WHERE state = 'pending' AND job_id IS NOT NULL
"""


@attrs.define
class Staging:
    """One list on its way into the ledger.

    Args:
        ledger: where to.
        model: of rows that name none.
        resolves: sources are given to `resolve`, so that they may be anything.
        allow_shared_audio: the same audio may have several labels; it is submitted once.
        skip_invalid: go on without the rows that are wrong.
        replace: pay again for labels whose URL differs from the paid one only in its query.
        preflight: files are looked at, where that is possible.
        trim: the best part is taken of what is too long.
    """

    ledger: LedgerStore
    model: str
    resolves: bool = False
    allow_shared_audio: bool = False
    skip_invalid: bool = False
    replace: bool = False
    preflight: bool = True
    trim: bool = False
    problems: list[Problem] = attrs.field(factory=list, init=False)
    """What is wrong, in the order of the list; the first thousand."""
    rows_read: int = attrs.field(default=0, init=False)
    """How many rows were read so far."""
    checking: str | None = attrs.field(default=None, init=False)
    """The name of the file that is being looked at."""
    invalid: int = attrs.field(default=0, init=False)
    """How many rows are left out for being wrong."""
    forgotten: int = attrs.field(default=0, init=False)
    """How many rows were erased by `forget`, and are not enrolled again."""
    replaced: int = attrs.field(default=0, init=False)
    """How many rows have another recording than before, which was paid."""
    _preflight: Preflight = attrs.field(init=False)
    _noted: int = attrs.field(default=0, init=False)
    _told: list[tuple[str, str, list[str]]] = attrs.field(factory=list, init=False)
    _more: Counter[tuple[str, str]] = attrs.field(factory=Counter, init=False)
    _is_given_up: bool = attrs.field(default=False, init=False)

    @property
    def warnings(self) -> Iterator[RowWarning]:
        """What is to be told of rows, of the first thousand; what holds for several parts of a file is told once."""
        for label, source, notes in self._told:
            said = [note + _too(self._more[source, note]) for note in notes]
            yield RowWarning(label, "; ".join(said))

    @classmethod
    def for_run(cls, ledger: LedgerStore, options: Options) -> Self:
        """Make one for a run, or its rehearsal."""
        return cls(
            ledger,
            options.model,
            options.resolve is not None,
            options.allow_shared_audio,
            options.skip_invalid,
            options.replace,
            options.preflight,
            options.trim,
        )

    async def stage(self, rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem]) -> None:
        """Read and check the list. Only what was heard of its files is kept in the ledger.

        Args:
            rows: the list; read once, in pieces. A plain iterable is read in a worker thread.

        Raises:
            ManifestError: something is wrong, and `skip_invalid` was not said.
            ConfigurationError: a row is to be cut, and the extra `[audio]` is missing.
        """
        self._preflight = await asyncio.to_thread(
            Preflight.create, is_wanted=self.preflight, trim=self.trim, is_canceled=lambda: self._is_given_up
        )
        database = self.ledger.database
        await database.read(_prepare)
        await database.atomic(renew)
        try:
            await self._read_and_check(rows)
        except BaseException:
            self._is_given_up = True
            with suppress(LedgerError):  # what cannot be kept is heard once more
                await database.atomic(lambda connection: connection.execute(_KEEP_LOOKS).close())
            raise

    async def apply(self, *, now: float, retry_failed: str | None = None, retry_expired: bool = False) -> None:
        """Let the ledger have the staged list.

        Args:
            now: UTC epoch seconds.
            retry_failed: rows that failed with this in their text are tried again; an empty text is all of them.
            retry_expired: rows that were paid and whose output is gone are paid again.
        """
        await self.ledger.database.atomic(lambda connection: self._merge(connection, now, retry_failed, retry_expired))

    async def _read_and_check(self, rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem]) -> None:
        database = self.ledger.database
        async for piece in _pieces(rows):
            await database.read(partial(self._stage, piece=piece, position=self.rows_read))
            self.rows_read += len(piece)
        await database.read(self._check)
        if self.problems and not self.skip_invalid:
            raise _wrong(self.problems, self._noted)

    # In the ledger's thread

    def _stage(self, connection: sqlite3.Connection, piece: Sequence[Row | Problem], position: int) -> None:
        preflight = self._preflight

        def check_file(path: Path, found: os.stat_result, pieces: Segments) -> CheckedAudio:
            known = _known(connection, path, found, preflight.settings_key(pieces), is_whole=not pieces)
            if known:
                return known
            self.checking = path.name
            try:
                return preflight.check_file(path, found, pieces)
            finally:
                self.checking = None

        staged = []
        for at, row in enumerate(piece, position):
            if self._is_given_up:
                return  # files may be large, and many
            seen = row if isinstance(row, Problem) else self._check_row(row, check_file)
            if isinstance(seen, Problem):
                self._note(seen)
                staged.append(_wrong_record(at, seen))
            else:
                self._tell(seen)
                staged.append(_to_record(at, seen, preflight))
        connection.executemany("INSERT INTO temp.staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", staged)

    def _check_row(self, row: Row, check_file: CheckFile) -> CheckedRow | Problem:
        trim = self._preflight.trim
        return check_row(row, model=self.model, has_resolver=self.resolves, check_file=check_file, trim=trim)

    def _check(self, connection: sqlite3.Connection) -> None:
        """Find what is wrong with the list as a whole. All who are concerned are: nobody can say who is right."""
        connection.execute("CREATE INDEX temp.staged_by_label ON staged (label)")
        connection.execute("CREATE INDEX temp.staged_by_identity ON staged (identity)")
        self._take_out_forgotten(connection)
        self._find(connection, _SAME_LABEL, "the label is there twice{where}; each speaker needs a name of their own")
        if not self.allow_shared_audio:
            self._find(connection, _SAME_AUDIO, f"the same audio is under {{label!r}}{{where}}; {_SHARE}")
            self._find(
                connection, _SAME_AUDIO_IN_LEDGER, f"the same audio is under {{label!r}} in the ledger; {_SHARE}"
            )
        if not self.replace:
            self._find(connection, _SIGNED_ANEW, _REPLACE)
        self.invalid = connection.execute("SELECT count(*) FROM staged WHERE is_wrong").fetchone()[0]
        self.problems.sort(key=lambda problem: problem.line or 0)

    def _find(self, connection: sqlite3.Connection, pairs: str, message: str) -> None:
        wrong = set()
        for position, line, label, other, other_line, other_label in connection.execute(pairs):
            where = f" (line {other_line})" if other_line else ""
            self._note(Problem(message.format(label=other_label, where=where), label, line))
            wrong |= {position, other}
        connection.executemany("UPDATE staged SET is_wrong = 1 WHERE position = ?", [(at,) for at in wrong])

    def _take_out_forgotten(self, connection: sqlite3.Connection) -> None:
        hashes = {one for (one,) in connection.execute("SELECT hash FROM forgotten")}
        if not hashes:
            return
        salt = connection.execute("SELECT value FROM meta WHERE name = 'salt'").fetchone()[0]

        def is_forgotten(label: str, identity: str, source: str) -> bool:
            # Earlier versions hashed a label in the form in which it was listed, and an identity by other rules.
            former = [f"url:{legacy_identity(source)}"] if identity.startswith("url:") else []
            return any(forgotten_hash(salt, text) in hashes for text in {*unicode_forms(label), identity, *former})

        staged = connection.execute("SELECT position, label, identity, source FROM temp.staged WHERE NOT is_wrong")
        gone = [(position,) for position, *known in staged if is_forgotten(*known)]
        connection.executemany("DELETE FROM temp.staged WHERE position = ?", gone)
        self.forgotten = len(gone)

    def _merge(
        self,
        connection: sqlite3.Connection,
        now: float,
        retry_failed: str | None,
        retry_expired: bool,  # noqa: FBT001
    ) -> None:
        run = self.ledger.run
        meta = {"run": str(run), LEFT_OUT: str(self.invalid)}
        connection.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", meta.items())
        connection.execute(_MERGE_RECORDINGS)
        connection.execute(_COME_BACK, {"now": now})
        (self.replaced,) = connection.execute(_REPLACED).fetchone()
        connection.execute(_MERGE_LABELS, {"run": run})
        if not self.allow_shared_audio:
            connection.execute(_CORRECTED, {"run": run})
        connection.execute(_RENEWED, {"now": now})
        if retry_failed is not None:
            connection.execute(_RETRIED, {"state": State.FAILED, "text": retry_failed, "run": run})
        if retry_expired:
            connection.execute(_RETRIED, {"state": State.EXPIRED, "text": "", "run": run})
        connection.execute(_TO_BE_PAID_AGAIN)
        # The recordings have it now.
        connection.execute("DELETE FROM looks")
        connection.execute("DROP TABLE temp.staged")

    def _tell(self, seen: CheckedRow) -> None:
        is_unchecked = self._preflight.is_unavailable and seen.is_file and seen.audio.warnings is not None
        blindness = (PREFLIGHT_UNAVAILABLE,) if is_unchecked else ()
        told = []
        for note in (*seen.row.warnings, *(seen.audio.warnings or ()), *blindness):
            # Blindness is that of all files.
            key = ("" if note is PREFLIGHT_UNAVAILABLE else str(seen.row.source), note)
            if key in self._more:
                self._more[key] += note is not PREFLIGHT_UNAVAILABLE
            elif len(self._more) < _MOST_NOTES:
                self._more[key] = 0
                told.append(note)
        if told:
            self._told.append((seen.row.label, str(seen.row.source), told))

    def _note(self, problem: Problem) -> None:
        self._noted += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


_SHARE = (
    "two names for one voice are nearly always a mistake. If it is none, --allow-shared-audio submits it once for both"
)
_REPLACE = (
    "the label is already paid, and its URL differs from the paid one only in its query. If the URL was only signed "
    "anew, leave the row out: the ledger keeps its voiceprint. If it is another recording, --replace (in Python, "
    "replace=True) submits it, and it is paid"
)


def _too(more: int) -> str:
    return f" ({more} more of this file, too)" if more else ""


def forgotten_hash(salt: str, text: str) -> bytes:
    """Give what is left of a label or an identity that was erased."""
    return hashlib.sha256(f"{salt} forgotten {text}".encode()).digest()


def _wrong(problems: Sequence[Problem], count: int) -> ManifestError:
    more = f"\n  and {count - len(problems)} more" if count > len(problems) else ""
    things = "one thing is" if count == 1 else f"{count} things are"
    return ManifestError(
        f"Nothing was sent: {things} wrong with the list. Correct it, or go on without those rows (--skip-invalid; in "
        "Python, skip_invalid=True).\n" + "\n".join(f"  {problem}" for problem in problems) + more,
        problems=problems,
    )


def _known(
    connection: sqlite3.Connection, path: Path, found: os.stat_result, asked: str, *, is_whole: bool
) -> CheckedAudio | None:
    """Give what is known of a file that an earlier run looked at in the same way, and that has not changed since."""
    values = {
        "source": str(path.absolute()),
        "size": found.st_size,
        "modified_ns": change_time_ns(found),
        "asked": asked,
        "is_whole": is_whole,
    }
    known = connection.execute(_KNOWN, values).fetchone()
    if known is None:
        return None
    identity, pieces, notes = known
    return CheckedAudio(identity, segments_from_json(pieces), None if notes is None else tuple(json.loads(notes)))


def _to_record(position: int, seen: CheckedRow, preflight: Preflight) -> tuple[Any, ...]:
    row, audio = seen.row, seen.audio
    asked = preflight.settings_key(row.segments) if seen.is_file else ""
    notes = None if audio.warnings is None else json.dumps(audio.warnings, ensure_ascii=False)
    extra = json.dumps(dict(row.extra), ensure_ascii=False, default=str) if row.extra else "{}"
    return (
        position, row.line, row.label, audio.identity, row.model, str(row.source), seen.is_file,
        audio.size, audio.modified_ns, audio.expires_at, extra, segments_to_json(audio.segments), asked, notes, False,
    )  # fmt: skip


def _prepare(connection: sqlite3.Connection) -> None:
    connection.create_function("normal_name", 1, normalize_name, deterministic=True)
    connection.execute("DROP TABLE IF EXISTS temp.staged")
    connection.execute(_STAGED)


def _wrong_record(position: int, problem: Problem) -> tuple[Any, ...]:
    """What is wrong by itself still has a name, which another row may have, too."""
    label = None if problem.label is None else normalize_name(problem.label)
    return (position, problem.line, label, *[None] * 11, True)


async def _pieces(rows: Iterable[Row | Problem] | AsyncIterable[Row | Problem]) -> AsyncIterator[list[Row | Problem]]:
    if isinstance(rows, AsyncIterable):
        piece = []
        async for row in rows:
            piece.append(row)
            if len(piece) == _AT_ONCE:
                yield piece
                piece = []
        if piece:
            yield piece
        return
    iterator: Iterator[Row | Problem] = await asyncio.to_thread(iter, rows)
    while piece := await asyncio.to_thread(lambda: list(islice(iterator, _AT_ONCE))):
        yield piece
