"""Made-up voiceprints, computed from the submitted source."""

import base64
import hashlib
import math
import operator
import struct

# 1,050 bytes are 1,400 characters of base64 without padding, the size of a real voiceprint.
_MARK = b"SANDBOX"
_LENGTH = 1050

# A voiceprint carries these numbers behind its mark, and identification compares only them.
_VECTOR = struct.Struct(">48h")


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


def vector_of(voiceprint: str) -> bytes:
    """Return the numbers that a voiceprint carries. Those of a foreign voiceprint are made up."""
    try:
        data = base64.b64decode(voiceprint, validate=True)
    except ValueError:
        data = b""
    if data.startswith(_MARK) and len(data) == _LENGTH:
        return data[len(_MARK) :][: _VECTOR.size]
    return made_up_vector(voiceprint.encode("utf-8", "surrogatepass"))


def made_up_vector(seed: bytes) -> bytes:
    """Return the numbers of a voice that nobody has. The same seed always returns the same numbers."""
    return hashlib.shake_256(b"vector:" + seed).digest(_VECTOR.size)


def similarity(one: bytes, other: bytes) -> float:
    """Return the cosine of the angle between two vectors, from -1 to 1."""
    first, second = _VECTOR.unpack(one), _VECTOR.unpack(other)
    length = math.hypot(*first) * math.hypot(*second)
    return sum(map(operator.mul, first, second)) / length if length else 0.0


def _voiceprint(kind: bytes, seed: bytes) -> str:
    noise = hashlib.shake_256(kind + b":" + seed).digest(_LENGTH - len(_MARK))
    return base64.b64encode(_MARK + noise).decode()
