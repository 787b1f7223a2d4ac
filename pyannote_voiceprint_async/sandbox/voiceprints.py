"""Made-up voiceprints. They carry a few numbers about the audio, which is no recognition of a voice."""

import base64
import hashlib
from contextlib import suppress

from pyannote_voiceprint_async.sandbox.speech import measure_speech
from pyannote_voiceprint_async.sandbox.voice_vectors import VECTOR_BYTES, made_up_vector

# 1,050 bytes are 1,400 characters of base64 without padding, the size of a real voiceprint.
_MARK = b"SANDBOX"
_LENGTH = 1050
_CHARACTERS = 1400

# The characters of base64 that the mark alone determines.
_MARK_CHARACTERS = base64.b64encode(_MARK)[:9].decode()


def voiceprint_of(data: bytes | str) -> str:
    """Return the voiceprint that the sandbox makes of a source. The same source always has the same voiceprint.

    With the extra `[audio]`, a recording is decoded, which takes milliseconds per minute.

    Args:
        data: The bytes of an uploaded file, or an http(s) URL as a `str`. The sandbox never fetches URLs.
    """
    if isinstance(data, bytes):
        speech = measure_speech(data)
        return voiceprint_of_digest(hashlib.sha256(data).digest(), None if speech is None else speech.voice)
    # JSON allows half a surrogate pair in a URL, and such a URL needs a voiceprint, too.
    return _voiceprint(b"url", data.encode("utf-8", "surrogatepass"))


def voiceprint_of_digest(sha256: bytes, voice: bytes | None = None) -> str:
    """Return the voiceprint of an uploaded file.

    Args:
        sha256: The SHA-256 digest of the file.
        voice: The vector of its speech; `None` where none was measured.
    """
    return _voiceprint(b"audio", sha256, voice or b"")


def vector_of(voiceprint: str) -> bytes:
    """Return the vector that a voiceprint carries. That of a foreign voiceprint is made up."""
    # Foreign voiceprints are not decoded: 50 of 20,000 characters would block the event loop.
    if len(voiceprint) == _CHARACTERS and voiceprint.startswith(_MARK_CHARACTERS):
        with suppress(ValueError):
            return base64.b64decode(voiceprint, validate=True)[len(_MARK) :][:VECTOR_BYTES]
    return made_up_vector(voiceprint.encode("utf-8", "surrogatepass"))


def _voiceprint(kind: bytes, seed: bytes, voice: bytes = b"") -> str:
    """Return the mark, the vector and noise, as base64. Without a vector, noise takes its place."""
    head = _MARK + voice
    noise = hashlib.shake_256(kind + b":" + seed).digest(_LENGTH - len(head))
    return base64.b64encode(head + noise).decode()
