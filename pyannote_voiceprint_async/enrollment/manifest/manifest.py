"""A file that lists speakers: CSV, TSV or JSON Lines, read as a stream, whoever wrote it."""

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from shlex import quote
from typing import Any, TextIO

import attrs

from pyannote_voiceprint_async.errors import ManifestError
from pyannote_voiceprint_async.redaction import redact_text
from pyannote_voiceprint_async.reprs import safe_repr
from pyannote_voiceprint_async.text_encoding import detect_encoding

from .foreign_files import detect_foreign_file
from .names import find_existing, normalize_name
from .row_checks import printable_label
from .rows import Problem, Row
from .segments import parse_segments
from .sources import AUDIO_SUFFIXES, JSON_LINES_SUFFIXES, TABLE_SUFFIXES, is_url

__all__ = ["Manifest"]

_LABEL, _SOURCE, _MODEL, _START, _END = "label", "source", "model", "start", "end"
_OPTIONAL = (_MODEL, _START, _END)
_OPTIONS = {_LABEL: "--label-column", _SOURCE: "--source-column"}
# What others call them.
_SYNONYMS = {
    _LABEL: (
        "speaker", "speaker_name", "speaker_label", "speaker_id", "name", "full_name", "display_name",
        "person", "user", "user_name", "username", "user_id", "id",
    ),
    _SOURCE: (
        "url", "uri", "link", "href", "src", "audio", "audio_url", "audio_path", "audio_file", "audio_filepath",
        "wav", "path", "file", "filename", "file_name", "filepath", "file_path", "recording", "sample", "media",
    ),
}  # fmt: skip
# What others call the place of a part, and is not read: without a word, all of the file would be sent.
_PLACE = r"(?:audio|clip|segment|seg|speech|turn)?({})(?:time|at)?(?:s|in)?(?:ms|secs?|seconds?)?"
_LIKE = {
    _START: re.compile(_PLACE.format("start|begin|onset|offset|from")),
    _END: re.compile(_PLACE.format("end|stop|offset|to|duration|dur|length")),
}
_ALIKE = 0.75
_COLUMNS_SHOWN, _NAME_SHOWN = 12, 40

_DELIMITERS = ",;\t"
# The line that Excel puts in front where the delimiter is not the one of the reader's country.
_SEPARATOR_LINE = re.compile(r'"?sep=[,;\t]"?\s*', re.IGNORECASE)
# What a byte that is no UTF-8 is read as.
_UNDECODED = re.compile(r"[\udc80-\udcff]")
_BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
_LONGEST_LINE = 1024 * 1024


