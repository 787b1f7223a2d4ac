"""Whether an MP3 file tells its length. Most are nothing but frames, and their length is a guess from the bit rate."""

from .source import Door

__all__ = ["tells_length"]

_ID3_HEAD = 10
_FIRST_FRAME = 512
# What encoders call the frame that says how many frames follow.
_MARKS = (b"Xing", b"Info", b"VBRI")


def tells_length(door: Door) -> bool:
    """Say whether the first frame is one that tells how many follow."""
    door.seek(0)
    head = door.read(_ID3_HEAD)
    # The size of an ID3 tag has 7 bits in each byte.
    tag = int.from_bytes(head[6:], "big") if head[:3] == b"ID3" else None
    door.seek(0 if tag is None else _ID3_HEAD + _seven_bits(tag))
    frame = door.read(_FIRST_FRAME)
    return any(mark in frame for mark in _MARKS)


def _seven_bits(number: int) -> int:
    return sum((number >> 8 * place & 0x7F) << 7 * place for place in range(4))
