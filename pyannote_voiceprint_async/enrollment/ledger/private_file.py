"""A file that only its owner may read, and that is written completely or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

__all__ = ["check_folder", "is_same", "private_file"]


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """Write a new file, and rename it to `path` when its data is on the disk. A failure leaves the old file.

    Raises:
        OSError: it cannot be written.
    """
    # In the same folder, because a rename works only within one disk. `mkstemp` creates a private file.
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
    """Check that a file can be created in a folder.

    Raises:
        OSError: it cannot be created.
    """
    with tempfile.TemporaryFile(dir=folder):
        pass


def is_same(one: Path, other: Path) -> bool:
    """Return whether two paths lead to the same file, which need not exist."""
    return os.path.realpath(one) == os.path.realpath(other)


def _sync_folder(folder: Path) -> None:
    # Makes the rename survive a power cut. Some file systems cannot sync a folder.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
