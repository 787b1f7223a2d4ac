"""Read a manifest that is a table: CSV or TSV, with a first line of column names."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from .columns import (
    OPTIONAL_COLUMNS,
    Column,
    ColumnNames,
    find_column,
    number_repeated_names,
    segment_warnings,
)
from .manifest_lines import ManifestLines, UnreadableLineError
from .row_builder import RowBuilder
from .rows import Problem, Row
from .source_kinds import AUDIO_SUFFIXES, is_url

__all__ = ["read_table"]

_DELIMITERS = ",;\t"
# Excel writes this line first if the delimiter is not the default of the reader's locale.
_SEPARATOR_LINE = re.compile(r'"?sep=[,;\t]"?\s*', re.IGNORECASE)


@attrs.frozen
class _Layout:
    """The index of each column in a line."""

    read: Mapping[Column, int]
    extra: tuple[tuple[int, str], ...]
    """Index and name of the columns that are passed through."""
    width: int
    """How many cells each line must have."""


def read_table(lines: ManifestLines, names: ColumnNames, folder: Path) -> Iterator[Row | Problem]:
    """Yield the rows of a table.

    Args:
        lines: the file, at its beginning.
        names: the names of the required columns.
        folder: the folder of the manifest, to which paths are relative.

    Raises:
        ManifestError: the first line does not name the required columns.
    """
    reader = csv.reader(lines, delimiter=_detect_delimiter(lines, names), strict=True)
    number = lines.begin_record()
    try:
        header = [cell.strip() for cell in next(reader)]
    except (csv.Error, UnreadableLineError, StopIteration) as exc:
        raise lines.error(Problem(_reason(exc), line=number)) from None
    layout = _read_header(lines, header, names, number)
    builder = RowBuilder(folder, tuple(segment_warnings(header)))
    while True:
        number = lines.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, UnreadableLineError) as exc:
            yield Problem(_reason(exc), line=number)
            continue
        # Spreadsheets leave lines of nothing but delimiters at the end.
        if any(map(str.strip, cells)):
            yield _read_row(cells, layout, builder, number)


def _detect_delimiter(lines: ManifestLines, names: ColumnNames) -> str:
    """Return the delimiter of the header line, which the next iteration returns again."""
    line = "\n"
    try:
        while line.isspace() or _SEPARATOR_LINE.fullmatch(line):
            lines.begin_record()
            line = next(lines)
    except StopIteration:
        raise lines.error(Problem("it is empty; its first line must hold the column names")) from None
    except UnreadableLineError as exc:
        raise lines.error(Problem(str(exc), line=lines.number)) from None
    lines.push_back(line)

    def quality(delimiter: str) -> tuple[int, int]:
        cells = [cell.strip().strip('"') for cell in line.split(delimiter)]
        return names.count_found(cells), len(cells)

    return max(_DELIMITERS, key=quality)


def _read_header(lines: ManifestLines, header: Sequence[str], names: ColumnNames, number: int) -> _Layout:
    found = {column: find_column(header, name) for column, name in names.required.items()}
    if problems := list(_header_problems(header, found, names, number)):
        raise lines.error(*problems)
    required = {column: index for column, index in found.items() if index is not None}
    optional = {
        column: index
        for column in OPTIONAL_COLUMNS
        if (index := find_column(header, column)) is not None and index not in required.values()
    }
    read = required | optional
    return _Layout(read, tuple(number_repeated_names(header, set(read.values()))), len(header))


def _header_problems(
    header: Sequence[str], found: Mapping[Column, int | None], names: ColumnNames, number: int
) -> Iterator[Problem]:
    missing = [names.missing_message(column, header) for column, index in found.items() if index is None]
    found_names = dict.fromkeys(header[index] for index in found.values() if index is not None)
    repeated = [
        f"has the column {name!r} more than once; rename all but one of them"
        for name in found_names
        if header.count(name) > 1
    ]
    messages = [*missing, *repeated]
    if messages and any(is_url(name) or name.lower().endswith(AUDIO_SUFFIXES) for name in header):
        messages = ["has no column names; add a first line such as label,source"]
    for message in messages:
        yield Problem(message, line=number)


def _read_row(cells: Sequence[str], layout: _Layout, builder: RowBuilder, number: int) -> Row | Problem:
    if len(cells) != layout.width:
        return Problem(
            f"has {len(cells)} cells, but the first line has {layout.width} names; put quotation marks around cells "
            "that contain a delimiter or a line break",
            line=number,
        )
    values = {column: cells[index].strip() for column, index in layout.read.items()}
    # Columns without a name come from spreadsheets; they are empty, or hold an index.
    extra = {name or f"column {index + 1}": cells[index] for index, name in layout.extra if name or cells[index]}
    return builder.build(values, extra, number)


def _reason(exc: Exception) -> str:
    if isinstance(exc, csv.Error):
        return f"is not valid CSV ({exc}); look for a quotation mark that is not closed, or not doubled inside a cell"
    return str(exc) or "is empty"
