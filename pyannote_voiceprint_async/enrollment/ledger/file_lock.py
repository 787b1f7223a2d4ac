"""A lock on a file's inode: one run per ledger, whatever the path by which the file is opened.

The lock covers one byte far behind the end of the file, so that it conflicts with none of SQLite's own locks, not even
on network file systems and macOS. On Linux it belongs to the open file (OFD lock). Elsewhere it belongs to the process,
and may end early when SQLite closes a descriptor of the file; there the owner token inside the ledger stops one of two
runs (`ownership`).

Closing any descriptor of a file releases all POSIX locks that the process has on it, those of SQLite included.
Therefore a file is opened here only if no `FileLock` of this process has it, and closed after SQLite has closed it.
"""

import os
import struct
import threading
from pathlib import Path

from pyannote_voiceprint_async.errors import LedgerInUseError

try:
    import fcntl
except ImportError:  # Windows has no such lock: there only the owner token stops a second run
    fcntl = None  # type: ignore[assignment]

__all__ = ["FileLock", "in_use_error", "is_locked"]

# Beyond the size of any file, and beyond the lock bytes of SQLite (2**30 to 2**30 + 511).
_LOCK_BYTE = 2**62

# POSIX locks belong to the process, so the process keeps one list of its locked files.
_guard = threading.Lock()
_held: dict[tuple[int, int], "FileLock"] = {}


class FileLock:
    """An exclusive lock that ends with the process. A forked child does not have it.

    Args:
        path: an existing file; links are followed.

    Raises:
        LedgerInUseError: another process, or another run of this process, has the lock.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path = Path(os.path.realpath(path))
        with _guard:
            found = path.stat()
            self._file_id = found.st_dev, found.st_ino
            if self._file_id in _held:
                raise in_use_error(os.getpid())
            self.descriptor = os.open(path, os.O_RDWR)  # Python closes it on exec
            try:
                if os.path.samestat(found, os.fstat(self.descriptor)):
                    _lock(self.descriptor)
                else:
                    raise BlockingIOError  # another process replaced the file between `stat` and `open`
            except OSError as exc:
                os.close(self.descriptor)
                if isinstance(exc, BlockingIOError | PermissionError):  # POSIX allows both for a lock that is held
                    raise in_use_error(None) from None
                raise  # a file system without locks
            _held[self._file_id] = self

    def release(self) -> None:
        """Release the lock. SQLite must have closed the file before."""
        with _guard:
            if _held.get(self._file_id) is not self:
                return  # released already, or inherited by a fork
            del _held[self._file_id]
            _unlock(self.descriptor)  # a child that is forked at this moment must not keep the lock
            os.close(self.descriptor)


def is_locked(path: Path) -> bool | None:
    """Return whether a run has the lock of a file; None if this cannot be found out, as on macOS and Windows.

    Closing the file releases the POSIX locks that this process has on it, those of SQLite included.
    """
    if not hasattr(fcntl, "F_OFD_GETLK"):
        return None
    try:
        with _guard:
            found = path.stat()
            if (found.st_dev, found.st_ino) in _held:
                return True
            descriptor = os.open(path, os.O_RDONLY)
            try:
                other = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK))
            finally:
                os.close(descriptor)
    except OSError:  # the file system has no locks
        return None
    return bool(struct.unpack_from("h", other)[0] != fcntl.F_UNLCK)


def in_use_error(process: int | None) -> LedgerInUseError:
    """Return the error for a ledger that another run has open.

    Args:
        process: the id of the other run's process, if it is known.
    """
    holder = "" if process is None else f" (process {process})"
    return LedgerInUseError(
        f"Another run has this ledger open{holder}. Wait until it finishes, or end it first; `pyannote-voiceprint "
        "ledger status` shows its progress."
    )


def _lock(file: int) -> None:
    if hasattr(fcntl, "F_OFD_SETLK"):
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK))
    elif hasattr(fcntl, "lockf"):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LOCK_BYTE)


def _unlock(file: int) -> None:
    if hasattr(fcntl, "F_OFD_SETLK"):
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK))
    elif hasattr(fcntl, "lockf"):
        fcntl.lockf(file, fcntl.LOCK_UN, 1, _LOCK_BYTE)


def _flock(kind: int) -> bytes:
    """Pack a `struct flock` of Linux: type, whence, start, length, process (0 for OFD locks)."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, _LOCK_BYTE, 1, 0)


def _close_inherited() -> None:
    """Close the inherited descriptors in a forked child: an OFD lock lasts until its last descriptor is closed."""
    global _guard  # noqa: PLW0603 - another thread of the parent may have held it during the fork
    _guard = threading.Lock()
    for lock in _held.values():
        os.close(lock.descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
