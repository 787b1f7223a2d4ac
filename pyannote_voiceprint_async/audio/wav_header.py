"""What the header of a WAV or AIFF file tells of its length.

libsndfile corrects lies in silence; people want to hear them.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from .source import Door

__all__ = ["WavLength", "chunks", "wav_length"]

# Writers that cannot seek leave the largest number there, or nearly: 0xFFFFFFFF (ffmpeg), 0x7FFFF000 (sox), …
_STREAMED = 0x7FFF_0000
# What a file of chunks begins with, and in which order its numbers have their bytes.
_KINDS = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"RIFX": ">", b"FORM": ">"}
_FORMS = {b"WAVE", b"AIFF", b"AIFC"}
# Where its samples are, and how many bytes of something else stand before them.
_SAMPLES = {b"data": 0, b"SSND": 8}
_ELSEWHERE = 0xFFFF_FFFF
# Some writers fill up the last block of the disk.
_PADDING = 4096
_MOST_CHUNKS = 1000
_BLOCK = 64 * 1024
_CHUNK_HEAD = 8
_FIRST_PRINTABLE, _LAST_PRINTABLE = 0x20, 0x7E
# What often stands behind the samples, and no samples spell by chance: believed even where it is cut off.
_WELL_KNOWN = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"_PMX"}


class WavLength(NamedTuple):
    """The samples of a file, in bytes."""

    told: int
    """What the header says."""
    there: int
    """What comes after it."""
    is_followed: bool
    """Whether another chunk stands where the samples are said to end, or zeros, or next to nothing: the header is
    believed."""

    @property
    def is_truncated(self) -> bool:
        """Whether the file ends before its samples do."""
        return self.there < self.told

    @property
    def is_unclosed(self) -> bool:
        """Whether samples go on where the header says that they end: its length was never written."""
        return self.there > self.told and not self.is_followed


def chunks(door: Door) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place and size of each chunk as its header states them; none where the file is no WAV or AIFF."""
    door.seek(0)
    kind, _, form = struct.unpack("<4sI4s", door.read(12).ljust(12, b"\0"))
    if kind not in _KINDS or form not in _FORMS:
        return
    chunk = _chunk_of(kind)
    wide: int | None = None
    place = door.tell()
    for _ in range(_MOST_CHUNKS):
        door.seek(place)
        head = door.read(_CHUNK_HEAD)
        if len(head) < _CHUNK_HEAD:
            return
        name, told = chunk.unpack(head)
        begin = place + _CHUNK_HEAD
        if name == b"ds64":
            # The size of the whole, then that of the samples, 64 bits each.
            wide = int.from_bytes(door.read(16)[8:], "little")
        size = wide if name in _SAMPLES and wide is not None and told == _ELSEWHERE else told
        yield name, begin, size
        place = begin + size + size % 2


def wav_length(door: Door) -> WavLength | None:
    """Compare the stated length with what follows; None if the file is no WAV or AIFF, or states no length."""
    door.seek(0)
    kind = door.read(4)
    is_wide = False
    for name, begin, told in chunks(door):
        is_wide = is_wide or name == b"ds64"
        if name in _SAMPLES:
            door.seek(begin)
            return _data_length(door, told, _SAMPLES[name], _chunk_of(kind), is_wide=is_wide)
    return None


def _chunk_of(kind: bytes) -> struct.Struct:
    return struct.Struct(f"{_KINDS[kind]}4sI")


def _data_length(door: Door, told: int, before: int, chunk: struct.Struct, *, is_wide: bool) -> WavLength | None:
    begin = door.tell()
    there = door.size - begin
    if (there < told and told >= _STREAMED and not is_wide) or told < before:
        return None
    after = begin + told + told % 2
    is_followed = (
        there - told <= _PADDING or _is_chunk(door, after, chunk) or (told > before and _is_zeros(door, after))
    )
    return WavLength(max(0, told - before), max(0, there - before), is_followed)


def _is_zeros(door: Door, place: int) -> bool:
    """Whether nothing but zeros follows: nobody speaks there, whether it is padding or not."""
    door.seek(place)
    while block := door.read(_BLOCK):
        if block.count(0) < len(block):
            return False
    return True


def _is_chunk(door: Door, place: int, chunk: struct.Struct) -> bool:
    """Whether one begins there, and ends inside the file: four letters alone may be samples."""
    door.seek(place)
    name, size = chunk.unpack(door.read(_CHUNK_HEAD).ljust(_CHUNK_HEAD, b"\0"))
    is_name = all(_FIRST_PRINTABLE <= byte <= _LAST_PRINTABLE for byte in name)
    return name in _WELL_KNOWN or (is_name and place + _CHUNK_HEAD + size <= door.size)
