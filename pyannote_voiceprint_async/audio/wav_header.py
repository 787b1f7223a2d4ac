"""The chunks of a WAV or AIFF file, and whether the stated length of its samples is true.

libsndfile corrects a wrong length silently. This module detects it, so that it can be reported.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from .source import FileSlice

__all__ = ["DataLength", "data_length", "iter_chunks"]

# Writers that cannot seek state a placeholder of at least this size: 0xFFFFFFFF (ffmpeg), 0x7FFFF000 (sox), …
_SMALLEST_PLACEHOLDER = 0x7FFF_0000
# The first bytes of the file, and the byte order of its integers.
_BYTE_ORDERS = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"RIFX": ">", b"FORM": ">"}
_FORMS = {b"WAVE", b"AIFF", b"AIFC"}
# The chunks that contain the samples, and how many other bytes they contain before them.
_DATA_CHUNKS = {b"data": 0, b"SSND": 8}
# The size that stands for "see the ds64 chunk".
_SIZE_IN_DS64 = 0xFFFF_FFFF
# Some writers pad the file to the next disk block.
_PADDING = 4096
_MOST_CHUNKS = 1000
_BLOCK = 64 * 1024
_CHUNK_HEADER_LENGTH = 8
_FIRST_PRINTABLE, _LAST_PRINTABLE = 0x20, 0x7E
# Chunks that often follow the samples. Samples cannot spell these names by chance, so the name alone is enough.
_KNOWN_CHUNKS = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"_PMX"}


class DataLength(NamedTuple):
    """The length of the samples in bytes, as stated and as present."""

    stated: int
    """Bytes that the header states."""
    present: int
    """Bytes up to the end of the file."""
    has_valid_end: bool
    """Whether another chunk, zeros or only padding follow the stated end: the stated length is right."""

    @property
    def is_truncated(self) -> bool:
        """Whether the file ends before the stated end of its samples."""
        return self.present < self.stated

    @property
    def is_unclosed(self) -> bool:
        """Whether samples continue past their stated end: the final length was never written."""
        return self.present > self.stated and not self.has_valid_end


def iter_chunks(file: FileSlice) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, offset and stated size of the content of each chunk; nothing where the file is no WAV or AIFF."""
    file.seek(0)
    kind, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
    if kind not in _BYTE_ORDERS or form not in _FORMS:
        return
    header = _chunk_header(kind)
    ds64_size: int | None = None
    offset = file.tell()
    for _ in range(_MOST_CHUNKS):
        file.seek(offset)
        data = file.read(_CHUNK_HEADER_LENGTH)
        if len(data) < _CHUNK_HEADER_LENGTH:
            return
        name, size = header.unpack(data)
        begin = offset + _CHUNK_HEADER_LENGTH
        if name == b"ds64":
            # Two 64-bit integers: the size of the file, then the size of the samples.
            ds64_size = int.from_bytes(file.read(16)[8:], "little")
        if name in _DATA_CHUNKS and ds64_size is not None and size == _SIZE_IN_DS64:
            size = ds64_size
        yield name, begin, size
        offset = begin + size + size % 2


def data_length(file: FileSlice) -> DataLength | None:
    """Compare the stated length with the file; None where the file is no WAV or AIFF, or states no length."""
    file.seek(0)
    kind = file.read(4)
    has_ds64 = False
    for name, begin, size in iter_chunks(file):
        has_ds64 = has_ds64 or name == b"ds64"
        if name in _DATA_CHUNKS:
            is_placeholder = size >= _SMALLEST_PLACEHOLDER and not has_ds64 and file.size - begin < size
            if is_placeholder or size < _DATA_CHUNKS[name]:
                return None
            return _compare(file, begin, size, _DATA_CHUNKS[name], _chunk_header(kind))
    return None


def _chunk_header(kind: bytes) -> struct.Struct:
    return struct.Struct(f"{_BYTE_ORDERS[kind]}4sI")


def _compare(file: FileSlice, begin: int, stated: int, prefix: int, header: struct.Struct) -> DataLength:
    present = file.size - begin
    end = begin + stated + stated % 2
    has_valid_end = (
        present - stated <= _PADDING or _is_chunk(file, end, header) or (stated > prefix and _is_zeros(file, end))
    )
    return DataLength(max(0, stated - prefix), max(0, present - prefix), has_valid_end)


def _is_zeros(file: FileSlice, offset: int) -> bool:
    """Return whether only zeros follow: they are padding or digital silence, so no voice is missed."""
    file.seek(offset)
    while block := file.read(_BLOCK):
        if block.count(0) < len(block):
            return False
    return True


def _is_chunk(file: FileSlice, offset: int, header: struct.Struct) -> bool:
    """Return whether a chunk begins at `offset` and ends inside the file: samples may look like a name alone."""
    file.seek(offset)
    name, size = header.unpack(file.read(_CHUNK_HEADER_LENGTH).ljust(_CHUNK_HEADER_LENGTH, b"\0"))
    is_name = all(_FIRST_PRINTABLE <= byte <= _LAST_PRINTABLE for byte in name)
    return name in _KNOWN_CHUNKS or (is_name and offset + _CHUNK_HEADER_LENGTH + size <= file.size)
