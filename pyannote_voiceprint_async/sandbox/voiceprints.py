"""Voiceprints that are nobody's voice: a pure function of what was submitted."""

import base64
import hashlib

# 1,050 bytes are 1,400 characters of base64 without padding, the size of a real voiceprint.
_MARK = b"SANDBOX"
_LENGTH = 1050


def voiceprint_of(data: bytes | str) -> str:
    """The voiceprint that the sandbox gives for this source.

    Args:
        data: The bytes of an uploaded file, or the URL (http or https) as a `str`; URLs are never fetched.
    """
    if isinstance(data, bytes):
        return voiceprint_of_digest(hashlib.sha256(data).digest())
    # A URL may hold half a surrogate pair (JSON allows it): it still has to have a voiceprint.
    return _voiceprint(b"url", data.encode("utf-8", "surrogatepass"))


def voiceprint_of_digest(sha256: bytes) -> str:
    """The voiceprint of audio of which only the SHA-256 digest was kept."""
    return _voiceprint(b"audio", sha256)


def _voiceprint(kind: bytes, seed: bytes) -> str:
    noise = hashlib.shake_256(kind + b":" + seed).digest(_LENGTH - len(_MARK))
    return base64.b64encode(_MARK + noise).decode()
