"""The pages of an Ogg file: the codecs of its streams, several files joined in one, and the FLAC file inside."""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from .source import FileSlice

__all__ = ["OggFlac", "is_chained", "stream_codecs"]

_MARK = b"OggS"
# Mark, version, flags, granule position, stream number, page number, checksum, number of segments.
_PAGE_HEADER = struct.Struct("<4sBBqIIIB")
_MOST_SEGMENTS = 255
_BEGINS_STREAM = 2
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
# The first packet of FLAC in Ogg has this many bytes before the FLAC file.
_FLAC_PREFIX_LENGTH = 9
_LONGEST_CODEC_MARK = 9


class _Page(NamedTuple):
    begins_stream: bool
    offset: int
    """The offset of the content after the page header."""
    length: int
    """Bytes of content."""


def is_chained(file: FileSlice) -> bool:
    """Return whether one stream begins after another, which means that files were joined.

    Streams of a single file all begin before any of them continues.
    """
    continues = False
    for page in _pages(file):
        if page.begins_stream and continues:
            return True
        continues = continues or not page.begins_stream
    return False


def stream_codecs(file: FileSlice) -> list[str]:
    """Return the codec of each stream of the first file."""
    codecs = []
    for page in _pages(file):
        if not page.begins_stream:
            break
        file.seek(page.offset)
        head = file.read(_LONGEST_CODEC_MARK)
        codecs.append(next((name for mark, name in _CODECS.items() if head.startswith(mark)), "unknown codec"))
    return codecs


class OggFlac:
    """The FLAC file inside an Ogg file, with the methods of a file. libsndfile cannot read FLAC in Ogg itself."""

    def __init__(self, file: FileSlice) -> None:
        self._file = file
        self._position = 0
        # For each page: the offset of its content in the Ogg file, and in the FLAC file.
        self._sources: list[int] = []
        self._starts = [0]
        for page in _pages(file):
            if page.begins_stream and self._sources:
                break
            skipped = 0 if self._sources else _FLAC_PREFIX_LENGTH
            self._sources.append(page.offset + skipped)
            self._starts.append(self._starts[-1] + page.length - skipped)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position and return it."""
        self._position = offset + (0, self._position, self._starts[-1])[whence]
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes, all from one page."""
        if self._position >= self._starts[-1]:
            return b""
        page = bisect_right(self._starts, self._position) - 1
        self._file.seek(self._sources[page] + self._position - self._starts[page])
        data = self._file.read(min(count, self._starts[page + 1] - self._position))
        self._position += len(data)
        return data


def _pages(file: FileSlice) -> Iterator[_Page]:
    """Yield the pages in order, skipping data between them."""
    offset = 0
    while offset < file.size:
        file.seek(offset)
        head = file.read(_PAGE_HEADER.size + _MOST_SEGMENTS)
        if len(head) < _PAGE_HEADER.size:
            return
        mark, version, flags, *_, segments = _PAGE_HEADER.unpack_from(head)
        if mark != _MARK or version:
            following = _find_mark(file, offset + 1)
            if following is None:
                return
            offset = following
            continue
        content = _PAGE_HEADER.size + segments
        length = sum(head[_PAGE_HEADER.size : content])
        begin = offset + content
        yield _Page(bool(flags & _BEGINS_STREAM), begin, min(length, max(0, file.size - begin)))
        offset = begin + length


def _find_mark(file: FileSlice, offset: int) -> int | None:
    while offset < file.size:
        file.seek(offset)
        index = file.read(_LONGEST_PAGE).find(_MARK)
        if index >= 0:
            return offset + index
        offset += _LONGEST_PAGE - len(_MARK)
    return None
