"""The pages of an Ogg file: whether it is several files that were joined, what its streams are, and FLAC in it."""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from .source import Door

__all__ = ["OggFlac", "codecs_of", "is_chained"]

_MARK = b"OggS"
# Mark, version, flags, granule position, number of the stream, number of the page, checksum, number of segments.
_HEAD = struct.Struct("<4sBBqIIIB")
_BEGINS = 2
# A page has at most 65,307 bytes.
_LONGEST_PAGE = 65_307
_CODECS = {
    b"\x01vorbis": "Vorbis",
    b"OpusHead": "Opus",
    b"\x7fFLAC": "FLAC",
    b"Speex   ": "Speex",
    b"\x80theora": "Theora",
    b"CELT    ": "CELT",
    b"PCM     ": "PCM",
}
_FLAC_HEAD = 9


class _Page(NamedTuple):
    stream: int
    begins_stream: bool
    place: int
    """Of what it holds."""
    length: int


def is_chained(door: Door) -> bool:
    """Whether a stream begins after another one has gone on: streams that play together all begin before that."""
    goes_on = False
    for page in _pages(door):
        if page.begins_stream and goes_on:
            return True
        goes_on = goes_on or not page.begins_stream
    return False


def codecs_of(door: Door) -> list[str]:
    """Return the codecs of the streams that play together."""
    found = []
    for page in _pages(door):
        if not page.begins_stream:
            break
        door.seek(page.place)
        head = door.read(_FLAC_HEAD)
        found.append(next((name for mark, name in _CODECS.items() if head.startswith(mark)), "unknown codec"))
    return found


class OggFlac:
    """The FLAC file inside an Ogg file, readable like a file: libsndfile reads FLAC only without Ogg around it."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._at = 0
        self._places: list[int] = []
        self._starts = [0]
        for page in _pages(door):
            if page.begins_stream and self._places:
                break
            # Before the native FLAC file stand 9 bytes of its own.
            skipped = 0 if self._places else _FLAC_HEAD
            self._places.append(page.place + skipped)
            self._starts.append(self._starts[-1] + page.length - skipped)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place and return it."""
        self._at = offset + (0, self._at, self._starts[-1])[whence]
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def read(self, count: int) -> bytes:
        """Return up to so many bytes of one page."""
        if self._at >= self._starts[-1]:
            return b""
        page = bisect_right(self._starts, self._at) - 1
        self._door.seek(self._places[page] + self._at - self._starts[page])
        found = self._door.read(min(count, self._starts[page + 1] - self._at))
        self._at += len(found)
        return found


def _pages(door: Door) -> Iterator[_Page]:
    """Yield the pages in order; what is no page is skipped."""
    place = 0
    while place < door.size:
        door.seek(place)
        head = door.read(_HEAD.size + 255)
        if len(head) < _HEAD.size:
            return
        mark, version, flags, _, stream, _, _, segments = _HEAD.unpack_from(head)
        if mark != _MARK or version:
            after = _next_mark(door, place + 1)
            if after is None:
                return
            place = after
            continue
        begin = _HEAD.size + segments
        length = sum(head[_HEAD.size : begin])
        yield _Page(stream, bool(flags & _BEGINS), place + begin, min(length, max(0, door.size - place - begin)))
        place += begin + length


def _next_mark(door: Door, place: int) -> int | None:
    while place < door.size:
        door.seek(place)
        found = door.read(_LONGEST_PAGE).find(_MARK)
        if found >= 0:
            return place + found
        place += _LONGEST_PAGE - len(_MARK)
    return None
