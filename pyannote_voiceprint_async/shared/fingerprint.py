"""The fingerprint of a request: whether a submission key was used for the same request before."""

from __future__ import annotations

import hashlib

import attrs

from pyannote_voiceprint_async.api import codec
from pyannote_voiceprint_async.models import ANY_URL, IdentificationRequest, VoiceprintRequest
from pyannote_voiceprint_async.urls.url_identity import url_identity

__all__ = ["difference", "fingerprint"]

_PARTS = ("operation", "model", "audio", "speakers or options")


def fingerprint(request: VoiceprintRequest | IdentificationRequest, audio_digest: str | None = None) -> str:
    """Return the fingerprint of a request: its operation, its model, and hashes of its audio and its other fields.

    The signature of a presigned URL and the webhook do not count. Hashes keep URLs and voiceprints out of the store.

    Args:
        request: the request.
        audio_digest: the SHA-256 of local audio, which replaces the URL.
    """
    operation = "identify" if isinstance(request, IdentificationRequest) else "voiceprint"
    audio = audio_digest or _sha256(url_identity(request.url[:]).encode("utf-8", "surrogatepass"))
    plain = attrs.evolve(request, url=ANY_URL, webhook=None, webhook_status_only=False)
    return "|".join((operation, str(request.model), audio, _sha256(codec.encode(plain))))


def difference(one: str, other: str) -> str:
    """Return the first part in which two fingerprints differ, as a noun."""
    pairs = zip(_PARTS, one.split("|"), other.split("|"), strict=True)
    return next((part for part, first, second in pairs if first != second), "request")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
