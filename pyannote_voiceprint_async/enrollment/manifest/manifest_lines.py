"""The numbered lines of a manifest, with the limits and checks that hold for all its formats."""

import re
from collections.abc import Iterator
from typing import Final, TextIO

from pyannote_voiceprint_async.errors import ManifestError, Problem

__all__ = ["ManifestLines", "UnreadableLineError"]

_MAX_LENGTH: Final = 1024 * 1024
# With the error handler `surrogateescape`, a byte that is not UTF-8 becomes one of these characters.
_UNDECODED = re.compile(r"[\udc80-\udcff]")


class UnreadableLineError(Exception):
    """A line cannot be used; the text says why. Internal: the readers of manifests turn it into a `Problem`."""


class ManifestLines:
    """An iterator over the lines of a file that counts them and rejects unreadable ones.

    Args:
        file: the open file.
        name: the file's name, for error messages.

    Raises:
        UnreadableLineError: while iterating, for a line that cannot be used. The next line can be read afterwards.
    """

    def __init__(self, file: TextIO, name: str) -> None:
        self.number = 0
        """The number of the line that was read last, counted from 1."""
        self._file = file
        self._name = name
        self._pushed_back: str | None = None
        self._record_length = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._pushed_back = self._pushed_back or self._file.readline(_MAX_LENGTH + 1), None
        if not line:
            raise StopIteration
        self.number += 1
        self._record_length += len(line)
        # Without this limit, a file that is one endless line, or one endless quoted cell, fills the memory.
        if self._record_length > _MAX_LENGTH:
            self._skip_rest(line)
            raise UnreadableLineError(f"is over {_MAX_LENGTH} characters long; is this the list of speakers?")
        if "\0" in line:
            raise UnreadableLineError("has NUL characters; save the file as UTF-8")
        # A `str` stores whether it is ASCII: this test is free, and spares most lines the search.
        if not line.isascii() and _UNDECODED.search(line):
            raise UnreadableLineError("is not UTF-8; save the file as UTF-8 (Excel: 'CSV UTF-8')")
        return line

    def begin_record(self) -> int:
        """Begin a record of one or more lines, and return the number of its first line."""
        self._record_length = 0
        return self.number + 1

    def push_back(self, line: str) -> None:
        """Return the last line once more from the next iteration."""
        self._pushed_back = line
        self.number -= 1

    def error(self, *problems: Problem) -> ManifestError:
        """Return the error for a file that cannot be used at all."""
        return ManifestError(f"{self._name} cannot be used: {'; '.join(map(str, problems))}.", problems=problems)

    def _skip_rest(self, line: str) -> None:
        while line and not line.endswith(("\n", "\r")):
            line = self._file.readline(_MAX_LENGTH)
