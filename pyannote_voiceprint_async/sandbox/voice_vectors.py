"""The numbers that a voiceprint carries: 48 of them, compared by the angle between two vectors."""

import hashlib
import math
import operator
import struct
from collections.abc import Iterable

_VECTOR = struct.Struct(">48h")
VECTOR_BYTES = _VECTOR.size

# The largest number that a packed vector can hold.
_SCALE = 32_767


def pack_vector(numbers: Iterable[float]) -> bytes:
    """Return 48 numbers from -1 to 1 as bytes."""
    return _VECTOR.pack(*(round(number * _SCALE) for number in numbers))


def made_up_vector(seed: bytes) -> bytes:
    """Return the numbers of a voice that nobody has. The same seed always returns the same numbers."""
    # BLAKE2 reads a long seed faster than SHAKE, which alone returns so many bytes.
    return hashlib.shake_256(b"vector:" + hashlib.blake2b(seed).digest()).digest(VECTOR_BYTES)


def similarity(one: bytes, other: bytes) -> float:
    """Return the cosine of the angle between two vectors, from -1 to 1."""
    first, second = _VECTOR.unpack(one), _VECTOR.unpack(other)
    length = math.hypot(*first) * math.hypot(*second)
    return sum(map(operator.mul, first, second)) / length if length else 0.0
