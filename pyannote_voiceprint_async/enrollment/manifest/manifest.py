"""A file that lists speakers: CSV, TSV or JSON Lines, read as a stream."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import TextIO

from pyannote_voiceprint_async.errors import ManifestError
from pyannote_voiceprint_async.reprs import safe_repr
from pyannote_voiceprint_async.text_encoding import detect_encoding

from .columns import Column, ColumnNames
from .foreign_files import detect_foreign_format
from .json_lines_reader import read_json_lines
from .manifest_lines import ManifestLines
from .names import find_existing
from .rows import Problem, Row
from .source_kinds import JSON_LINES_SUFFIXES, TABLE_SUFFIXES
from .table_reader import read_table

__all__ = ["Manifest"]

_BYTES_BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"


@safe_repr
class Manifest:
    """An iterable over the rows of a list of speakers, and the problems in it. Each iteration reads the file anew.

    A table needs a first line of column names; in JSON Lines each line is an object. The columns `label` and `source`
    are required, `model`, `start` and `end` are optional, and all others are kept in `Row.extra`.

    A source that is not a URL is a path, relative to the folder of the manifest. `start` and `end` are seconds and
    select a segment of it. Several numbers separated by spaces (in JSON Lines also a list of numbers) select several
    segments, which are joined in their order. An empty `end` is the end of the recording. Columns that look similar
    (`duration`, `start_time`) are not read; the first row with a local file has a warning of them.

    Only one row is in memory at a time.

    Args:
        path: the file, as a path; a `str` is a path here too, never a URL or the text of a list. The file is opened
            when the iteration starts.
        label_column: the name of the column that holds the labels, if it is not `label`.
        source_column: the name of the column that holds the sources, if it is not `source`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        label_column: str | None = None,
        source_column: str | None = None,
    ) -> None:
        self.path = Path(path)
        self._names = ColumnNames(label_column or Column.LABEL.value, source_column or Column.SOURCE.value)

    def __repr__(self) -> str:
        return f"Manifest({str(self.path)!r})"

    def __iter__(self) -> Iterator[Row | Problem]:
        """Read the file.

        Raises:
            ManifestError: the file cannot be read, is not a list of speakers, lacks a required column, or has no rows.
        """
        name, folder = self.path.name, self.path.absolute().parent
        try:
            with find_existing(self.path).open("rb") as file, self._open_text(file) as text:
                version = _version(file)
                read = read_json_lines if self._is_json_lines(file) else read_table
                has_rows = False
                for row in read(ManifestLines(text, name), self._names, folder):
                    has_rows = True
                    yield row
                if _version(file) != version:
                    # A file that is half old and half new could give a label to another speaker's recording.
                    raise ManifestError(f"{name} was changed while it was read. Nothing was sent; run again.")
                if not has_rows:
                    raise ManifestError(f"{name} has no rows, and nothing was sent. Check how the list was made.")
        except OSError as exc:
            raise ManifestError(f"{name} cannot be read ({exc.strerror or exc}).") from None
        except UnicodeError:
            raise ManifestError(f"{name} is damaged UTF-16. Save it as UTF-8.") from None

    @contextmanager
    def _open_text(self, file: BufferedReader) -> Iterator[TextIO]:
        if foreign := detect_foreign_format(file):
            raise ManifestError(
                f"{self.path.name} is {foreign.description}, not a list of speakers. Nothing was sent: "
                f"{foreign.remedy}."
            )
        encoding = detect_encoding(file.peek(4))
        # Bytes that are not UTF-8 are reported with their line by `ManifestLines`. A strict decoder would fail for a
        # whole block of lines.
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        # newline="" keeps line breaks inside quotation marks as they are: they belong to the cell.
        with TextIOWrapper(file, encoding=encoding, errors=errors, newline="") as text:
            yield text

    def _is_json_lines(self, file: BufferedReader) -> bool:
        suffix = self.path.suffix.lower()
        if suffix in (*TABLE_SUFFIXES, *JSON_LINES_SUFFIXES):
            return suffix in JSON_LINES_SUFFIXES
        return file.peek(1).lstrip(_BYTES_BEFORE_TEXT)[:1] in (b"{", b"[")


def _version(file: BufferedReader) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns
