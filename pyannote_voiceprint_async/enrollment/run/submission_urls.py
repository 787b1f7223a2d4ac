"""The URL that is submitted for a recording: its own, a presigned one, or that of its upload."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

from pyannote_voiceprint_async.audio import cut_segments
from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.enrollment.ledger.recordings import PendingRecording
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.ledger.unsent import UnsentRecording
from pyannote_voiceprint_async.enrollment.manifest.preflight import change_time_ns, clip_identity
from pyannote_voiceprint_async.enrollment.options import Resolve
from pyannote_voiceprint_async.errors import VoiceprintError
from pyannote_voiceprint_async.urls.url_identity import url_expires_at

from .error_actions import RowError

__all__ = ["SubmissionUrls", "check_unchanged", "is_upload_kept", "needs_upload"]

# The API deletes uploaded audio after 24 to 48 hours, and its job must begin before that.
_UPLOAD_LIFETIME = 20 * 3600.0


class SubmissionUrls:
    """Returns the URL of a recording just before it is submitted: uploads a file, or calls `resolve`.

    Args:
        client: the client that uploads files.
        ledger: the ledger, which keeps the URLs of uploads.
        resolve: the user's function that returns the URL of a row, or None.
    """

    def __init__(self, client: AsyncVoiceprintClient, ledger: LedgerStore, resolve: Resolve | None) -> None:
        self._client = client
        self._ledger = ledger
        self._resolve = resolve

    async def url_of(self, recording: PendingRecording) -> str:
        """Return the URL to submit.

        Raises:
            RowError: the row has no usable URL, and is at fault.
            VoiceprintError: the upload failed, or `resolve` raised this error.
        """
        if recording.is_file:
            return await self._upload(recording)
        url = recording.source if self._resolve is None else await self._call_resolve(self._resolve, recording)
        self.check_expiry(url)
        return url

    def check_expiry(self, url: str) -> None:
        """Check by the server's clock that a presigned URL has not expired.

        Raises:
            RowError: it has expired.
        """
        expires_at = url_expires_at(url)
        if expires_at is not None and expires_at <= self._client.engine.server_time()[1]:
            raise RowError(
                "The presigned URL expired before the row was submitted. Nothing was sent. Run again with fresh URLs.",
                "url-expired",
            )

    async def _call_resolve(self, resolve: Resolve, recording: PendingRecording) -> str:
        try:
            returned: Any = resolve(recording.row)
            url = await returned if inspect.isawaitable(returned) else returned
        except asyncio.CancelledError as exc:
            if (this := asyncio.current_task()) is None or this.cancelling():
                raise
            raise _resolve_error("failed", exc) from exc  # raised by the function itself: the task was not cancelled
        except VoiceprintError:
            raise
        except Exception as exc:
            raise _resolve_error("failed", exc) from exc
        if not isinstance(url, str):
            raise _resolve_error("returned no URL", url)
        return url

    async def _upload(self, recording: PendingRecording) -> str:
        now = self._client.engine.clock.wall()
        if not needs_upload(recording, now) and recording.media_url is not None:
            return recording.media_url
        path = Path(recording.source)
        facts = (recording.size, recording.modified_ns)
        await asyncio.to_thread(check_unchanged, path, facts)
        url = await self._client.upload(await self._audio(recording, path))
        await asyncio.to_thread(check_unchanged, path, facts)
        await self._ledger.record_upload(recording, url, now)
        return url

    async def _audio(self, recording: PendingRecording, path: Path) -> Path | bytes:
        """Return what to upload: the path of the whole file, or the bytes of its segments."""
        if not recording.segments:
            return path
        clip = await asyncio.to_thread(cut_segments, path, recording.segments)
        if clip_identity(clip.digest) != recording.identity:
            raise RowError("The audio file changed since it was checked. Run again.", "file")
        return clip.audio


def check_unchanged(path: Path, facts: tuple[int | None, int | None]) -> None:
    """Check that a file has not changed since its hash was computed: another person may speak now. This call blocks.

    Args:
        path: the file.
        facts: its size in bytes and its `change_time_ns`, from when its hash was computed.

    Raises:
        RowError: it changed, or cannot be read.
    """
    try:
        found = path.stat()
    except OSError as exc:
        raise RowError(f"The audio file cannot be read ({(exc.strerror or '').lower()}).", "file") from None
    if (found.st_size, change_time_ns(found)) != facts:
        raise RowError("The audio file changed during the run. Run again: the new file is then checked.", "file")


def needs_upload(recording: PendingRecording | UnsentRecording, now: float) -> bool:
    """Return whether a local file must be uploaded: it was not yet, or the API has deleted the upload."""
    if not recording.is_file:
        return False
    return recording.media_url is None or not is_upload_kept(recording.uploaded_at, now)


def is_upload_kept(uploaded_at: float | None, now: float) -> bool:
    """Return whether the API still has an upload long enough for a job to begin."""
    return now - (uploaded_at or 0.0) < _UPLOAD_LIFETIME


def _resolve_error(what: str, cause: object) -> RowError:
    """Return the error for a failure of the user's function. It fails one row, and never the run."""
    return RowError(f"resolve() {what} for this row ({type(cause).__name__}).", "unresolved")
