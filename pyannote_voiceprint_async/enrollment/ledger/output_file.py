"""A file that a command writes. What the file may replace is checked before anything is sent, and before writing."""

import io
import locale
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

import attrs

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.local_files import reason_of
from pyannote_voiceprint_async.redaction import printable_lines

from .earlier_output import Content, is_earlier_output
from .private_file import check_folder, is_same, private_file

__all__ = ["OutputFile"]

# A path of an open descriptor of this process. Opening the path would write from the beginning of the file.
_DESCRIPTOR = re.compile(r"/dev/(?:(stdin)|(stdout)|(stderr)|fd/(\d+))|/proc/self/fd/(\d+)", re.ASCII)

_FOREIGN_CONTENT: Mapping[Content, str] = {
    "jsonl": "holds something other than voiceprints by this command",
    "csv": "holds something other than voiceprints by this command",
    "json": "holds something other than voiceprints by this command",
    "results": "holds something other than results by this command",
    "jobs": "holds something other than jobs by this command",
    "report": "holds something other than a summary by this command",
    "picture": "holds something other than a picture by this command",
    "list": "exists already, and may have been corrected by hand",
    "identifications": "holds something other than results of identify",
    "identification-array": "holds something other than results of identify",
    "rttm": "exists already, and may have been corrected by hand",
}

# With a wrong ending, other programs would misread the file. A name without an ending is accepted.
_ENDINGS: Mapping[Content, tuple[str, ...]] = {
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
    "json": (".json",),
    "results": (".jsonl", ".ndjson", ".json"),
    "jobs": (".jsonl", ".ndjson", ".json"),
    "report": (".json",),
    "list": (".csv",),
    "picture": (".png",),
    "identifications": (".jsonl",),
    "identification-array": (".json",),
    "rttm": (".rttm",),
}
# A terminal that is opened must not become the controlling terminal, and opening a device must not block.
_WITHOUT_WAITING = getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NONBLOCK", 0)

# Content with the values of voiceprints. `results` and `jobs` are text on a terminal, without these values.
_WITH_VOICEPRINTS: frozenset[Content] = frozenset({"jsonl", "csv", "json"})
_EXPORTS = "An export is a .jsonl, .csv or .json file."


@attrs.frozen
class OutputFile:
    """A file that a command writes."""

    path: Path
    content: Content
    """What is written. Earlier output of the same kind may be replaced."""
    force: bool = False
    """Whether to replace a regular file that holds something else."""

    @property
    def is_stream(self) -> bool:
        """Whether the path is a device, a pipe or an open descriptor, where nothing is replaced."""
        if self._descriptor is not None:
            return True
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return False
        return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)

    @property
    def is_terminal(self) -> bool:
        """Whether the path is a terminal."""
        if self._descriptor is not None:
            with suppress(OSError):
                return os.isatty(self._descriptor)
        if not self.is_stream or not stat.S_ISCHR(self.path.stat().st_mode):
            return False
        with suppress(OSError):
            descriptor = os.open(self.path, os.O_WRONLY | _WITHOUT_WAITING)
            try:
                return os.isatty(descriptor)
            finally:
                os.close(descriptor)
        return False

    @property
    def replaces(self) -> bool:
        """Whether `force` replaces a file that holds something else."""
        return (
            self.force
            and self.path.is_file()
            and self.path.stat().st_size > 0
            and not is_earlier_output(self.path, self.content)
        )

    def check(self, *inputs: Path) -> None:
        """Check that the file can be written, and that writing destroys nothing else.

        Args:
            inputs: files that the same command reads.

        Raises:
            ConfigurationError: the file cannot be written, or must not be replaced.
        """
        if any(is_same(self.path, one) for one in inputs):
            raise ConfigurationError(f"{self.path} is read by this command. Choose another file.")
        self._check_ending()
        self._check_private()
        self.check_replaceable()
        if not self.is_stream:
            try:
                check_folder(self.path.parent)
            except OSError as exc:
                raise self._write_error(exc) from None

    def check_replaceable(self) -> None:
        """Check that the file is missing or empty, or holds earlier output of the same kind.

        Raises:
            ConfigurationError: it holds something else, or is not a regular file.
        """
        try:
            problem = self._problem()
        except OSError as exc:
            raise self._write_error(exc) from None
        if problem is not None:
            raise ConfigurationError(f"{self.path} {problem}")

    @contextmanager
    def write(self) -> Iterator[TextIO]:
        """Write the complete file, or leave the old one; a device or a pipe is written directly.

        Raises:
            ConfigurationError: the path got other content in the meantime, or a terminal would show voiceprints.
            OSError: it cannot be written.
        """
        self._check_private()
        if self.is_stream:
            with _open_text(self.open_stream()) as file:
                yield file
            return
        with private_file(self.path) as file:
            yield file
            self.check_replaceable()

    def open_stream(self) -> BinaryIO:
        """Open a device or a pipe without a buffer.

        Raises:
            OSError: it cannot be opened.
        """
        opened = self._descriptor
        descriptor = os.open(self.path, os.O_WRONLY) if opened is None else os.dup(opened)
        return os.fdopen(descriptor, "wb", buffering=0)

    def _check_ending(self) -> None:
        known, ending = _ENDINGS[self.content], self.path.suffix
        if not ending or ending.lower() in known or self.is_stream:
            return
        formats = f" {_EXPORTS}" if self.content in _WITH_VOICEPRINTS else ""
        raise ConfigurationError(
            f"{self.path} has the ending of another format. Choose a name that ends in {' or '.join(known)}.{formats}"
        )

    def _check_private(self) -> None:
        if self.content in _WITH_VOICEPRINTS and self.is_terminal:
            raise ConfigurationError(
                f"{self.path} is a terminal, which never shows the value of a voiceprint. Choose a file, or a pipe to "
                "another program."
            )

    @property
    def _descriptor(self) -> int | None:
        match = _DESCRIPTOR.fullmatch(os.fspath(self.path))
        if match is None:
            return None
        return int(match[4] or match[5]) if match[4] or match[5] else int(match.lastindex or 0) - 1

    def _problem(self) -> str | None:
        """Return why the existing file must not be replaced."""
        if self.is_stream:
            return None
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            return f"is a symbolic link. Name the file itself: {os.path.realpath(self.path)}"
        if not stat.S_ISREG(found.st_mode):
            return "cannot be written (it is not a file). Choose another file."
        if self.force or not found.st_size or is_earlier_output(self.path, self.content):
            return None
        return f"{_FOREIGN_CONTENT[self.content]}. Choose another file, or overwrite it (--force)."

    def _write_error(self, exc: OSError) -> ConfigurationError:
        return ConfigurationError(f"{self.path} cannot be written ({reason_of(exc)}). Choose another file.")


class _TerminalText(io.TextIOWrapper):
    """Text for a terminal, without control characters: labels come from outside."""

    def write(self, text: str, /) -> int:
        return super().write(printable_lines(text))


def _open_text(file: BinaryIO) -> TextIO:
    if file.isatty():
        return _TerminalText(file, encoding=locale.getpreferredencoding(False), errors="backslashreplace")
    return io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8", newline="")
