"""The store: a file that keeps accepted jobs and uploads for the next sandbox, one line of JSON each."""

import asyncio
import json
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from pyannote_voiceprint_async.sandbox.diarized_recordings import DiarizedRecording, SandboxTurn
from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.job_scripts import JobScript
from pyannote_voiceprint_async.sandbox.jobs import SandboxJob
from pyannote_voiceprint_async.sandbox.media import StoredMedia
from pyannote_voiceprint_async.sandbox.speech import MeasuredSpeech

# The first line identifies the file: the repair of an incomplete last line must never truncate a foreign file.
_HEAD = b'{"file": "pyannote-voiceprint sandbox", "version": 1}\n'

_PRIVATE = 0o600

# The fault of a webhook is not stored because no webhook is sent after a restart.
_STORED_FIELDS = attrs.filters.exclude("webhook_fault")


@attrs.frozen
class StoreContents:
    """The contents of a store's file."""

    jobs: list[SandboxJob] = attrs.field(factory=list)
    """Oldest first."""
    uploads: dict[str, StoredMedia] = attrs.field(factory=dict)
    """The last upload of each path."""


class SandboxStore:
    """Collects jobs and uploads in memory, and writes them to its file in `flush`.

    What was flushed survives any end of the process. A crash of the whole machine may lose it, because the file is not
    synced.

    Args:
        path: The file. With `None`, all methods do nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        # Lines that are not in the file yet. The event loop appends; the thread that holds the lock removes the front.
        self._pending = bytearray()
        # Only threads use the file, one at a time. A thread continues when its task is canceled.
        self._lock = threading.Lock()

    async def open(self) -> StoreContents | None:
        """Open or create the file and return its contents. Remove an incomplete last line.

        Raises:
            ValueError: When the file is not a store, is damaged, or cannot be used. The file stays unchanged.
        """
        return None if self._path is None else await asyncio.to_thread(self._open, self._path)

    def add_job(self, job: SandboxJob) -> None:
        """Add an accepted job."""
        if self._path is not None:
            self._add({"job": attrs.asdict(job, filter=_STORED_FIELDS, value_serializer=_to_json)})

    def add_upload(self, path: str, upload: StoredMedia) -> None:
        """Add the file that was uploaded to this path."""
        if self._path is not None:
            self._add({"path": path, "upload": attrs.asdict(upload, value_serializer=_to_json)})

    async def flush(self) -> None:
        """Wait until everything that was added is in the file.

        Raises:
            OSError: When the file cannot be written. The next call tries again.
        """
        if self._pending:
            await asyncio.to_thread(self._write)

    async def close(self) -> None:
        """Write what is pending, and close the file."""
        if self._path is not None:
            await asyncio.to_thread(self._close)

    def _add(self, entry: Mapping[str, Any]) -> None:
        self._pending += json.dumps(entry).encode() + b"\n"

    def _open(self, path: Path) -> StoreContents:
        with self._lock:
            try:
                self._file = open(path, "a+b", buffering=0, opener=_open_private)  # noqa: SIM115  `_close` closes it
                contents = _read_and_repair(path, self._file)
                path.chmod(_PRIVATE)
            except OSError as exc:
                raise ValueError(
                    f"The store {path} cannot be used ({exc.strerror or exc}). Name a file that you may read and write."
                ) from exc
            return contents

    def _write(self) -> None:
        with self._lock:
            while self._pending and self._file is not None:
                # A full disk accepts only a part of the bytes. The rest must follow directly behind that part.
                del self._pending[: self._file.write(bytes(self._pending))]

    def _close(self) -> None:
        try:
            self._write()
        finally:
            with self._lock:
                # After a failed write the file ends with an incomplete line, behind which nothing may be written.
                self._pending.clear()
                file, self._file = self._file, None
                if file is not None:
                    file.close()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)


def _read_and_repair(path: Path, file: BinaryIO) -> StoreContents:
    """Read all complete lines, and truncate the file behind them."""
    file.seek(0)
    # Only the head is read at first: a foreign file may be very large, and a device may be endless.
    head = file.read(len(_HEAD)) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b"not a regular file"
    if not _HEAD.startswith(head):
        raise ValueError(f"{path} is not the store of a sandbox. Name another file, or one that does not exist yet.")
    if head != _HEAD:  # the file is new, or the process was killed while it created the file
        file.truncate(0)
        file.write(_HEAD)
        return StoreContents()
    lines = file.read()
    end = lines.rfind(b"\n") + 1
    contents = _parse(path, lines[:end])
    file.truncate(len(_HEAD) + end)
    return contents


def _parse(path: Path, lines: bytes) -> StoreContents:
    contents = StoreContents()
    # Not `splitlines`, which also splits at characters that are no line ends in JSON.
    for number, line in enumerate(lines.split(b"\n")[:-1], start=2):
        try:
            _parse_entry(contents, json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            raise ValueError(
                f"Line {number} of the store {path} is damaged. Remove that line, or name another file."
            ) from exc
    return contents


def _parse_entry(contents: StoreContents, entry: dict[str, Any]) -> None:
    if "job" in entry:
        contents.jobs.append(_to_job(entry["job"]))
    else:
        contents.uploads[entry["path"]] = _to_media(entry["upload"])


def _to_job(fields: dict[str, Any]) -> SandboxJob:
    media, identification = fields["media"], fields.get("identification")
    return SandboxJob(
        **{
            **fields,
            "media": None if media is None else _to_media(media),
            "identification": None if identification is None else _to_identify_fields(identification),
            "script": _to_script(fields.get("script", {})),
        }
    )


def _to_script(fields: dict[str, Any]) -> JobScript:
    seconds = fields.get("seconds")
    return JobScript(**{**fields, "seconds": None if seconds is None else tuple(seconds)})


def _to_identify_fields(fields: dict[str, Any]) -> IdentifyFields:
    speakers = {label: bytes.fromhex(vector) for label, vector in fields["speakers"].items()}
    return IdentifyFields(**{**fields, "speakers": speakers})


def _to_media(fields: dict[str, Any]) -> StoredMedia:
    speech = fields.get("speech")
    return StoredMedia(
        **{
            **fields,
            "sha256": bytes.fromhex(fields["sha256"]),
            "speech": None if speech is None else _to_speech(speech["voice"], speech["recording"]),
        }
    )


def _to_speech(voice: str, recording: dict[str, Any]) -> MeasuredSpeech:
    turns = [SandboxTurn(**turn) for turn in recording["turns"]]
    voices = [bytes.fromhex(vector) for vector in recording["voices"]]
    return MeasuredSpeech(bytes.fromhex(voice), DiarizedRecording(recording["seconds"], turns, voices))


def _to_json(_instance: object, _field: object, value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
