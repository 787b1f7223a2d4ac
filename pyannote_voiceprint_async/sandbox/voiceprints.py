"""Made-up voiceprints, computed from the submitted source."""

import base64
import hashlib

# 1,050 bytes are 1,400 characters of base64 without padding, the size of a real voiceprint.
_MARK = b"SANDBOX"
_LENGTH = 1050


def voiceprint_of(data: bytes | str) -> str:
    """Return the voiceprint that the sandbox makes of a source. The same source always has the same voiceprint.

    Args:
        data: The bytes of an uploaded file, or an http(s) URL as a `str`. The sandbox never fetches URLs.
    """
    if isinstance(data, bytes):
        return voiceprint_of_digest(hashlib.sha256(data).digest())
    # JSON allows half a surrogate pair in a URL, and such a URL needs a voiceprint, too.
    return _voiceprint(b"url", data.encode("utf-8", "surrogatepass"))


def voiceprint_of_digest(sha256: bytes) -> str:
    """Return the voiceprint of an uploaded file from its SHA-256 digest."""
    return _voiceprint(b"audio", sha256)


def _voiceprint(kind: bytes, seed: bytes) -> str:
    noise = hashlib.shake_256(kind + b":" + seed).digest(_LENGTH - len(_MARK))
    return base64.b64encode(_MARK + noise).decode()
