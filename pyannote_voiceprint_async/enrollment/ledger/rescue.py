"""Save the content of a ledger whose file was deleted or replaced while a run had it open."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from pyannote_voiceprint_async.errors import LedgerError

from .ownership import disown

__all__ = ["rescue"]

_CHUNK_BYTES = 1024 * 1024


def rescue(descriptor: int, path: Path) -> LedgerError:
    """Copy the lost file beside its old path, and return the error that ends the run.

    Args:
        descriptor: the open file, between two transactions, when its bytes are complete.
        path: where the file was.
    """
    advice = "Jobs that this run was waiting for are listed by `pyannote-voiceprint jobs`."
    with suppress(sqlite3.Error, OSError):
        rescued = _create_unused(path.with_name(f"{path.name}.rescued"))
        try:
            _copy(descriptor, rescued)
            with closing(sqlite3.connect(rescued, isolation_level=None)) as copy:
                disown(copy)  # no run has the copy open
        except BaseException:
            rescued.unlink()
            raise
        advice = f"Its content is in {rescued.name} in the same folder: use that file."
    return LedgerError(f"The ledger {path.name} was deleted or replaced while a run had it open. {advice}")


def _create_unused(path: Path) -> Path:
    """Create an empty private file of this name, or of the next one that is not in use."""
    number, candidate = 1, path
    while True:
        try:
            os.close(os.open(candidate, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            number += 1
            candidate = path.with_name(f"{path.name}-{number}")
        else:
            return candidate


def _copy(descriptor: int, target: Path) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with target.open("wb") as file:
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
