"""Lay out text for a terminal: words wrapped at its width, aligned fields, and tables.

Nothing is cut off, and control characters are escaped.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple

from pyannote_voiceprint_async.redaction import printable

__all__ = ["TextColumn", "field_lines", "table_line", "terminal_width", "text_cells", "wrap"]

_DEFAULT_WIDTH = 80
# Narrower text is harder to read than lines that the terminal breaks.
_LEAST_WIDTH = 20
_GAP = "  "
# What must stay on one line: a command at the end of a line and text in backticks, so that people can copy them; a
# number and its unit; a job with its id; a word. Compiled by `re` at its first use: `--help` does not need it.
_UNIT = (
    r"(\s*)((?:(?<=: )|^)(?:pyannote-voiceprint|export|ffmpeg|pip) .*$"
    r"|(?:[^\s`]*`[^`]*`)+\S*|\d+(?:\.\d+)? (?:s|min|h|days?|EUR|MiB)\b\S*|job [\da-f]{8}-\S+|\S+)"
)


class TextColumn(NamedTuple):
    """A column of a table."""

    title: str
    width: int
    """In cells. Longer text is not cut: it moves the rest of its line."""
    align_right: bool = False


def terminal_width(stream: IO[Any]) -> int | None:
    """Return the width of a terminal in cells; None if the stream is no terminal."""
    if not stream.isatty():
        return None
    width = 0
    with suppress(OSError, ValueError):  # ValueError: a stream without a descriptor
        width = os.get_terminal_size(stream.fileno()).columns
    requested = os.environ.get("COLUMNS", "")
    if requested.isascii() and requested.isdecimal():
        width = int(requested)
    return max(_LEAST_WIDTH, width or _DEFAULT_WIDTH)


def text_cells(text: str) -> int:
    """Return how many cells of a terminal a text takes: 2 for most Asian characters, 0 for combining ones."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - most texts do not need it

    return cell_len(text)


def wrap(line: str, width: int) -> list[str]:
    """Return a line as lines of at most `width` cells, broken between words. Its own line breaks are escaped.

    A command, a text in backticks or a word that is longer has a line of its own. The lines that continue an indented
    line are indented further.
    """
    return list(_wrapped(printable(line), width))


def field_lines(fields: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Yield the lines of named values, with the values aligned and wrapped.

    Args:
        fields: names and values; fields with an empty value are left out.
        width: the width of the terminal.
    """
    shown = [(name, value) for name, value in fields if value]
    indent = max((text_cells(name) for name, _ in shown), default=0) + len(_GAP)
    for name, value in shown:
        for number, line in enumerate(wrap(value, width - indent)):
            # A command that is too long starts at the edge of the terminal, where it may fit.
            is_too_long = number > 0 and text_cells(line) > width - indent
            yield line if is_too_long else _pad("" if number else name, indent) + line


def table_line(columns: Sequence[TextColumn], cells: Iterable[str]) -> str:
    """Return a line of a table."""
    pairs = zip(columns, map(printable, cells), strict=True)
    padded = (_pad(cell, column.width, column.align_right) for column, cell in pairs)
    return _GAP.join(padded).rstrip()


def _wrapped(line: str, width: int) -> Iterator[str]:
    if text_cells(line) <= width:
        yield line
        return
    indent = len(line) - len(line.lstrip())
    hanging = " " * (indent + len(_GAP)) if indent else ""
    current = ""
    for space, unit in re.findall(_UNIT, line):
        if current.strip() and text_cells(current + space + unit) > width:
            yield current
            current = hanging + unit
        else:
            current += space + unit
    yield current


def _pad(text: str, width: int, align_right: bool = False) -> str:  # noqa: FBT001, FBT002 - called with a field
    space = " " * (width - text_cells(text))
    return space + text if align_right else text + space
