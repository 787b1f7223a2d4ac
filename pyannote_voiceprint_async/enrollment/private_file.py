"""A file that only its owner may read, and that is there whole or not at all."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

__all__ = ["check_place", "is_same", "private_file"]


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """Write a file anew. It takes its name when all of it is on the disk; a failure leaves what was there before.

    Raises:
        OSError: it cannot be written.
    """
    # A link stays one: what it leads to is replaced.
    target = Path(os.path.realpath(path))
    # Beside it, because a file can take a name only on its own disk; private from its first byte on.
    descriptor, name = tempfile.mkstemp(prefix=".voiceprints.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_folder(target.parent)


def check_place(path: Path) -> None:
    """Make sure that a file can be written there, by beginning one.

    Raises:
        OSError: it cannot.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise OSError(0, "it is no file")
    with tempfile.TemporaryFile(dir=target.parent):
        pass


def is_same(one: Path, other: Path) -> bool:
    """Whether two names are those of one file, be it there or not."""
    return os.path.realpath(one) == os.path.realpath(other)


def _sync_folder(folder: Path) -> None:
    # The name is there already; that it survives a power cut is more than some file systems promise.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