@safe_repr
class Manifest:
    """The rows of a file, and what is wrong with it, from the beginning each time it is iterated.

    A table has a line of column names; in JSON Lines each line is an object. `label` and `source` are needed; `model`,
    `start` and `end` are known, and all others are kept in `Row.extra`. A source without `://` is a file, relative to
    the manifest. `start` and `end` are seconds, and cut a part out of it; several numbers between spaces (in JSON Lines
    a list of them) are several parts, joined in their order. An empty end is the recording's. Columns that only
    look as if they told a part (`duration`, `start_time`) are not read; the first row of a file has a note of them.
    Memory is that of one row.

    Args:
        path: the file. It is opened when it is iterated.
        label_column: the column that holds the labels, if it has another name.
        source_column: the column that holds the sources, if it has another name.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        label_column: str | None = None,
        source_column: str | None = None,
    ) -> None:
        self.path = Path(path)
        self._wanted = {_LABEL: label_column or _LABEL, _SOURCE: source_column or _SOURCE}

    def __repr__(self) -> str:
        return f"Manifest({str(self.path)!r})"

    def __iter__(self) -> Iterator[Row | Problem]:
        """Read the file.

        Raises:
            ManifestError: it cannot be read at all, or its columns are not those that are needed.
        """
        reader = _Reader(self.path.name, self.path.absolute().parent, self._wanted)
        try:
            with find_existing(self.path).open("rb") as file, self._text(file) as text:
                lines, before = _Lines(text), _stamp(file)
                yield from reader.objects(lines) if self._has_objects(file) else reader.table(lines)
                if _stamp(file) != before:
                    # Half of it old and half of it new could put a name beside another one's recording.
                    raise ManifestError(f"{self.path.name} was changed while it was read. Nothing was sent; run again.")
        except OSError as exc:
            raise ManifestError(f"{self.path.name} cannot be read ({exc.strerror or exc}).") from None
        except UnicodeError:
            raise ManifestError(f"{self.path.name} is damaged UTF-16. Save it as UTF-8.") from None

    @contextmanager
    def _text(self, file: BufferedReader) -> Iterator[TextIO]:
        if foreign := detect_foreign_file(file):
            what, remedy = foreign
            raise ManifestError(f"{self.path.name} is {what}, whatever its name. Nothing was sent: {remedy}.")
        encoding = detect_encoding(file.peek(4))
        # Bytes that are no UTF-8 must be told with their line, so they are not refused where a whole block is decoded.
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        # Line breaks as they are: inside quotation marks they belong to the cell.
        with TextIOWrapper(file, encoding=encoding, errors=errors, newline="") as text:
            yield text

    def _has_objects(self, file: BufferedReader) -> bool:
        suffix = self.path.suffix.lower()
        if suffix in (*TABLE_SUFFIXES, *JSON_LINES_SUFFIXES):
            return suffix in JSON_LINES_SUFFIXES
        return file.peek(1).lstrip(_BEFORE_TEXT)[:1] in (b"{", b"[")


def _stamp(file: BufferedReader) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


class _Unreadable(Exception):  # noqa: N818 - it never leaves this file
    """A line that cannot be used; its text says why."""


class _Lines:
    """The lines of a file, with their numbers. A file that is one endless line does not fill the memory."""

    def __init__(self, file: TextIO) -> None:
        self.number = 0
        self._file = file
        self._again: str | None = None
        self._taken = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._again = self._again or self._file.readline(_LONGEST_LINE + 1), None
        if not line:
            raise StopIteration
        self.number += 1
        self._taken += len(line)
        if self._taken > _LONGEST_LINE:
            self._skip_rest(line)
            raise _Unreadable(f"is over {_LONGEST_LINE} characters long; is this the list of speakers?")
        if "\0" in line:
            raise _Unreadable("has NUL characters; save the file as UTF-8")
        # Asking first whether it is ASCII costs nothing: a string knows.
        if not line.isascii() and _UNDECODED.search(line):
            raise _Unreadable("is not UTF-8; save the file as UTF-8 (Excel: 'CSV UTF-8')")
        return line

    def begin(self) -> int:
        """Begin a record, which may have several lines; give the number of its first one."""
        self._taken = 0
        return self.number + 1

    def put_back(self, line: str) -> None:
        """Give the last line once more."""
        self._again = line
        self.number -= 1

    def _skip_rest(self, line: str) -> None:
        while line and not line.endswith(("\n", "\r")):
            line = self._file.readline(_LONGEST_LINE)


@attrs.frozen
class _Columns:
    """Where what stands in a table."""

    label: int
    source: int
    optional: Mapping[str, int]
    """Of those that are there: `model`, `start`, `end`."""
    count: int
    extra: tuple[tuple[int, str], ...]


class _Reader:
    """Lines to rows."""

    def __init__(self, name: str, folder: Path, wanted: Mapping[str, str]) -> None:
        self._name = name
        self._folder = folder
        self._wanted = wanted
        # What is to be told of the list; the first file has it.
        self._warnings: tuple[str, ...] = ()

    def table(self, lines: _Lines) -> Iterator[Row | Problem]:
        """Read a table; its first line has the names of the columns."""
        reader = csv.reader(lines, delimiter=self._delimiter(lines), strict=True)
        number = lines.begin()
        try:
            columns = self._columns([cell.strip() for cell in next(reader)], number)
        except (csv.Error, _Unreadable, StopIteration) as exc:
            raise self._refused(Problem(_why(exc), line=number)) from None
        while True:
            number = lines.begin()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _Unreadable) as exc:
                yield Problem(_why(exc), line=number)
                continue
            # A line of nothing but delimiters is what spreadsheets leave at the end.
            if any(map(str.strip, cells)):
                yield self._of_cells(cells, columns, number)

    def objects(self, lines: _Lines) -> Iterator[Row | Problem]:
        """Read JSON Lines."""
        first = True
        while True:
            number = lines.begin()
            try:
                line = next(lines)
                record = _object(line) if not line.isspace() else None
            except StopIteration:
                break
            except _Unreadable as exc:
                yield Problem(str(exc), line=number)
                continue
            if record is None:
                continue
            if first:
                self._check_keys(record, number)
            first = False
            yield self._of_object(record, number)
        if not lines.number:
            raise self._refused(Problem("is empty"))

    def _delimiter(self, lines: _Lines) -> str:
        """Find the delimiter in the line of names, which is left to be read."""
        line = "\n"
        try:
            while line.isspace() or _SEPARATOR_LINE.fullmatch(line):
                lines.begin()
                line = next(lines)
        except StopIteration:
            raise self._refused(Problem("is empty; its first line must be the names of the columns")) from None
        except _Unreadable as exc:
            raise self._refused(Problem(str(exc), line=lines.number)) from None
        lines.put_back(line)
        return max(_DELIMITERS, key=lambda delimiter: self._known(line, delimiter))

    def _known(self, line: str, delimiter: str) -> tuple[int, int]:
        names = [name.strip().strip('"') for name in line.split(delimiter)]
        return sum(_find(names, wanted) is not None for wanted in self._wanted.values()), len(names)

    def _columns(self, names: Sequence[str], line: int) -> _Columns:
        found = {column: _find(names, wanted) for column, wanted in self._wanted.items()}
        problems = [
            Problem(self._missing(column, names), line=line) for column, place in found.items() if place is None
        ] + [
            Problem(f"has the column {name!r} more than once; rename all but one of them", line=line)
            for name in dict.fromkeys(names[place] for place in found.values() if place is not None)
            if names.count(name) > 1
        ]
        if problems and any(is_url(name) or name.lower().endswith(AUDIO_SUFFIXES) for name in names):
            problems = [Problem("has no names of columns; put a first line in front, such as label,source", line=line)]
        label, source = found[_LABEL], found[_SOURCE]
        if problems or label is None or source is None:
            raise self._refused(*problems)
        optional = {
            column: place
            for column in _OPTIONAL
            if (place := _find(names, column)) is not None and place not in (label, source)
        }
        self._warnings = tuple(_warnings_about(names))
        taken = {label, source, *optional.values()}
        return _Columns(label, source, optional, len(names), tuple(_extra(names, taken)))

    def _check_keys(self, record: Mapping[str, Any], line: int) -> None:
        """Say at the first object what would else be said a million times."""
        names = list(record)
        problems = [
            Problem(self._missing(column, names), line=line)
            for column, wanted in self._wanted.items()
            if _find(names, wanted) is None and _near(column, wanted, names)
        ]
        if problems:
            raise self._refused(*problems)
        self._warnings = tuple(_warnings_about(names))

    def _missing(self, column: str, names: Sequence[str]) -> str:
        wanted, option = self._wanted[column], _OPTIONS[column]
        shown = [redact_text(name)[:_NAME_SHOWN] for name in names if name]
        listed = ", ".join(shown[:_COLUMNS_SHOWN]) + (", …" if len(shown) > _COLUMNS_SHOWN else "")
        near = _near(column, wanted, names)
        hint = (
            f"did you mean {near!r}? Rename it, or say {option} {quote(near)}"
            if near
            else f"add it, or say with {option} what it is called"
        )
        return f"has no column {wanted!r} (only: {listed or 'nothing'}); {hint}"

    def _refused(self, *problems: Problem) -> ManifestError:
        said = "; ".join(str(problem) for problem in problems)
        return ManifestError(f"{self._name} cannot be used: {said}.", problems=problems)

    def _of_cells(self, cells: Sequence[str], columns: _Columns, line: int) -> Row | Problem:
        if len(cells) != columns.count:
            return Problem(
                f"has {len(cells)} cells where the first line has {columns.count} names; a cell with a delimiter or a "
                "line break in it needs quotation marks",
                line=line,
            )
        optional = {column: cells[place].strip() for column, place in columns.optional.items()}
        # Columns without a name come from spreadsheets, and are empty but for an index.
        extra = {name or f"column {place + 1}": cells[place] for place, name in columns.extra if name or cells[place]}
        return self._row(cells[columns.label].strip(), cells[columns.source].strip(), optional, extra, line)

    def _of_object(self, record: dict[str, Any], line: int) -> Row | Problem:
        keys = {column: _key(record, wanted) for column, wanted in self._wanted.items()}
        keys |= {
            column: key
            for column in _OPTIONAL
            if (key := _key(record, column)) is not None and key not in (keys[_LABEL], keys[_SOURCE])
        }
        values = {column: None if key is None else record[key] for column, key in keys.items()}
        # Names that are numbers are not put into quotation marks by everyone.
        if type(values[_LABEL]) is int:
            values[_LABEL] = str(values[_LABEL])
        wrong = [
            f"{keys[column]!r} must be text, not {type(value).__name__}"
            for column, value in values.items()
            if value is not None and not isinstance(value, str) and column not in (_START, _END)
        ]
        if wrong:
            return Problem("; ".join(wrong), printable_label(values[_LABEL]), line)
        label, source, model = ((values.get(column) or "").strip() for column in (_LABEL, _SOURCE, _MODEL))
        used = set(keys.values())
        extra = {key: value for key, value in record.items() if key not in used}
        return self._row(label, source, values | {_MODEL: model}, extra, line)

    def _row(
        self, label: str, source: str, optional: Mapping[str, Any], extra: dict[str, Any], line: int
    ) -> Row | Problem:
        if source[:7].lower() == "file://":
            return Problem("a file:// URL is no source; give the path alone", printable_label(label), line)
        # What is empty stays empty, and is told with all else that is wrong with the row: a folder is no recording.
        place = source if not source or is_url(source) else self._folder / source
        segments = parse_segments(optional.get(_START), optional.get(_END))
        if isinstance(segments, str):
            return Problem(segments, printable_label(label), line)
        warnings: tuple[str, ...] = ()
        if isinstance(place, Path):
            warnings, self._warnings = self._warnings, warnings
        return Row(
            label, place, optional.get(_MODEL) or None, extra=extra, segments=segments, warnings=warnings, line=line
        )


def _warnings_about(names: Sequence[str]) -> Iterator[str]:
    """Tell of columns that seem to say which part of a file is meant, and do not."""
    missing = [column for column in (_START, _END) if _find(names, column) is None]
    unread = [
        redact_text(name)[:_NAME_SHOWN]
        for name in names
        if any(_LIKE[column].fullmatch(re.sub(r"[\W_]+", "", name.lower())) for column in missing)
    ]
    if unread:
        listed = ", ".join(map(repr, unread[:_COLUMNS_SHOWN]))
        yield f"the list has {listed}, which is not read; 'start' and 'end' tell a part of a file, in seconds"
    if missing == [_END]:
        yield "the list has 'start' and no 'end', so that each part goes on to the end of its file"


def _find(names: Sequence[str], wanted: str) -> int | None:
    """Give the place of a column; capitals, white space around it and its Unicode form do not count."""
    if wanted in names:
        return names.index(wanted)
    plain = _plain(wanted)
    return next((place for place, name in enumerate(names) if _plain(name) == plain), None)


def _plain(name: str) -> str:
    return normalize_name(name).strip().lower()


def _key(record: Mapping[str, Any], wanted: str) -> str | None:
    if wanted in record:
        return wanted
    names = list(record)
    place = _find(names, wanted)
    return None if place is None else names[place]


def _near(column: str, wanted: str, names: Sequence[str]) -> str | None:
    """Give the name that was probably meant."""
    plain = {re.sub(r"[\s-]+", "_", name.strip().lower()): name for name in reversed(names)}
    synonyms = _SYNONYMS[column] if wanted == column else ()
    close = get_close_matches(wanted.lower(), plain, n=1, cutoff=_ALIKE)
    return next((plain[name] for name in (*close, *synonyms) if name in plain), None)


def _extra(names: Sequence[str], taken: set[int]) -> Iterator[tuple[int, str]]:
    """Give the columns that are passed through. A name that comes again is numbered, so that nothing is lost."""
    given: set[str] = set()
    for place, name in enumerate(names):
        if place in taken:
            continue
        told, number = name, 1
        while told and told in given:
            number += 1
            told = f"{name} ({number})"
        given.add(told)
        yield place, told


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line.rstrip("\r\n"))
    except (ValueError, RecursionError) as exc:
        where = f" ({exc.msg.lower()}, column {exc.colno})" if isinstance(exc, json.JSONDecodeError) else ""
        raise _Unreadable(f"is no JSON{where}; each line must be one whole object") from None
    if not isinstance(found, dict):
        raise _Unreadable("is no JSON object; each line must be one, not a list of them (jq -c '.[]' makes lines)")
    return found


def _why(exc: Exception) -> str:
    if isinstance(exc, csv.Error):
        return f"is no CSV ({exc}); look for a quotation mark that is not closed, or not doubled inside a cell"
    return str(exc) or "is empty"
