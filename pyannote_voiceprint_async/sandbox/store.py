"""What outlives a sandbox: accepted jobs and uploads, one line of JSON each, in a file."""

import asyncio
import json
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from pyannote_voiceprint_async.sandbox.jobs import Job
from pyannote_voiceprint_async.sandbox.media import StoredMedia

# Its first line, by which it is known: nobody's notes are to be taken for half a line and cut off.
_HEAD = b'{"file": "pyannote-voiceprint sandbox", "version": 1}\n'

_PRIVATE = 0o600

# What goes wrong with a webhook is no part of a job's line: after a restart, nothing more is told of it.
_LASTING = attrs.filters.exclude("webhook_fault")


@attrs.frozen
class StoreContents:
    """What a file held."""

    jobs: list[Job] = attrs.field(factory=list)
    """Oldest first."""
    uploads: dict[str, StoredMedia] = attrs.field(factory=dict)
    """The last one of each path."""


class SandboxStore:
    """Takes jobs and uploads in at once, and has them in its file after the next `settle`.

    From then on no end of the process loses them; that of the whole machine may, since nothing is synced.

    Args:
        path: The file. With `None` nothing is kept, and everything here does nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        # What is not in the file yet. The loop appends, and whoever has the lock takes from the front.
        self._pending = bytearray()
        # Files are touched in threads only, by one at a time; a thread goes on when its task is cancelled.
        self._lock = threading.Lock()

    async def open(self) -> StoreContents | None:
        """Open the file, or make it, and give what it holds; half a line at its end is cut off.

        Raises:
            ValueError: When it is something else, is damaged, or cannot be used. It is left as it was.
        """
        return None if self._path is None else await asyncio.to_thread(self._open, self._path)

    def add_job(self, job: Job) -> None:
        """Take in a job that was accepted."""
        if self._path is not None:
            self._add({"job": attrs.asdict(job, filter=_LASTING, value_serializer=_plain)})

    def add_upload(self, path: str, upload: StoredMedia) -> None:
        """Take in what was uploaded at this path."""
        if self._path is not None:
            self._add({"path": path, "upload": attrs.asdict(upload, value_serializer=_plain)})

    async def settle(self) -> None:
        """Wait until everything that was taken in is in the file.

        Raises:
            OSError: When it cannot be written; the next call tries again.
        """
        if self._pending:
            await asyncio.to_thread(self._write)

    async def close(self) -> None:
        """Write what is left, and let go of the file."""
        if self._path is not None:
            await asyncio.to_thread(self._close)

    def _add(self, entry: Mapping[str, Any]) -> None:
        self._pending += json.dumps(entry).encode() + b"\n"

    def _open(self, path: Path) -> StoreContents:
        with self._lock:
            try:
                self._file = open(path, "a+b", buffering=0, opener=_open_privately)  # noqa: SIM115  closed by `close`
                kept = _take_up(path, self._file)
                path.chmod(_PRIVATE)
            except OSError as exc:
                raise ValueError(
                    f"The store {path} cannot be used ({exc.strerror or exc}). Give a file that you may read and write."
                ) from exc
            return kept

    def _write(self) -> None:
        with self._lock:
            while self._pending and self._file is not None:
                # On a full disk only some bytes are written: the rest has to follow them, whenever that is.
                del self._pending[: self._file.write(bytes(self._pending))]

    def _close(self) -> None:
        try:
            self._write()
        finally:
            with self._lock:
                # After a failure, what is left must not come behind the half line that the next start cuts off.
                self._pending.clear()
                file, self._file = self._file, None
                if file is not None:
                    file.close()


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)


def _take_up(path: Path, file: BinaryIO) -> StoreContents:
    """Read the file to its last whole line, and let it end there."""
    file.seek(0)
    # A foreign file may be endless (a device), or too large to be read for nothing.
    head = file.read(len(_HEAD)) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b"no file"
    if not _HEAD.startswith(head):
        raise ValueError(f"{path} is not the store of a sandbox. Give another file, or one that does not exist yet.")
    if head != _HEAD:  # new, or killed while it was made
        file.truncate(0)
        file.write(_HEAD)
        return StoreContents()
    lines = file.read()
    whole = lines.rfind(b"\n") + 1
    kept = _read(path, lines[:whole])
    file.truncate(len(_HEAD) + whole)
    return kept


def _read(path: Path, lines: bytes) -> StoreContents:
    kept = StoreContents()
    # Not `splitlines`, which sees line ends where JSON has none.
    for number, line in enumerate(lines.split(b"\n")[:-1], start=2):
        try:
            _read_line(kept, json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            raise ValueError(
                f"Line {number} of the store {path} is damaged. Remove that line, or give another file."
            ) from exc
    return kept


def _read_line(kept: StoreContents, entry: dict[str, Any]) -> None:
    if "job" in entry:
        kept.jobs.append(_to_job(entry["job"]))
    else:
        kept.uploads[entry["path"]] = _to_upload(entry["upload"])


def _to_job(fields: dict[str, Any]) -> Job:
    media = fields["media"]
    return Job(**{**fields, "media": None if media is None else _to_upload(media)})


def _to_upload(fields: dict[str, Any]) -> StoredMedia:
    return StoredMedia(**{**fields, "sha256": bytes.fromhex(fields["sha256"])})


def _plain(_instance: object, _field: object, value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
