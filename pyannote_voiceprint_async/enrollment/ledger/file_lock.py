"""A lock on a file's own inode: one run per ledger, whatever the file is called and wherever it is mounted.

The lock is one byte far behind the end of the file, so that it meets none of SQLite's own locks, on network file
systems and macOS neither. On Linux it belongs to the open file (OFD lock). Elsewhere it belongs to the process, and
may end early when SQLite closes a descriptor of the file; there the owner token inside the ledger is what stops one of
two runs (`ownership`).

Closing any descriptor of a file ends all POSIX locks that the process has on it, those of SQLite included. Therefore a
file is opened here only if no `FileLock` of this process has it, and closed after SQLite has closed it.
"""

import os
import struct
import threading
from pathlib import Path
from typing import Self

from pyannote_voiceprint_async.errors import LedgerInUseError

try:
    import fcntl
except ImportError:  # Windows has no such lock: there only the owner token stops a second run
    fcntl = None  # type: ignore[assignment]

__all__ = ["FileLock", "in_use"]

# Beyond what a file can hold, and beyond the lock bytes of SQLite (2**30 to 2**30 + 511).
_BYTE = 2**62

# POSIX locks are of the process, and so is the knowledge which files it has locked.
_guard = threading.Lock()
_held: dict[tuple[int, int], "FileLock"] = {}


class FileLock:
    """An exclusive lock that ends with the process however it ends. A forked child does not have it.

    Args:
        path: an existing file.

    Raises:
        LedgerInUseError: another process, or another run of this one, has it.
        OSError: the file cannot be opened.
    """

    @classmethod
    def of(cls, path: Path) -> Self:
        """Lock a file by whatever name it is called."""
        return cls(Path(os.path.realpath(path)))

    def __init__(self, path: Path) -> None:
        with _guard:
            found = path.stat()
            self._identity = found.st_dev, found.st_ino
            if self._identity in _held:
                raise in_use(os.getpid())
            self.descriptor = os.open(path, os.O_RDWR)  # closed on exec, as all files of Python
            try:
                if os.path.samestat(found, os.fstat(self.descriptor)):
                    _lock(self.descriptor)
                else:
                    raise BlockingIOError  # replaced in this moment: somebody is at work on it
            except OSError as exc:
                os.close(self.descriptor)
                if isinstance(exc, BlockingIOError | PermissionError):  # as POSIX allows for a lock that is taken
                    raise in_use(None) from None
                raise  # a file system without locks
            _held[self._identity] = self

    def release(self) -> None:
        """Release it. SQLite must have closed the file before."""
        with _guard:
            if _held.get(self._identity) is not self:
                return  # released, or inherited by a fork
            del _held[self._identity]
            _unlock(self.descriptor)  # a child that was forked in the same moment must not keep it
            os.close(self.descriptor)


def in_use(process: int | None) -> LedgerInUseError:
    """Return the error for a ledger that another run has.

    Args:
        process: the id of its process, if it is known.
    """
    holder = "" if process is None else f" (process {process})"
    return LedgerInUseError(
        f"Another run has this ledger{holder}. Let it finish, or end it first; `pyannote-voiceprint ledger status` "
        "shows how far it is."
    )


def _lock(file: int) -> None:
    if hasattr(fcntl, "F_OFD_SETLK"):
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK))
    elif hasattr(fcntl, "lockf"):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _BYTE)


def _unlock(file: int) -> None:
    if hasattr(fcntl, "F_OFD_SETLK"):
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK))
    elif hasattr(fcntl, "lockf"):
        fcntl.lockf(file, fcntl.LOCK_UN, 1, _BYTE)


def _flock(kind: int) -> bytes:
    """Pack a `struct flock` of Linux: type, whence, start, length, process (0 for OFD locks)."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, _BYTE, 1, 0)


def _drop_inherited() -> None:
    """Close what a forked child has inherited: an OFD lock lasts until its last descriptor is closed."""
    global _guard  # noqa: PLW0603 - another thread of the parent may have held it
    _guard = threading.Lock()
    for lock in _held.values():
        os.close(lock.descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_inherited)
