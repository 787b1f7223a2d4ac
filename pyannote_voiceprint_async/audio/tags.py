"""Tags before, behind and between the frames of audio: ID3v1, ID3v2, APEv2, Lyrics3."""

from .source import Door

__all__ = ["after_tag", "after_tags"]

_ID3_HEAD, _HAS_FOOTER = 10, 0x10
_ID3V1, _ID3V1_MORE = 128, 227
_APE_HEAD, _APE_BEGINS = 32, 1 << 29
_LYRICS_ENDS = (b"LYRICS200", b"LYRICSEND")
_LONGEST_LYRICS = 1024 * 1024


def after_tags(door: Door, place: int) -> int:
    """Return the place behind all tags that begin at a place."""
    while (after := after_tag(door, place)) > place:
        place = after
    return place


def after_tag(door: Door, place: int) -> int:
    """Return the place behind the tag that begins at a place; the same place where none does."""
    door.seek(place)
    head = door.read(_APE_HEAD)
    return min(door.size, place + _length(door, place, head))


def _length(door: Door, place: int, head: bytes) -> int:
    if head.startswith((b"ID3", b"3DI")) and len(head) >= _ID3_HEAD and max(head[6:10]) < 0x80:  # noqa: PLR2004 - 7 bits each
        if head.startswith(b"3DI"):
            return _ID3_HEAD
        footer = _ID3_HEAD if head[5] & _HAS_FOOTER else 0
        return _ID3_HEAD + _seven_bits(head[6:10]) + footer
    if head.startswith(b"TAG+"):
        return _ID3V1_MORE
    if head.startswith(b"TAG"):
        return _ID3V1
    if head.startswith(b"APETAGEX") and len(head) == _APE_HEAD:
        is_header = int.from_bytes(head[20:24], "little") & _APE_BEGINS
        return _APE_HEAD + (int.from_bytes(head[12:16], "little") if is_header else 0)
    if head.startswith(b"LYRICSBEGIN"):
        door.seek(place)
        text = door.read(_LONGEST_LYRICS)
        ends = [at + len(mark) for mark in _LYRICS_ENDS if (at := text.find(mark)) >= 0]
        return min(ends, default=0)
    return 0


def _seven_bits(four: bytes) -> int:
    """Return the number in four bytes of which each has 7 bits."""
    number = 0
    for byte in four:
        number = number << 7 | byte
    return number
