"""What the header of a WAV file tells of its length. libsndfile corrects lies in silence; people want to hear them."""

import struct
from typing import NamedTuple

from .source import Door

__all__ = ["WavLength", "wav_length"]

# Writers that cannot seek leave the largest number there, or nearly: 0xFFFFFFFF (ffmpeg), 0x7FFFF000 (sox), …
_STREAMED = 0x7FFF_0000
_WIDE_KINDS = {b"RF64", b"BW64"}
_ELSEWHERE = 0xFFFF_FFFF
# Some writers fill up the last block of the disk.
_PADDING = 4096
_MOST_CHUNKS = 1000
_CHUNK_HEAD = 8
_FIRST_PRINTABLE, _LAST_PRINTABLE = 0x20, 0x7E


class WavLength(NamedTuple):
    """The samples of a WAV file, in bytes."""

    told: int
    """What the header says."""
    there: int
    """What comes after it."""
    is_followed: bool
    """Whether another chunk stands where the samples are said to end, or next to nothing: the header is believed."""

    @property
    def is_truncated(self) -> bool:
        """Whether the file ends before its samples do."""
        return self.there < self.told

    @property
    def is_unclosed(self) -> bool:
        """Whether samples go on where the header says that they end: its length was never written."""
        return self.there > self.told and not self.is_followed


def wav_length(door: Door) -> WavLength | None:
    """Compare what is told with what is there; None where the file is no WAV, or tells no length."""
    door.seek(0)
    kind, _, form = struct.unpack("<4sI4s", door.read(12).ljust(12, b"\0"))
    if form != b"WAVE" or kind not in (b"RIFF", *_WIDE_KINDS):
        return None
    wide: int | None = None
    for _ in range(_MOST_CHUNKS):
        head = door.read(_CHUNK_HEAD)
        if len(head) < _CHUNK_HEAD:
            return None
        name, told = struct.unpack("<4sI", head)
        if name == b"data":
            told = wide if wide is not None and told == _ELSEWHERE else told
            return _data_length(door, told, is_wide=wide is not None)
        begin = door.tell()
        if name == b"ds64":
            # The size of the whole, then that of the samples, 64 bits each.
            wide = int.from_bytes(door.read(16)[8:], "little")
        door.seek(begin + told + told % 2)
    return None


def _data_length(door: Door, told: int, *, is_wide: bool) -> WavLength | None:
    begin = door.tell()
    there = door.size - begin
    if there < told and told >= _STREAMED and not is_wide:
        return None
    door.seek(begin + told + told % 2)
    has_name = all(_FIRST_PRINTABLE <= byte <= _LAST_PRINTABLE for byte in door.read(4))
    return WavLength(told, there, is_followed=has_name or there - told <= _PADDING)
