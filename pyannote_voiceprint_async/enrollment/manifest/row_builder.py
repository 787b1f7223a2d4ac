"""Build rows from the values of a manifest, whatever its format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .columns import Column
from .label_checks import printable_label
from .rows import Problem, Row
from .segments import parse_segments
from .source_kinds import is_url

__all__ = ["RowBuilder"]


class RowBuilder:
    """Builds the rows of one manifest.

    Args:
        folder: the folder of the manifest, to which paths are relative.
        warnings: warnings that concern the whole list; the first row with a local file reports them.
    """

    def __init__(self, folder: Path, warnings: tuple[str, ...]) -> None:
        self._folder = folder
        self._warnings = warnings

    def build(self, values: Mapping[Column, Any], extra: Mapping[str, Any], line: int) -> Row | Problem:
        """Return the row, or what is wrong with its values.

        Args:
            values: the values of the columns that are read; label and source are there, and are text.
            extra: the values of all other columns.
            line: the line of the row.
        """
        label, source = values[Column.LABEL], values[Column.SOURCE]
        if source[:7].lower() == "file://":
            message = "a file:// URL is not accepted; write the path without file://"
            return Problem(message, printable_label(label), line)
        segments = parse_segments(values.get(Column.START), values.get(Column.END))
        if isinstance(segments, str):
            return Problem(segments, printable_label(label), line)
        # An empty source stays empty: joined with the folder it would name the folder. `check_row` reports it.
        location = source if not source or is_url(source) else self._folder / source
        return Row(
            label,
            location,
            values.get(Column.MODEL) or None,
            extra=extra,
            segments=segments,
            warnings=self._take_warnings() if isinstance(location, Path) else (),
            line=line,
        )

    def _take_warnings(self) -> tuple[str, ...]:
        warnings, self._warnings = self._warnings, ()
        return warnings
