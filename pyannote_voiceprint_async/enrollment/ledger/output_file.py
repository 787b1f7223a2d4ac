"""A file that a command writes: what it may replace, checked before anything is sent and again when it is written."""

import csv
import io
import json
import locale
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, TypeAlias

import attrs

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.redaction import printable_lines

from .private_file import check_folder, is_same, private_file

__all__ = ["EXPORT_FIELDS", "RESULT_FIELDS", "Content", "OutFile"]

Content: TypeAlias = Literal["jsonl", "csv", "json", "results", "report", "list"]
"""What a command writes: the three formats of an export, the lines of `voiceprint`, a summary, a list of speakers."""

EXPORT_FIELDS = ("label", "source", "status", "job_id", "model", "voiceprint", "created_at", "warnings", "error")
RESULT_FIELDS = ("label", "source", "status", "job_id", "model", "voiceprint", "warnings", "error")
# A run's report and a dry run's have these.
_REPORT_FIELDS = {"rows", "succeeded", "submitted", "failed", "expired", "invalid", "forgotten", "jobs"}

# What is longer was not written here.
_LONGEST_LINE = 16 * 2**20
# `voiceprint --out` writes line by line: a killed command leaves half a line.
_RESULT_BEGINS = '{"label": "'

# An open descriptor of this process under a name. Opening the name anew would write from the file's beginning.
_DESCRIPTOR = re.compile(r"/dev/(?:(stdin)|(stdout)|(stderr)|fd/(\d+))|/proc/self/fd/(\d+)", re.ASCII)


@attrs.frozen
class OutFile:
    """A file that a command writes."""

    path: Path
    content: Content
    """What is written, and what may be replaced: earlier output of the same kind."""
    force: bool = False
    """Replace whatever a regular file holds."""

    @property
    def is_stream(self) -> bool:
        """Whether it is a device, a pipe or an open descriptor: nothing there is replaced."""
        if self._descriptor is not None:
            return True
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return False
        return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)

    @property
    def replaces(self) -> bool:
        """Whether a file is replaced that holds something else, because that was asked for."""
        return self.force and self.path.is_file() and self.path.stat().st_size > 0 and not self._is_earlier_output()

    def check(self, *inputs: Path) -> None:
        """Make sure that the file can be written, and that nothing else is destroyed by it.

        Args:
            inputs: files that are read by the same command.

        Raises:
            ConfigurationError: it cannot be written, or must not be.
        """
        if any(is_same(self.path, one) for one in inputs):
            raise ConfigurationError(f"{self.path} is read by this command; give another file.")
        self.check_replaceable()
        if not self.is_stream:
            try:
                check_folder(self.path.parent)
            except OSError as exc:
                raise self._not_written(exc) from None

    def check_replaceable(self) -> None:
        """Make sure that a file of this name is empty, or holds earlier output of the same kind.

        Raises:
            ConfigurationError: it holds something else, or is no regular file.
        """
        try:
            reason = self._foreign()
        except OSError as exc:
            raise self._not_written(exc) from None
        if reason is not None:
            raise ConfigurationError(f"{self.path} {reason}")

    @contextmanager
    def write(self) -> Iterator[TextIO]:
        """Write the file anew: whole, or not at all; into a device or a pipe, directly.

        Raises:
            ConfigurationError: meanwhile the name was given to something else.
            OSError: it cannot be written.
        """
        if self.is_stream:
            with _text_for(self.open_stream()) as file:
                yield file
            return
        with private_file(self.path) as file:
            yield file
            self.check_replaceable()

    def open_stream(self) -> BinaryIO:
        """Open a device or a pipe, without a buffer.

        Raises:
            OSError: it cannot be opened.
        """
        opened = self._descriptor
        descriptor = os.open(self.path, os.O_WRONLY) if opened is None else os.dup(opened)
        return os.fdopen(descriptor, "wb", buffering=0)

    @property
    def _descriptor(self) -> int | None:
        match = _DESCRIPTOR.fullmatch(os.fspath(self.path))
        if match is None:
            return None
        return int(match[4] or match[5]) if match[4] or match[5] else int(match.lastindex or 0) - 1

    def _foreign(self) -> str | None:
        """Return why what is there must not be replaced."""
        if self.is_stream:
            return None
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            return f"is a symbolic link. Give the file itself: {os.path.realpath(self.path)}"
        if not stat.S_ISREG(found.st_mode):
            return "cannot be written (it is no file). Give another file."
        if self.force or not found.st_size or self._is_earlier_output():
            return None
        return f"{_FOREIGN[self.content]}. Give another file, or write over it (--force)."

    def _is_earlier_output(self) -> bool:
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                return _IS_EARLIER[self.content](_bounded_lines(file))
        except (ValueError, RecursionError, csv.Error):
            return False

    def _not_written(self, exc: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path} cannot be written ({(exc.strerror or type(exc).__name__).lower()}). Give another file."
        )


_FOREIGN: Mapping[Content, str] = {
    "jsonl": "holds something else than voiceprints by this command",
    "csv": "holds something else than voiceprints by this command",
    "json": "holds something else than voiceprints by this command",
    "results": "holds something else than results by this command",
    "report": "holds something else than a summary by this command",
    "list": "is there already, and may have been corrected by hand",
}


def _bounded_lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ValueError("a line is too long")
        yield line


def _begins_with(fields: Sequence[str], line: str) -> bool:
    record = json.loads(line)
    return isinstance(record, dict) and tuple(record)[: len(fields)] == tuple(fields)


def _are_exported_lines(lines: Iterator[str]) -> bool:
    return all(_begins_with(EXPORT_FIELDS, line) for line in lines)


def _is_exported_table(lines: Iterator[str]) -> bool:
    table = csv.reader(lines, strict=True)
    header = next(table)
    return tuple(header[: len(EXPORT_FIELDS)]) == EXPORT_FIELDS and all(len(row) == len(header) for row in table)


def _is_exported_object(lines: Iterator[str]) -> bool:
    """Whether it is an object with one label a line, between lines of one brace."""
    if next(lines) != "{\n":
        return False
    for line in lines:
        if line == "}\n":
            return next(lines, None) is None
        pair = json.loads("{" + line.rstrip(",\n") + "}")
        if len(pair) != 1 or not all(isinstance(voiceprint, str) for voiceprint in pair.values()):
            return False
    return False


def _are_results(lines: Iterator[str]) -> bool:
    return all(_is_result(line) for line in lines)


def _is_result(line: str) -> bool:
    try:
        return _begins_with(RESULT_FIELDS, line)
    except ValueError:
        return line.startswith(_RESULT_BEGINS) or _RESULT_BEGINS.startswith(line.removesuffix("\n"))


def _is_report(lines: Iterator[str]) -> bool:
    report: Any = json.loads("".join(lines))
    return isinstance(report, dict) and all(type(report.get(name)) is int for name in _REPORT_FIELDS)


def _is_never(_lines: Iterator[str]) -> bool:
    return False


_IS_EARLIER: Mapping[Content, Callable[[Iterator[str]], bool]] = {
    "jsonl": _are_exported_lines,
    "csv": _is_exported_table,
    "json": _is_exported_object,
    "results": _are_results,
    "report": _is_report,
    "list": _is_never,
}


class _TerminalText(io.TextIOWrapper):
    """Text on a terminal: labels come from outside."""

    def write(self, text: str, /) -> int:
        return super().write(printable_lines(text))


def _text_for(file: BinaryIO) -> TextIO:
    if file.isatty():
        return _TerminalText(file, encoding=locale.getpreferredencoding(False), errors="backslashreplace")
    return io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8", newline="")
