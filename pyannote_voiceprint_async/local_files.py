"""Files that are read as audio: those of this machine, and the open files of callers."""

import os
import stat
from pathlib import Path
from typing import IO, Protocol

from .errors import MediaError

__all__ = ["BinaryFile", "open_regular_file", "reason_of"]


class BinaryFile(Protocol):
    """An open binary file that can be rewound. Any object with these methods is one, also without a base class."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Set the position and return it."""

    def tell(self) -> int:
        """Return the position."""


def open_regular_file(path: os.PathLike[str]) -> IO[bytes]:
    """Open a regular file in binary mode. The call blocks, so it belongs on a worker thread.

    Raises:
        MediaError: the file is missing, must not be read, or is not a regular file.
    """
    try:
        # Checked before opening: opening a named pipe would block until another process writes to it.
        mode = Path(path).stat().st_mode
        if stat.S_ISREG(mode):
            return Path(path).open("rb")
    except (OSError, ValueError) as exc:
        raise MediaError(f"The audio file cannot be opened ({reason_of(exc)}): {os.fspath(path)}") from None
    reason = "it is a directory" if stat.S_ISDIR(mode) else "it is not a regular file"
    raise MediaError(f"The audio file cannot be opened ({reason}): {os.fspath(path)}")


def reason_of(exc: Exception) -> str:
    """Return what an exception of a file says, in lower case, for parentheses in a message."""
    return (getattr(exc, "strerror", None) or str(exc) or type(exc).__name__).lower()
