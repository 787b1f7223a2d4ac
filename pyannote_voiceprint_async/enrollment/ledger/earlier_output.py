"""Recognize earlier output of this package, which a command may replace without `--force`."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

__all__ = [
    "EXPORT_FIELDS",
    "IDENTIFICATION_FIELDS",
    "IDENTIFY_SOFTWARE",
    "JOB_FIELDS",
    "PICTURE_SOFTWARE",
    "RESULT_FIELDS",
    "Content",
    "is_earlier_output",
]

Content: TypeAlias = Literal[
    "jsonl",
    "csv",
    "json",
    "results",
    "jobs",
    "report",
    "list",
    "picture",
    "identifications",
    "identification-array",
    "rttm",
]
"""What a command writes: an export, lines of `voiceprint` or `job`, a summary, a list of speakers, a picture, or
results of `identify`."""

EXPORT_FIELDS = ("label", "source", "status", "job_id", "model", "voiceprint", "created_at", "warnings", "error")
RESULT_FIELDS = ("label", "source", "status", "job_id", "model", "voiceprint", "warnings", "error")
JOB_FIELDS = ("job_id", "status", "created_at", "updated_at", "voiceprint", "warning", "error")
IDENTIFICATION_FIELDS = ("label", "source", "status", "error", "job_id", "model", "turns", "speakers")
PICTURE_SOFTWARE, IDENTIFY_SOFTWARE = "pyannote-voiceprint inspect", "pyannote-voiceprint identify"
"""The programs in the metadata of pictures."""
# The fields that the reports of runs and of dry runs have in common.
_REPORT_FIELDS = {"rows", "succeeded", "submitted", "failed", "expired", "invalid", "forgotten", "jobs"}

# The metadata of a picture are at its beginning.
_PICTURE_HEAD = 1024
# A file with a line of this many characters was not written by this package.
_MAX_LINE = 16 * 2**20


def is_earlier_output(path: Path, content: Content) -> bool:
    """Return whether a file holds earlier output of this kind.

    Raises:
        OSError: the file cannot be read.
    """
    if content == "picture":
        return _is_picture(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return _RECOGNIZERS[content](_bounded_lines(file))
    except (ValueError, RecursionError, csv.Error):
        return False


def _bounded_lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(_MAX_LINE):
        if len(line) == _MAX_LINE:
            raise ValueError("a line is too long")
        yield line


def _has_first_fields(fields: Sequence[str], line: str) -> bool:
    record = json.loads(line)
    return isinstance(record, dict) and tuple(record)[: len(fields)] == tuple(fields)


def _are_export_lines(lines: Iterator[str]) -> bool:
    return all(_has_first_fields(EXPORT_FIELDS, line) for line in lines)


def _is_export_table(lines: Iterator[str]) -> bool:
    table = csv.reader(lines, strict=True)
    header = next(table)
    return tuple(header[: len(EXPORT_FIELDS)]) == EXPORT_FIELDS and all(len(row) == len(header) for row in table)


def _is_export_object(lines: Iterator[str]) -> bool:
    """Return whether the lines are an object with one label per line, between lines of one brace."""
    if next(lines) != "{\n":
        return False
    for line in lines:
        if line == "}\n":
            return next(lines, None) is None
        pair = json.loads("{" + line.rstrip(",\n") + "}")
        if len(pair) != 1 or not all(isinstance(voiceprint, str) for voiceprint in pair.values()):
            return False
    return False


def _are_results(fields: Sequence[str], lines: Iterator[str]) -> bool:
    return all(_is_result(fields, line) for line in lines)


def _is_result(fields: Sequence[str], line: str) -> bool:
    try:
        return _has_first_fields(fields, line)
    except ValueError:
        # Results are written line by line: a killed command leaves an incomplete line.
        prefix = f'{{"{fields[0]}": "'
        return line.startswith(prefix) or prefix.startswith(line.removesuffix("\n"))


def _is_report(lines: Iterator[str]) -> bool:
    report: Any = json.loads("".join(lines))
    return isinstance(report, dict) and all(type(report.get(name)) is int for name in _REPORT_FIELDS)


def _is_identification_array(lines: Iterator[str]) -> bool:
    """Return whether the lines are an array with one result per line, between lines of one bracket."""
    if next(lines) != "[\n":
        return False
    for line in lines:
        if line == "]\n":
            return next(lines, None) is None
        if line != "\n" and not _has_first_fields(IDENTIFICATION_FIELDS, line.rstrip(",\n")):
            return False
    return False


def _is_picture(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_PICTURE_HEAD)
    return head.startswith(b"\x89PNG\r\n\x1a\n") and any(
        program.encode() in head for program in (PICTURE_SOFTWARE, IDENTIFY_SOFTWARE)
    )


def _is_never(_lines: Iterator[str]) -> bool:
    return False


_RECOGNIZERS: Mapping[Content, Callable[[Iterator[str]], bool]] = {
    "jsonl": _are_export_lines,
    "csv": _is_export_table,
    "json": _is_export_object,
    "results": partial(_are_results, RESULT_FIELDS),
    "jobs": partial(_are_results, JOB_FIELDS),
    "report": _is_report,
    "identifications": lambda lines: all(_has_first_fields(IDENTIFICATION_FIELDS, line) for line in lines),
    "identification-array": _is_identification_array,
    "rttm": _is_never,
    "list": _is_never,
    "picture": _is_never,  # not text
}
