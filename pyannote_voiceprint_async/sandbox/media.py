"""Media storage: presigned URLs, and what is kept of each uploaded file (never its audio)."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import attrs

from pyannote_voiceprint_async.sandbox.speech import MeasuredSpeech

PREFIX = "/_media/"

_DATE = "%Y%m%dT%H%M%SZ"


@attrs.frozen
class StoredMedia:
    """What is kept of an uploaded file."""

    sha256: bytes
    """Digest of the file, from which the voiceprint is computed."""
    size: int
    """Length in bytes."""
    usable: bool
    """Whether a voiceprint can be made of the file."""
    stored_at: float
    """Time of the upload in UTC epoch seconds."""
    seconds: float | None = None
    """Duration of the audio; `None` if its header does not contain the duration."""
    identifiable: bool = False
    """Whether speakers can be identified in the file."""
    speech: MeasuredSpeech | None = None
    """The measured speech; `None` if there is none, or none could be measured."""


class MediaStorage:
    """The uploaded files of one team, and the presigned URLs with which they are uploaded.

    Args:
        seconds: Seconds for which a file is kept.
        presigned_seconds: Seconds for which a presigned URL is valid.
    """

    def __init__(self, seconds: float, presigned_seconds: int) -> None:
        self._seconds = seconds
        self._presigned_seconds = presigned_seconds
        self._secret = secrets.token_bytes(32)
        self._uploads: dict[str, StoredMedia] = {}

    def presign(self, url: str, now: float) -> str:
        """Return path and query with which one file can be uploaded to this `media://` URL."""
        path = PREFIX + _to_segment(url)
        date = datetime.fromtimestamp(now, UTC).strftime(_DATE)
        expires = str(self._presigned_seconds)
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Date": date,
            "X-Amz-Expires": expires,
            "X-Amz-Signature": self._sign(path, date, expires),
        }
        return f"{path}?{urlencode(query)}"

    def is_signed(self, path: str, query: Mapping[str, str]) -> bool:
        """Return whether `presign` returned this path and query."""
        expected = self._sign(path, query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", ""))
        return hmac.compare_digest(expected.encode(), query.get("X-Amz-Signature", "").encode())

    def is_expired(self, query: Mapping[str, str], now: float) -> bool:
        """Return whether a signed query is no longer valid."""
        signed_at = datetime.strptime(query["X-Amz-Date"], _DATE).replace(tzinfo=UTC).timestamp()
        return now > signed_at + int(query["X-Amz-Expires"])

    def store(self, path: str, upload: StoredMedia) -> None:
        """Keep the file that was uploaded to this path. A second upload replaces the first."""
        self._uploads[path] = upload

    def restore(self, uploads: Mapping[str, StoredMedia]) -> None:
        """Replace all files. The keys of the mapping are the paths of the uploads."""
        self._uploads = {**uploads}

    def find(self, url: str, now: float) -> StoredMedia | None:
        """Return the file behind a `media://` URL, or `None` if it was never uploaded or has expired."""
        upload = self._uploads.get(PREFIX + _to_segment(url))
        return upload if upload is not None and now < upload.stored_at + self._seconds else None

    def _sign(self, path: str, date: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}\n{date}\n{expires}".encode(), hashlib.sha256).hexdigest()


def url_of(path: str) -> str | None:
    """Return the `media://` URL of the path of a presigned URL, or `None` for any other path."""
    segment = path.removeprefix(PREFIX)
    try:
        url = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode()
    except ValueError:
        return None
    return url if url.startswith("media://") else None


def _to_segment(url: str) -> str:
    """Return a media URL as one path segment. HTTP clients would resolve a `..` of a media key in a plain path."""
    # `find` is called with every submitted URL, and JSON allows half a surrogate pair in a URL.
    return base64.urlsafe_b64encode(url.encode("utf-8", "surrogatepass")).decode().rstrip("=")
