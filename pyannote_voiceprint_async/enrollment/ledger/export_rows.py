"""Read the rows of a ledger for an export, in pages, so that a run never waits for a long export."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pyannote_voiceprint_async.enrollment.manifest.segments import format_segments, segments_from_json
from pyannote_voiceprint_async.redaction import redact_url

from .checksums import intact
from .connection import open_read_only
from .earlier_output import EXPORT_FIELDS
from .sqlite_errors import damage_error, read_error

__all__ = ["ALL_FIELDS", "ExportRows"]

ALL_FIELDS = (*EXPORT_FIELDS, "start", "end")
"""The fields of an export. Later fields are appended, because an earlier export is recognized by its first fields."""

# Columns that a ledger of an earlier version lacks. Reading a ledger does not migrate it.
_LATER_COLUMNS = ("pieces", "notes")

# Ordered by label, the primary key: any other order would make SQLite sort the rows in temporary files.
_ROWS = """
SELECT {intact}, label, source, is_file, state, job_id, model, voiceprint, created_at, warnings, error, extra, {later}
FROM labels CROSS JOIN recordings ON id = recording_id
WHERE label > :last AND (:model IS NULL OR model = :model OR NOT ({intact})) ORDER BY label LIMIT :limit
"""
_EXTRAS = """
SELECT {intact}, label, extra FROM labels CROSS JOIN recordings ON id = recording_id
WHERE label > :last AND (:model IS NULL OR model = :model OR NOT ({intact})) ORDER BY label LIMIT :limit
"""
_PAGE = 500


class ExportRows:
    """The rows of a ledger as records. It counts the records that it yields.

    Args:
        ledger: the ledger.
        model: only rows of this model; None for all rows.
    """

    def __init__(self, ledger: Path, model: str | None) -> None:
        self._ledger = ledger
        self._model = model
        self.labels = self.voiceprints = self.purged = 0

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the rows by label.

        Raises:
            LedgerError: a row differs from its checksum, or the ledger cannot be read.
        """
        for is_intact, label, source, is_file, *known, warnings, error, extra, segments, findings in self._pages(_ROWS):
            if not is_intact:
                raise damage_error("a row that was about to be exported", str(self._ledger))
            shown = source if is_file else redact_url(source)
            all_warnings = [*json.loads(findings or "[]"), *json.loads(warnings or "[]")]
            start, end = format_segments(segments_from_json(segments))
            values = (label, shown, *known, all_warnings, error, start or None, end or None)
            record: dict[str, Any] = dict(zip(ALL_FIELDS, values, strict=True)) | {"extra": json.loads(extra)}
            self.labels += 1
            self.voiceprints += record["voiceprint"] is not None
            self.purged += record["status"] == "succeeded" and record["voiceprint"] is None
            yield record

    def extra_names(self) -> list[str]:
        """Return the names of the extra columns of all lists."""
        names: dict[str, None] = {}
        for is_intact, _, extra in self._pages(_EXTRAS):
            if is_intact and extra != "{}":
                names |= dict.fromkeys(json.loads(extra))
        return list(names)

    def _pages(self, statement: str) -> Iterator[Sequence[Any]]:
        # The file is locked only while a page is read.
        with closing(open_read_only(self._ledger)) as connection:
            columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('recordings')")}
            query = statement.format(
                intact=f"{intact(connection, 'labels')} AND {intact(connection, 'recordings')}",
                later=", ".join(name if name in columns else "NULL" for name in _LATER_COLUMNS),
            )
            last = ""
            while True:
                values = {"model": self._model, "last": last, "limit": _PAGE}
                try:
                    page = connection.execute(query, values).fetchall()
                except sqlite3.Error as exc:
                    raise read_error(self._ledger, exc) from None
                yield from page
                if len(page) < _PAGE:
                    return
                last = page[-1][1]
