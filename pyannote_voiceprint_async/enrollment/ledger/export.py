"""Voiceprints out of a ledger, into a file that only its owner may read."""

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias, get_args

import attrs

from pyannote_voiceprint_async.enrollment.manifest.segments import format_segments, segments_from_json
from pyannote_voiceprint_async.errors import ConfigurationError, LedgerError
from pyannote_voiceprint_async.redaction import redact_url

from .checksums import covered
from .database import check_whole, damaged
from .output_file import EXPORT_FIELDS, OutFile
from .ownership import owner_of
from .store import open_connection, open_to_read

__all__ = [
    "EXPORTED_COUNT",
    "EXPORTED_THROUGH",
    "Exported",
    "Format",
    "check_out",
    "export",
    "format_of",
    "ledger_files",
]

Format: TypeAlias = Literal["jsonl", "csv", "json"]
"""One object a line; a table; or `{label: voiceprint}`, as identification wants it."""

# What the ledger remembers of its last export: when the newest of its voiceprints was made, and how many there were.
# The count is for clocks that go back: what slipped in behind the time must not be taken for exported (`purge`).
EXPORTED_THROUGH, EXPORTED_COUNT = "exported_through", "exported_count"

# What came later stands behind them: exports are known by how they begin.
_ALL_FIELDS = (*EXPORT_FIELDS, "start", "end")
# How a cell begins that spreadsheets run as a formula; the last four are the full-width forms of the first.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Beside a ledger, under names of SQLite's, of the lock's and of the embedded sandbox's.
_BESIDE = ("-wal", "-shm", "-journal", ".lock", ".server")
# Columns that a ledger of an earlier version does not have, which is not changed by reading it.
_LATER = ("pieces", "notes")

# By the order of the labels, which is that of their table: any other would be sorted first, in files of SQLite's own.
_ROWS = """
SELECT {whole}, label, source, is_file, state, job_id, model, voiceprint, created_at, warnings, error, extra, {later}
FROM labels CROSS JOIN recordings ON id = recording_id
WHERE label > :last AND (:model IS NULL OR model = :model OR NOT ({whole})) ORDER BY label LIMIT :many
"""
_EXTRAS = """
SELECT {whole}, label, extra FROM labels CROSS JOIN recordings ON id = recording_id
WHERE label > :last AND (:model IS NULL OR model = :model OR NOT ({whole})) ORDER BY label LIMIT :many
"""
_PAGE = 500
_MODELS = """
SELECT model, count(*) AS many FROM labels JOIN recordings ON id = recording_id
WHERE state = 'succeeded' GROUP BY model ORDER BY many DESC, model
"""
_COUNTS = """
SELECT count(*), count(voiceprint), coalesce(sum(state = 'succeeded' AND voiceprint IS NULL), 0)
FROM labels JOIN recordings ON id = recording_id WHERE :model IS NULL OR model = :model
"""
# Recordings, not labels: several labels may share one.
_NEWEST = """
SELECT max(finished_at), count(*) FROM recordings
WHERE state = 'succeeded' AND voiceprint IS NOT NULL AND id IN (SELECT recording_id FROM labels)
"""


@attrs.frozen
class Exported:
    """What a file holds."""

    labels: int
    """All of the ledger; a `json` has only those with a voiceprint."""
    voiceprints: int
    """Those with a voiceprint."""
    purged: int
    """Those whose voiceprint was dropped by `purge` earlier."""
    formulas: tuple[str, ...] = ()
    """Labels of the rows of a `csv` in which a spreadsheet would run a cell as a formula."""


def format_of(path: Path) -> Format | None:
    """Give the format that a file's name asks for."""
    suffix = path.suffix.lower().removeprefix(".")
    return next((known for known in get_args(Format) if known == suffix), None)


def check_out(out: Path, form: Format, ledger: Path, *others: Path, force: bool = False) -> None:
    """Make sure, before anything is paid, that an export can be written, and destroys nothing else.

    Args:
        out: the file.
        form: its format.
        ledger: what is exported; it need not be there.
        others: further files that it must not be.
        force: replace a file that holds something else.

    Raises:
        ConfigurationError: it cannot.
    """
    OutFile(out, form, force).check(*ledger_files(ledger), *others)
    # What is wrong with the ledger itself is told by whoever opens it.
    with suppress(LedgerError), _snapshot(ledger) as connection:
        _check_loses_nothing(connection, out)


