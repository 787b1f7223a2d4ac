"""What an MP3 file tells of its length. Most are nothing but frames, and their length is a guess from the bit rate."""

from typing import NamedTuple

from .source import Door

__all__ = ["Mp3Length", "mp3_length"]

_ID3_HEAD = 10
_FIRST_FRAME = 512
# What encoders call the frame that says how many frames follow, and what they say after it.
_MARKS = (b"Xing", b"Info")
_FRAUNHOFER = b"VBRI"
_HAS_FRAMES, _HAS_BYTES = 1, 2
# More than that is no tag of words at the end.
_PADDING = 64 * 1024


class Mp3Length(NamedTuple):
    """The length of an MP3 file that tells one."""

    goes_on: bool
    """Whether more sound stands where it says that it ends, as where two files were joined: nothing here plays it."""


def mp3_length(door: Door) -> Mp3Length | None:
    """Read what the first frame tells; None where it does not tell how many follow."""
    door.seek(0)
    head = door.read(_ID3_HEAD)
    # The size of an ID3 tag has 7 bits in each byte.
    begin = _ID3_HEAD + _seven_bits(int.from_bytes(head[6:], "big")) if head[:3] == b"ID3" else 0
    door.seek(begin)
    frame = door.read(_FIRST_FRAME)
    if _FRAUNHOFER in frame:
        return Mp3Length(goes_on=False)
    place = max(frame.find(mark) for mark in _MARKS)
    if place < 0:
        return None
    has, frames, told = (int.from_bytes(frame[place + at : place + at + 4], "big") for at in (4, 8, 12))
    if not has & _HAS_FRAMES or not frames:
        return None
    return Mp3Length(goes_on=bool(has & _HAS_BYTES and told) and _has_sound(door, begin + told))


def _has_sound(door: Door, place: int) -> bool:
    """Whether another frame, or another file's tag, begins there."""
    door.seek(place)
    head = door.read(3)
    is_frame = head[:1] == b"\xff" and head[1:2] >= b"\xe0"
    return door.size - place > _PADDING and (is_frame or head == b"ID3")


def _seven_bits(number: int) -> int:
    return sum((number >> 8 * place & 0x7F) << 7 * place for place in range(4))
