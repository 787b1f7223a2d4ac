"""A file that only its owner may read, and that is there whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

__all__ = ["check_folder", "is_same", "private_file"]


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """Write a file anew. It takes its name when all of it is on the disk; a failure leaves what was there before.

    Raises:
        OSError: it cannot be written.
    """
    # Beside it, because a file can take a name only on its own disk; private from its first byte on.
    descriptor, name = tempfile.mkstemp(prefix=".voiceprints.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Make sure that a file can be written in a folder, by beginning one.

    Raises:
        OSError: it cannot.
    """
    with tempfile.TemporaryFile(dir=folder):
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