def ledger_files(ledger: Path) -> tuple[Path, ...]:
    """Return the files of a ledger, whether they exist or not: nothing else may be written under their names."""
    return (ledger, *(ledger.with_name(ledger.name + suffix) for suffix in _BESIDE))


def export(ledger: Path, out: Path, form: Format, *, model: str | None = None, force: bool = False) -> Exported:
    """Write the whole ledger into a file, each row as it is when it is read. It works during a run, and blocks.

    The rows are read in pages, so that no run waits for the end of a long export.

    Args:
        ledger: the ledger.
        out: the file; what it held is replaced when all is written.
        form: how it is written.
        model: only voiceprints of this model.
        force: replace a file that holds something else than an earlier export.

    Raises:
        ConfigurationError: the file holds something else, or a `json` cannot hold what is there, and what to do.
        LedgerError: the ledger is damaged, or cannot be read.
        OSError: the file cannot be written.
    """
    asks_for_all = model is None
    with _snapshot(ledger) as connection:
        if form == "json":
            try:
                model = _identifiable_model(connection, model)
            except ConfigurationError:
                check_whole(connection, ledger)  # the reason may be a flipped bit
                raise
        _check_loses_nothing(connection, out)
        # What a run adds while this goes on is written too, and counts as not exported: `purge` keeps it.
        newest = connection.execute(_NEWEST).fetchone()
    reading = _Reading(ledger, model)
    file_out = OutFile(out, form, force)
    with file_out.write() as file:
        formulas = _WRITERS[form](file, reading)
    # What went into a pipe or a device may be lost: `purge` must not rely on it.
    if asks_for_all and not file_out.is_stream:
        _remember(ledger, *newest)
    return Exported(reading.labels, reading.voiceprints, reading.purged, tuple(formulas))


@contextmanager
def _snapshot(ledger: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_to_read(ledger)) as connection:
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as exc:
            raise LedgerError(f"The ledger {ledger} cannot be read ({exc}).") from None


def _check_loses_nothing(connection: sqlite3.Connection, out: Path) -> None:
    """Make sure that no file is replaced which may be the only place of voiceprints, after a `purge`."""
    purged = connection.execute(_COUNTS, {"model": None}).fetchone()[2]
    if purged and out.is_file() and out.stat().st_size:
        raise ConfigurationError(
            f"{purged} voiceprints were purged from the ledger, and {out} may be the only place that has them. Give "
            "another file."
        )


def _identifiable_model(connection: sqlite3.Connection, model: str | None) -> str | None:
    """Return the one model whose voiceprints can be exported together; None where there are none."""
    models = dict(connection.execute(_MODELS).fetchall())
    if model is None and len(models) > 1:
        listed = ", ".join(f"{name} ({many})" for name, many in models.items())
        raise ConfigurationError(
            f"The ledger has voiceprints of several models: {listed}. Identification must not mix them: export each "
            "with --model, or use jsonl or csv."
        )
    if model is not None and model not in models:
        raise ConfigurationError(f"The ledger has no voiceprint of the model {model!r}, only: {', '.join(models)}.")
    purged = connection.execute(_COUNTS, {"model": model}).fetchone()[2]
    if purged:
        raise ConfigurationError(
            f"{purged} voiceprints were purged from the ledger and would be missing: use the file of the earlier "
            "export. jsonl and csv say which they are."
        )
    return next(iter(models), None) if model is None else model


