"""The files of directories and patterns that are not included in a list."""

import os
from pathlib import Path

import attrs

__all__ = ["SkippedFiles"]

_MAX_NAMES = 5


@attrs.define
class SkippedFiles:
    """Counts files of directories and patterns that are skipped, because they have no suffix of a recording."""

    count: int = 0
    """How many files were skipped."""
    names: list[str] = attrs.field(factory=list)
    """The first few of them."""

    def add(self, path: Path) -> None:
        """Count a file."""
        self.count += 1
        if len(self.names) < _MAX_NAMES:
            self.names.append("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in os.fspath(path)))

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.names) else ""
        return f"{self.count} file{'s'[: self.count != 1]} ({', '.join(self.names)}{more})"

    @property
    def warning(self) -> str:
        """The note about the list that is reported with the first recording, before anything is submitted."""
        names = ", ".join(self.names) + (", …" if self.count > len(self.names) else "")
        if self.count == 1:
            return f"1 file was skipped: {names} (not named like a recording). To include it, pass its own name."
        count = f"{self.count} files were skipped"
        return f"{count}: {names} (not named like recordings). To include one, pass its own name."
