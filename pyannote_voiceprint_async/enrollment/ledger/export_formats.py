"""The file formats of an export."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TextIO, TypeAlias

from .export_rows import ALL_FIELDS, ExportRows

__all__ = ["WRITERS", "ExportFormat"]

ExportFormat: TypeAlias = Literal["jsonl", "csv", "json"]
"""One object per line; a table; or `{label: voiceprint}`, as an identification request takes it."""

# First characters of a cell that a spreadsheet runs as a formula; the last four are full-width forms of the first four.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _write_lines(file: TextIO, rows: ExportRows) -> Sequence[str]:
    file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in rows.records())
    return ()


def _write_table(file: TextIO, rows: ExportRows) -> Sequence[str]:
    extras = rows.extra_names()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*ALL_FIELDS, *_column_names(extras)])
    formulas = []
    for record in rows.records():
        extra = record.pop("extra")
        record["warnings"] = "; ".join(record["warnings"])
        cells = [*record.values(), *(_cell(extra.get(name)) for name in extras)]
        if record["label"].startswith(_FORMULA) or any(map(_is_formula, cells)):
            formulas.append(record["label"])
        writer.writerow(cells)
    return formulas


def _write_object(file: TextIO, rows: ExportRows) -> Sequence[str]:
    # One label per line distinguishes an export from other JSON files (`earlier_output`).
    separator = "{\n"
    for record in rows.records():
        if record["voiceprint"] is not None:
            file.write(separator + json.dumps(record["label"], ensure_ascii=False))
            file.write(f": {json.dumps(record['voiceprint'])}")
            separator = ",\n"
    file.write("{\n}\n" if separator == "{\n" else "\n}\n")
    return ()


WRITERS: Mapping[ExportFormat, Callable[[TextIO, ExportRows], Sequence[str]]] = {
    "jsonl": _write_lines,
    "csv": _write_table,
    "json": _write_object,
}
"""Functions that write all rows, and return the labels of rows with a cell that a spreadsheet runs as a formula."""


def _column_names(extras: Sequence[str]) -> list[str]:
    """Return unique names for the extra columns, which may be named like a field of the export."""
    used = list(ALL_FIELDS)
    for name in extras:
        unique = name
        while unique in used:
            unique = f"extra.{unique}"
        used.append(unique)
    return used[len(ALL_FIELDS) :]


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _is_formula(cell: Any) -> bool:
    """Return whether a spreadsheet runs a cell as a formula; a number such as -1 is none."""
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
