"""Export the voiceprints of a ledger into a file that only its owner may read.

An export changes nothing in the rows of the ledger. It records in `meta` what was exported, because `purge` drops only
exported voiceprints.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import get_args

import attrs

from pyannote_voiceprint_async.errors import ConfigurationError, LedgerError
from pyannote_voiceprint_async.sqlite_transaction import atomic

from .checksums import check_integrity
from .connection import open_writable, read_snapshot
from .export_formats import WRITERS, ExportFormat
from .export_rows import ExportRows
from .output_file import OutputFile
from .ownership import read_owner, sign_journal

__all__ = [
    "EXPORTED_COUNT",
    "EXPORTED_THROUGH",
    "Exported",
    "check_export",
    "export",
    "format_of",
    "ledger_files",
]

# Names in `meta`: when the newest voiceprint of the last export was received, and how many voiceprints that export had.
# The count protects a voiceprint that looks older than the export only because a clock was set back (`purge`).
EXPORTED_THROUGH, EXPORTED_COUNT = "exported_through", "exported_count"

# Suffixes of files beside a ledger: those of SQLite, of the lock, and of the embedded sandbox.
_SUFFIXES = ("-wal", "-shm", "-journal", ".lock", ".server")

_MODELS = """
SELECT model, count(*) AS many FROM labels JOIN recordings ON id = recording_id
WHERE state = 'succeeded' GROUP BY model ORDER BY many DESC, model
"""
_PURGED = """
SELECT coalesce(sum(state = 'succeeded' AND voiceprint IS NULL), 0)
FROM labels JOIN recordings ON id = recording_id WHERE :model IS NULL OR model = :model
"""
# Counts recordings, not labels: several labels may share one recording.
_NEWEST = """
SELECT max(finished_at), count(*) FROM recordings
WHERE state = 'succeeded' AND voiceprint IS NOT NULL AND id IN (SELECT recording_id FROM labels)
"""


@attrs.frozen
class Exported:
    """What an export wrote."""

    labels: int
    """All labels of the ledger; a `json` file has only those with a voiceprint."""
    voiceprints: int
    """Labels with a voiceprint."""
    purged: int
    """Labels whose voiceprint an earlier `purge` dropped."""
    formulas: tuple[str, ...] = ()
    """Labels of the rows of a `csv` file in which a spreadsheet would run a cell as a formula."""


def format_of(path: Path) -> ExportFormat | None:
    """Return the format that the suffix of a file stands for."""
    suffix = path.suffix.lower().removeprefix(".")
    return next((known for known in get_args(ExportFormat) if known == suffix), None)


def check_export(out: Path, file_format: ExportFormat, ledger: Path, *inputs: Path, force: bool = False) -> None:
    """Check, before anything is billed, that an export can be written and destroys nothing else.

    Args:
        out: the file.
        file_format: its format.
        ledger: the ledger, which need not exist.
        inputs: further files that must not be overwritten.
        force: replace a file that holds something other than an earlier export.

    Raises:
        ConfigurationError: the file cannot be written, or must not be.
    """
    OutputFile(out, file_format, force).check(*ledger_files(ledger), *inputs)
    # A problem of the ledger itself is reported when the ledger is opened.
    with suppress(LedgerError), read_snapshot(ledger) as connection:
        _check_keeps_purged(connection, out)


def ledger_files(ledger: Path) -> tuple[Path, ...]:
    """Return the paths of all files of a ledger, whether they exist or not: no output may be written to them."""
    return (ledger, *(ledger.with_name(ledger.name + suffix) for suffix in _SUFFIXES))


def export(
    ledger: Path, out: Path, file_format: ExportFormat, *, model: str | None = None, force: bool = False
) -> Exported:
    """Write all rows of a ledger into a file. During a run, each row is written as it is when it is read. Blocks.

    Args:
        ledger: the ledger.
        out: the file; its old content is replaced when everything is written.
        file_format: its format.
        model: only voiceprints of this model.
        force: replace a file that holds something other than an earlier export.

    Raises:
        ConfigurationError: the file holds something else, or a `json` file cannot hold all voiceprints.
        LedgerError: the ledger is damaged, or cannot be read.
        OSError: the file cannot be written.
    """
    exports_all = model is None
    with read_snapshot(ledger) as connection:
        if file_format == "json":
            try:
                model = _single_model(connection, model)
            except ConfigurationError:
                check_integrity(connection, ledger)  # a flipped bit can look like a second model
                raise
        _check_keeps_purged(connection, out)
        # Rows that a run adds from here on are written, but count as not exported: `purge` keeps them.
        newest, count = connection.execute(_NEWEST).fetchone()
    rows = ExportRows(ledger, model)
    output = OutputFile(out, file_format, force)
    with output.write() as file:
        formulas = WRITERS[file_format](file, rows)
    # The data of a pipe or a device may be lost, so `purge` must not rely on it.
    if exports_all and not output.is_stream and newest is not None:
        _record_export(ledger, newest, count)
    return Exported(rows.labels, rows.voiceprints, rows.purged, tuple(formulas))


def _check_keeps_purged(connection: sqlite3.Connection, out: Path) -> None:
    """Refuse to replace a file that may hold the only copy of purged voiceprints."""
    (purged,) = connection.execute(_PURGED, {"model": None}).fetchone()
    if purged and out.is_file() and out.stat().st_size:
        raise ConfigurationError(
            f"{purged} voiceprints were purged from the ledger, and {out} may be the only file that has them. Choose "
            "another file."
        )


def _single_model(connection: sqlite3.Connection, model: str | None) -> str | None:
    """Return the one model of a `json` export; None if there are no voiceprints."""
    models = dict(connection.execute(_MODELS).fetchall())
    if model is None and len(models) > 1:
        names = ", ".join(f"{name} ({many})" for name, many in models.items())
        raise ConfigurationError(
            f"The ledger has voiceprints of several models: {names}. Identification must not mix them: export each "
            "with --model, or use jsonl or csv."
        )
    if model is not None and model not in models:
        raise ConfigurationError(f"The ledger has no voiceprint of the model {model!r}, only: {', '.join(models)}.")
    (purged,) = connection.execute(_PURGED, {"model": model}).fetchone()
    if purged:
        raise ConfigurationError(
            f"{purged} voiceprints were purged from the ledger and would be missing: use the file of the earlier "
            "export. jsonl and csv list them."
        )
    return next(iter(models), None) if model is None else model


def _record_export(ledger: Path, newest: float, count: int) -> None:
    """Record what was exported. If that fails, `purge` drops less."""
    with suppress(LedgerError, sqlite3.Error), closing(open_writable(ledger)) as connection:
        with atomic(connection):
            sign_journal(connection)
            connection.executemany(
                "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)",
                [(EXPORTED_THROUGH, repr(newest)), (EXPORTED_COUNT, str(count))],
            )
        if read_owner(connection) is None:
            connection.execute("PRAGMA journal_mode = DELETE")  # without a run, no journal stays beside the ledger
