"""Read a manifest that is JSON Lines: one object per line."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .columns import OPTIONAL_COLUMNS, Column, ColumnNames, find_column, segment_warnings
from .label_checks import printable_label
from .manifest_lines import ManifestLines, UnreadableLineError
from .row_builder import RowBuilder
from .rows import Problem, Row

__all__ = ["read_json_lines"]


def read_json_lines(lines: ManifestLines, names: ColumnNames, folder: Path) -> Iterator[Row | Problem]:
    """Yield the rows of JSON Lines.

    Args:
        lines: the file, at its beginning.
        names: the names of the required fields.
        folder: the folder of the manifest, to which paths are relative.

    Raises:
        ManifestError: the first object has other names than the required ones.
    """
    builder: RowBuilder | None = None
    while True:
        number = lines.begin_record()
        try:
            line = next(lines)
            record = None if line.isspace() else _parse_object(line)
        except StopIteration:
            return
        except UnreadableLineError as exc:
            yield Problem(str(exc), line=number)
            continue
        if record is None:
            continue
        if builder is None:
            builder = _begin(record, lines, names, folder, number)
        yield _read_row(record, names, builder, number)


def _parse_object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line.rstrip("\r\n"))
    except (ValueError, RecursionError) as exc:
        where = f" ({exc.msg.lower()}, column {exc.colno})" if isinstance(exc, json.JSONDecodeError) else ""
        raise UnreadableLineError(f"is not valid JSON{where}. Each line must be one complete object") from None
    if not isinstance(value, dict):
        raise UnreadableLineError(
            "is not a JSON object. Each line must be one object, not a list of them (jq -c '.[]' writes lines)"
        )
    return value


def _begin(first: Mapping[str, Any], lines: ManifestLines, names: ColumnNames, folder: Path, number: int) -> RowBuilder:
    """Refuse the file if the first object shows that its fields have other names: each line would be a problem."""
    fields = list(first)
    problems = [
        Problem(names.missing_message(column, fields), line=number)
        for column, name in names.required.items()
        if find_column(fields, name) is None and names.suggest(column, fields)
    ]
    if problems:
        raise lines.error(*problems)
    return RowBuilder(folder, tuple(segment_warnings(fields)))


def _read_row(record: Mapping[str, Any], names: ColumnNames, builder: RowBuilder, number: int) -> Row | Problem:
    keys = _find_keys(record, names)
    values = {column: record[key] for column, key in keys.items()}
    # Labels that are numbers are often written without quotation marks.
    if type(values.get(Column.LABEL)) is int:
        values[Column.LABEL] = str(values[Column.LABEL])
    wrong = [
        f"{keys[column]!r} must be text, not {type(value).__name__}"
        for column, value in values.items()
        if value is not None and not isinstance(value, str) and column not in (Column.START, Column.END)
    ]
    if wrong:
        return Problem(". Also: ".join(wrong), printable_label(values.get(Column.LABEL)), number)
    texts = {column: (values.get(column) or "").strip() for column in (Column.LABEL, Column.SOURCE, Column.MODEL)}
    used = set(keys.values())
    extra = {key: value for key, value in record.items() if key not in used}
    return builder.build(values | texts, extra, number)


def _find_keys(record: Mapping[str, Any], names: ColumnNames) -> dict[Column, str]:
    """Return the keys of a record under which the columns are found."""
    keys = {column: key for column, name in names.required.items() if (key := _find_key(record, name)) is not None}
    required = set(keys.values())
    optional = {
        column: key
        for column in OPTIONAL_COLUMNS
        if (key := _find_key(record, column.value)) is not None and key not in required
    }
    return keys | optional


def _find_key(record: Mapping[str, Any], wanted: str) -> str | None:
    if wanted in record:
        return wanted
    keys = list(record)
    index = find_column(keys, wanted)
    return None if index is None else keys[index]
