"""Files of this machine that are opened to be read as audio."""

import os
import stat
from pathlib import Path
from typing import IO

from .errors import MediaError

__all__ = ["open_regular_file", "reason_of"]


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
