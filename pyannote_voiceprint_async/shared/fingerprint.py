"""The fingerprint of a request: whether a submission key was used for the same request before."""

from __future__ import annotations

import hashlib

import attrs

from pyannote_voiceprint_async.api import codec
from pyannote_voiceprint_async.models import ANY_URL, IdentificationRequest, VoiceprintRequest
from pyannote_voiceprint_async.urls.url_identity import url_identity

__all__ = ["difference", "fingerprint"]

_PARTS = ("operation", "model", "audio", "speakers or options")  # what is compared
_URL = len(_PARTS)  # the index of the whole URL


def fingerprint(request: VoiceprintRequest | IdentificationRequest, audio_digest: str | None = None) -> str:
    """Return the fingerprint of a request: its operation, its model, and hashes of its audio, other fields, and URL.

    The audio of a URL is its identity, without a signature; the last part is the whole URL. Webhooks do not count.
    Hashes keep URLs and voiceprints out of the store.

    Args:
        request: the request.
        audio_digest: the SHA-256 of local audio, which replaces the URL.
    """
    operation = "identify" if isinstance(request, IdentificationRequest) else "voiceprint"
    url = request.url[:]
    audio, whole_url = audio_digest or _sha256_of(url_identity(url)), audio_digest or _sha256_of(url)
    plain = attrs.evolve(request, url=ANY_URL, webhook=None, webhook_status_only=False)
    return "|".join((operation, str(request.model), audio, _sha256(codec.encode(plain)), whole_url))


def difference(stored: str, wanted: str) -> str | None:
    """Return the first part in which two requests differ, as a noun; None if they are the same.

    Another version of this package may have stored the fingerprint. Versions know different signatures, so the identity
    of an unchanged URL may differ between them: the same whole URL is the same audio too.
    """
    one, other = stored.split("|"), wanted.split("|")
    is_same_url = one[_URL:] == other[_URL:]
    different = [part for part, first, second in zip(_PARTS, one, other, strict=False) if first != second]
    return next((part for part in different if not (part == "audio" and is_same_url)), None)


def _sha256_of(text: str) -> str:
    return _sha256(text.encode("utf-8", "surrogatepass"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
