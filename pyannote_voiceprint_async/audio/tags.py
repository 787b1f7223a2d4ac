"""Tags before, behind and between the frames of audio: ID3v1, ID3v2, APEv2, Lyrics3."""

from collections.abc import Callable

from .source import Door

__all__ = ["after_tag", "after_tags"]

_ID3_HEAD, _HAS_FOOTER, _SEVEN_BITS = 10, 0x10, 0x7F
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
    """Return the length of the tag that begins with these bytes; 0 where they begin none."""
    return next((length(door, place, head) for mark, length in _LENGTHS if head.startswith(mark)), 0)


def _id3(_door: Door, _place: int, head: bytes) -> int:
    # The size has 7 bits in each byte; other bytes are no tag.
    if len(head) < _ID3_HEAD or max(head[6:10]) > _SEVEN_BITS:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return _ID3_HEAD + size + (_ID3_HEAD if head[5] & _HAS_FOOTER else 0)


def _ape(_door: Door, _place: int, head: bytes) -> int:
    # A footer looks like a header, and nothing follows it.
    is_header = int.from_bytes(head[20:24], "little") & _APE_BEGINS
    return _APE_HEAD + (int.from_bytes(head[12:16], "little") if is_header else 0)


def _lyrics(door: Door, place: int, _head: bytes) -> int:
    door.seek(place)
    text = door.read(_LONGEST_LYRICS)
    return min((at + len(mark) for mark in _LYRICS_ENDS if (at := text.find(mark)) >= 0), default=0)


_LENGTHS: tuple[tuple[bytes, Callable[[Door, int, bytes], int]], ...] = (
    (b"ID3", _id3),
    (b"3DI", lambda *_: _ID3_HEAD),
    (b"TAG+", lambda *_: _ID3V1_MORE),
    (b"TAG", lambda *_: _ID3V1),
    (b"APETAGEX", _ape),
    (b"LYRICSBEGIN", _lyrics),
)
