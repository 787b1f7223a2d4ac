"""Uploaded media: presigned URLs, and what is kept of a file (never its audio)."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import attrs

PREFIX = "/_media/"

_DATE = "%Y%m%dT%H%M%SZ"


@attrs.frozen
class StoredMedia:
    """A file that was uploaded."""

    sha256: bytes
    """Digest of its bytes; the voiceprint is made of it."""
    size: int
    """Length in bytes."""
    usable: bool
    """Whether a voiceprint can be made of it."""
    stored_at: float
    """UTC epoch seconds."""


class MediaStorage:
    """The files of one team, and the signatures that let them in.

    Args:
        seconds: How long a file is kept.
        presigned_seconds: How long a presigned URL is good.
    """

    def __init__(self, seconds: float, presigned_seconds: int) -> None:
        self._seconds = seconds
        self._presigned_seconds = presigned_seconds
        self._secret = secrets.token_bytes(32)
        self._uploads: dict[str, StoredMedia] = {}

    def presign(self, url: str, now: float) -> str:
        """Path and query that let one file in under this `media://` URL."""
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
        """Whether path and query are as `presign` gave them."""
        expected = self._sign(path, query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", ""))
        return hmac.compare_digest(expected.encode(), query.get("X-Amz-Signature", "").encode())

    def is_expired(self, query: Mapping[str, str], now: float) -> bool:
        """Whether a signed query is too old."""
        signed_at = datetime.strptime(query["X-Amz-Date"], _DATE).replace(tzinfo=UTC).timestamp()
        return now > signed_at + int(query["X-Amz-Expires"])

    def store(self, path: str, upload: StoredMedia) -> None:
        """Keep what came in at this path; a second upload replaces the first."""
        self._uploads[path] = upload

    def restore(self, uploads: Mapping[str, StoredMedia]) -> None:
        """Have these by their paths, and no others."""
        self._uploads = {**uploads}

    def find(self, url: str, now: float) -> StoredMedia | None:
        """The file behind a `media://` URL, unless it was never uploaded or is too old."""
        upload = self._uploads.get(PREFIX + _to_segment(url))
        return upload if upload is not None and now < upload.stored_at + self._seconds else None

    def _sign(self, path: str, date: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}\n{date}\n{expires}".encode(), hashlib.sha256).hexdigest()


def _to_segment(url: str) -> str:
    """A media URL as one path segment. A key may hold `..`, which clients would resolve away in a path."""
    # Any submitted URL comes by here, and JSON allows half a surrogate pair in one.
    return base64.urlsafe_b64encode(url.encode("utf-8", "surrogatepass")).decode().rstrip("=")