class _Reading:
    """The rows of a ledger, read in pages. It counts what it gives.

    Args:
        ledger: the ledger.
        model: only rows of this model.
    """

    def __init__(self, ledger: Path, model: str | None) -> None:
        self._ledger = ledger
        self._model = model
        self.labels = self.voiceprints = self.purged = 0

    def records(self) -> Iterator[dict[str, Any]]:
        """Read the rows, by label.

        Raises:
            LedgerError: one of them is not as it was written.
        """
        for is_whole, label, source, is_file, *known, warnings, error, extra, pieces, notes in self._pages(_ROWS):
            if not is_whole:
                raise LedgerError(damaged("a row that was to be exported", str(self._ledger)))
            shown = source if is_file else redact_url(source)
            told = [*json.loads(notes or "[]"), *json.loads(warnings or "[]")]
            start, end = format_segments(segments_from_json(pieces))
            values = (label, shown, *known, told, error, start or None, end or None)
            record: dict[str, Any] = dict(zip(_ALL_FIELDS, values, strict=True)) | {"extra": json.loads(extra)}
            self.labels += 1
            self.voiceprints += record["voiceprint"] is not None
            self.purged += record["status"] == "succeeded" and record["voiceprint"] is None
            yield record

    def extra_names(self) -> list[str]:
        """Return the names of the further columns of all lists."""
        names: dict[str, None] = {}
        for is_whole, _, extra in self._pages(_EXTRAS):
            if is_whole and extra != "{}":
                names |= dict.fromkeys(json.loads(extra))
        return list(names)

    def _pages(self, statement: str) -> Iterator[Sequence[Any]]:
        # One connection for all pages, and a lock on the file only while a page is read.
        with closing(open_to_read(self._ledger)) as connection:
            there = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('recordings')")}
            ask = statement.format(
                whole=f"{covered(connection, 'labels')} AND {covered(connection, 'recordings')}",
                later=", ".join(name if name in there else "NULL" for name in _LATER),
            )
            last = ""
            while True:
                values = {"model": self._model, "last": last, "many": _PAGE}
                try:
                    page = connection.execute(ask, values).fetchall()
                except sqlite3.Error as exc:
                    raise LedgerError(f"The ledger {self._ledger} cannot be read ({exc}).") from None
                yield from page
                if len(page) < _PAGE:
                    return
                last = page[-1][1]


def _write_lines(file: TextIO, reading: _Reading) -> Sequence[str]:
    file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in reading.records())
    return ()


def _write_table(file: TextIO, reading: _Reading) -> Sequence[str]:
    extras = reading.extra_names()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*_ALL_FIELDS, *_column_names(extras)])
    formulas = []
    for record in reading.records():
        extra = record.pop("extra")
        record["warnings"] = "; ".join(record["warnings"])
        cells = [*record.values(), *(_cell(extra.get(name)) for name in extras)]
        if record["label"].startswith(_FORMULA) or any(map(_is_formula, cells)):
            formulas.append(record["label"])
        writer.writerow(cells)
    return formulas


def _write_object(file: TextIO, reading: _Reading) -> Sequence[str]:
    # One label a line tells it from what others call .json (`OutFile`).
    between = "{\n"
    for record in reading.records():
        if record["voiceprint"] is not None:
            file.write(between + json.dumps(record["label"], ensure_ascii=False))
            file.write(f": {json.dumps(record['voiceprint'])}")
            between = ",\n"
    file.write("{\n}\n" if between == "{\n" else "\n}\n")
    return ()


_WRITERS: Mapping[Format, Callable[[TextIO, _Reading], Sequence[str]]] = {
    "jsonl": _write_lines,
    "csv": _write_table,
    "json": _write_object,
}


def _column_names(extras: Sequence[str]) -> list[str]:
    """Give names that no two columns share, whatever the list of speakers called its own."""
    given = list(_ALL_FIELDS)
    for name in extras:
        told = name
        while told in given:
            told = f"extra.{told}"
        given.append(told)
    return given[len(_ALL_FIELDS) :]


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _is_formula(cell: Any) -> bool:
    """Whether a spreadsheet would run a cell; a number is shown as it is."""
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def _remember(ledger: Path, newest: float | None, count: int) -> None:
    """Write down what is exported. Where that cannot be, `purge` drops less."""
    if newest is None:
        return
    with suppress(LedgerError, sqlite3.Error), closing(open_connection(ledger)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)",
            [(EXPORTED_THROUGH, repr(newest)), (EXPORTED_COUNT, str(count))],
        )
        connection.execute("COMMIT")
        if owner_of(connection) is None:
            connection.execute("PRAGMA journal_mode = DELETE")  # no run needs the journal beside the ledger
