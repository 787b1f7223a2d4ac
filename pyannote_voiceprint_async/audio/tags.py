"""Metadata tags that may stand before, after and between the frames of audio: ID3v1, ID3v2, APEv2, Lyrics3."""

from collections.abc import Callable

from .source import FileSlice

__all__ = ["skip_tag", "skip_tags"]

_ID3_HEADER_LENGTH, _ID3_HAS_FOOTER, _ID3_LARGEST_SIZE_BYTE = 10, 0x10, 0x7F
_ID3V1_LENGTH, _ID3V1_EXTENSION_LENGTH = 128, 227
_APE_HEADER_LENGTH, _APE_IS_HEADER = 32, 1 << 29
_LYRICS_END_MARKS = (b"LYRICS200", b"LYRICSEND")
_LONGEST_LYRICS = 1024 * 1024


def skip_tags(file: FileSlice, offset: int) -> int:
    """Return the offset after the sequence of tags that begins at `offset`."""
    while (end := skip_tag(file, offset)) > offset:
        offset = end
    return offset


def skip_tag(file: FileSlice, offset: int) -> int:
    """Return the offset after the tag that begins at `offset`, or `offset` where no tag begins."""
    file.seek(offset)
    head = file.read(_APE_HEADER_LENGTH)
    length = next((length_of(file, offset, head) for mark, length_of in _LENGTHS if head.startswith(mark)), 0)
    return min(file.size, offset + length)


# Each of these functions returns the length of one kind of tag, or 0 where the header is invalid.


def _id3_length(_file: FileSlice, _offset: int, head: bytes) -> int:
    # Each byte of the size has 7 bits. A larger byte means that this is no tag.
    if len(head) < _ID3_HEADER_LENGTH or max(head[6:10]) > _ID3_LARGEST_SIZE_BYTE:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return _ID3_HEADER_LENGTH + size + (_ID3_HEADER_LENGTH if head[5] & _ID3_HAS_FOOTER else 0)


def _ape_length(_file: FileSlice, _offset: int, head: bytes) -> int:
    # A footer has the same format as a header, but no content follows it.
    is_header = int.from_bytes(head[20:24], "little") & _APE_IS_HEADER
    return _APE_HEADER_LENGTH + (int.from_bytes(head[12:16], "little") if is_header else 0)


def _lyrics_length(file: FileSlice, offset: int, _head: bytes) -> int:
    file.seek(offset)
    text = file.read(_LONGEST_LYRICS)
    return min((at + len(mark) for mark in _LYRICS_END_MARKS if (at := text.find(mark)) >= 0), default=0)


_LENGTHS: tuple[tuple[bytes, Callable[[FileSlice, int, bytes], int]], ...] = (
    (b"ID3", _id3_length),
    (b"3DI", lambda *_: _ID3_HEADER_LENGTH),
    (b"TAG+", lambda *_: _ID3V1_EXTENSION_LENGTH),
    (b"TAG", lambda *_: _ID3V1_LENGTH),
    (b"APETAGEX", _ape_length),
    (b"LYRICSBEGIN", _lyrics_length),
)
