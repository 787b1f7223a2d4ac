"""The files that hold voiceprints: exports, ledgers, and JSON objects.

No function here raises while a local variable holds the value of a voiceprint: a traceback may show local variables.
"""

from __future__ import annotations

import csv
import io
import json
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from pyannote_voiceprint_async.enrollment.ledger.connection import read_snapshot
from pyannote_voiceprint_async.enrollment.ledger.report import read_origin
from pyannote_voiceprint_async.enrollment.ledger.voiceprints import read_voiceprints
from pyannote_voiceprint_async.models import Voiceprint
from pyannote_voiceprint_async.secret import Secret
from pyannote_voiceprint_async.text_encoding import detect_encoding

__all__ = ["SpeakerRow", "origin_of", "read_rows"]

_SQLITE = b"SQLite format 3\0"
# Text is read at once, and needs several times its size in memory. 10,000 voiceprints of the largest size fit.
_MAX_TEXT = 256 * 2**20
_NOT_READABLE = (
    "the file is none of: an export (json, jsonl, csv), a ledger, a JSON object {label: voiceprint}. Nothing was read. "
    "To make voiceprints of a list of speakers: `pyannote-voiceprint enroll LIST`."
)


@attrs.frozen
class SpeakerRow:
    """One voiceprint of a file. `repr()` does not show its value."""

    label: str
    """In Unicode's NFC."""
    voiceprint: Voiceprint | str
    line: int | None = None
    """The line in the file, from 1."""

    @property
    def model(self) -> str | None:
        """The model, if the file names it."""
        return self.voiceprint.model if isinstance(self.voiceprint, Voiceprint) else None


def read_rows(path: Path) -> tuple[list[SpeakerRow], str | None]:
    """Return the rows of a file that have a voiceprint, and the problem of a file that cannot be read.

    Raises:
        LedgerError: the ledger is damaged, or cannot be read.
        OSError: the file cannot be read.
    """
    status = path.stat()
    # Opening a named pipe would block until another process writes to it, and some devices never end.
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return [], "it is not a regular file. Nothing was read."
    head = _head(path)
    if head == _SQLITE:
        return list(_ledger_rows(path)), None
    if status.st_size > _MAX_TEXT:
        return [], f"the file has more than {_MAX_TEXT // 2**20} MiB. Use the ledger itself, or several smaller files."
    return _read_text(path, detect_encoding(head[:4]))


def origin_of(path: Path) -> str | None:
    """Return which API made the voiceprints of a ledger; None for other files, which do not say it.

    Raises:
        LedgerError: the ledger is damaged, or cannot be read.
        OSError: the file cannot be read.
    """
    if _head(path) != _SQLITE:
        return None
    with read_snapshot(path) as connection:
        return read_origin(connection)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_SQLITE))


def _ledger_rows(path: Path) -> Iterator[SpeakerRow]:
    after = ""
    while page := read_voiceprints(path, after):
        for label, voiceprint in page:
            yield SpeakerRow(unicodedata.normalize("NFC", label), voiceprint)
            after = label


def _read_text(path: Path, encoding: str) -> tuple[list[SpeakerRow], str | None]:
    try:
        text = Secret(path.read_bytes().decode(encoding))
        return list(_text_rows(text)), None
    except (ValueError, TypeError, KeyError, RecursionError, csv.Error):
        return [], _NOT_READABLE


def _text_rows(text: Secret) -> Iterator[SpeakerRow]:
    begin = text[:].lstrip()[:1]
    if begin != "{":
        return _rows_of(_table_records(text))
    try:
        whole = json.loads(text[:])
    except ValueError:
        return _rows_of(_line_records(text))
    if "label" in whole and "voiceprint" in whole:
        return _rows_of([(1, whole)])
    return (_object_row(label, value) for label, value in whole.items())


def _table_records(text: Secret) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text[:], newline=""), strict=True)
    if not {"label", "voiceprint"} <= set(reader.fieldnames or ()):
        raise ValueError("no table of voiceprints")
    for record in reader:
        yield reader.line_num, record


def _line_records(text: Secret) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(io.StringIO(text[:]), start=1):
        if line.strip():
            yield number, json.loads(line)


def _rows_of(records: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[SpeakerRow]:
    """Yield the records that have a voiceprint."""
    for line, record in records:
        if value := record["voiceprint"]:
            yield _row(record["label"], value, record, line)


def _object_row(label: str, value: Any) -> SpeakerRow:
    """Return a row of `{label: value}`; a value can also be what `Voiceprint.to_dict` returns."""
    if isinstance(value, dict):
        return _row(label, value["value"], value, None)
    return _row(label, value, {}, None)


def _row(label: str, value: Any, record: Mapping[str, Any], line: int | None) -> SpeakerRow:
    if not isinstance(value, str):
        raise TypeError("a voiceprint is a text")
    name, model = unicodedata.normalize("NFC", label), record.get("model")
    if not model:
        return SpeakerRow(name, Secret(value), line)
    stored = {"value": value, "model": model, "job_id": record.get("job_id") or ""}
    return SpeakerRow(name, Voiceprint.from_dict(stored), line)
