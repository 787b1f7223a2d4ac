"""What `inspect` found, as text: a table for a terminal, and one line for each file beside the JSON of a pipe."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .formatting import format_count
from .text_layout import TextColumn, table_line, text_cells, wrap

__all__ = ["UNREADABLE", "InspectTable", "summary_line"]

UNREADABLE = "unreadable"
"""The code of the finding for a file that cannot be opened or decoded. Its message is a sentence."""

_RESULT, _LENGTH, _SPEECH, _LEVEL, _FORMAT, _FILE = (
    TextColumn("RESULT", 7),
    TextColumn("LENGTH", 8, align_right=True),
    TextColumn("SPEECH", 8, align_right=True),
    TextColumn("LEVEL", 8, align_right=True),
    TextColumn("FORMAT", 14),
    TextColumn("FILE", 20),
)
# By the width of the terminal: the columns that fit. The name is last, and is never cut.
_LAYOUTS = (
    (100, (_RESULT, _LENGTH, _SPEECH, _LEVEL, _FORMAT, _FILE)),
    (76, (_RESULT, _LENGTH, _SPEECH, _LEVEL, _FILE)),
    (0, (_RESULT, _LENGTH, _SPEECH, _FILE)),
)
_INDENT = " " * (_RESULT.width + 2)


class InspectTable:
    """A table of files, line by line, because a long recording takes a while."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def lines(self, record: Mapping[str, Any], width: int) -> Iterator[str]:
        """Yield the line of the next file with its findings, below the titles of the columns if it is the first."""
        columns = next(columns for least, columns in _LAYOUTS if width >= least)
        if not self._counts:
            yield table_line(columns, (column.title for column in columns))
        cells = _cells(record)
        self._counts[cells["RESULT"]] += 1
        name = cells["FILE"]
        if sum(column.width + 2 for column in columns[:-1]) + text_cells(name) > width:
            cells["FILE"] = ""
        yield table_line(columns, (cells[column.title] for column in columns))
        below = [] if cells["FILE"] else [name]
        below += [_message(record, finding) for finding in record["findings"]]
        yield from (f"{_INDENT}{line}" for text in below for line in wrap(text, width - len(_INDENT)))

    @property
    def total_line(self) -> str:
        """The last line: how many files have which result."""
        counts = ", ".join(f"{count} {result}" for result, count in sorted(self._counts.items()))
        return f"{format_count(self._counts.total(), 'file')}: {counts or 'nothing to inspect'}."


def summary_line(record: Mapping[str, Any]) -> str:
    """Return one line: whether `enroll` would accept the file, and its problems."""
    findings = record["findings"]
    problems = "; ".join(_message(record, finding).removesuffix(".") for finding in findings)
    if any(finding["code"] == UNREADABLE for finding in findings):
        return f"{record['file']}: would be refused. {problems}."
    if any(finding["is_fatal"] for finding in findings):
        return f"{record['file']}: would be refused: {problems}."
    length = (
        f", {record['seconds']:.1f} s with {record['speech_seconds']:.1f} s of speech" if "seconds" in record else ""
    )
    return f"{record['file']}: usable{length}, but it {problems}." if findings else f"{record['file']}: good{length}."


def _message(record: Mapping[str, Any], finding: Mapping[str, Any]) -> str:
    """Return the message of a finding without the name of the file, which stands beside it."""
    return str(finding["message"]).removesuffix(f": {record['file']}")


def _cells(record: Mapping[str, Any]) -> dict[str, str]:
    findings = record["findings"]
    is_fatal = any(finding["is_fatal"] for finding in findings)
    cells = dict.fromkeys((column.title for column in _LAYOUTS[0][1]), "")
    cells |= {"RESULT": "refused" if is_fatal else "usable" if findings else "good", "FILE": record["file"]}
    if "seconds" not in record:
        return cells | {"FORMAT": record.get("format", "")}
    return cells | {
        "LENGTH": f"{record['seconds']:.1f} s",
        "SPEECH": f"{record['speech_seconds']:.1f} s",
        "LEVEL": f"{record['loudness_dbfs']:.0f} dBFS",
        "FORMAT": f"{record['format']} {record['sample_rate'] / 1000:g} kHz",
    }
