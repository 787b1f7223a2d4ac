"""The frames of an MP3 file: how many the first frame states, and how many there are.

An MP3 file is a sequence of frames, often without any other header. The first frame may state how many follow (Xing,
Info, VBRI). A decoder stops after that many, even where more frames follow.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .source import FileSlice
from .tags import skip_tag

__all__ = ["Frame", "find_first_frame", "has_extra_frames", "iter_frames", "stated_frames", "total_seconds"]

_HEADER_LENGTH = 4
# Bit rates in kbit/s for each layer (1, 2, 3): first those of MPEG 1, then those of MPEG 2 and 2.5.
_MPEG_1 = (
    (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
_MPEG_2 = (
    (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_SAMPLE_RATES = (44100, 48000, 32000)
# Indexed by the two version bits: MPEG 2.5, reserved, MPEG 2, MPEG 1.
_RATE_DIVISORS = (4, 0, 2, 1)
_VERSION_MPEG_1 = 3
_LAYER_I_SAMPLES = 384
# Marks in a first frame that states how many frames follow.
_XING_MARKS = (b"Xing", b"Info")
_XING_HAS_FRAMES = 1
_VBRI_MARK = b"VBRI"
_VBRI_FRAMES_OFFSET = 14
# Some encoders include the stating frame in the number, others do not.
_UNCERTAIN_FRAMES = 1
# A single frame header may occur by chance, so a sequence of frames begins with this many in a row.
_FRAMES_IN_ROW = 3
_BLOCK = 256 * 1024
_TAG_MARKS = (b"ID3", b"3DI", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_LONGEST_MARK = max(map(len, _TAG_MARKS))
_FRAME_OR_TAG = re.compile(rb"\xff[\xe0-\xff]|" + b"|".join(_TAG_MARKS))


class Frame(NamedTuple):
    """The header of a frame."""

    length: int
    """Bytes, including the header."""
    samples: int
    """Samples of each channel."""
    sample_rate: int
    """Samples per second."""


class _BlockReader:
    """Random access to a file that is read in large blocks."""

    def __init__(self, file: FileSlice) -> None:
        self.file = file
        self.size = file.size
        self._offset = 0
        self._block = b""

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on, fewer only at the end of the file."""
        index = offset - self._offset
        if index < 0 or index + count > len(self._block):
            self.file.seek(offset)
            self._offset, self._block, index = offset, self.file.read(max(count, _BLOCK)), 0
        return self._block[index : index + count]

    def find(self, pattern: re.Pattern[bytes], offset: int) -> int | None:
        """Return the offset of the first match of a pattern from `offset` on."""
        while offset < self.size:
            self.bytes_at(offset, min(_LONGEST_MARK, self.size - offset))
            match = pattern.search(self._block, offset - self._offset)
            if match is not None:
                return self._offset + match.start()
            # The next block overlaps this one, because a mark may span both.
            offset = max(offset + 1, self._offset + len(self._block) - _LONGEST_MARK + 1)
        return None

    def frame_at(self, offset: int) -> Frame | None:
        """Return the frame whose header is at `offset`; None where there is no valid header."""
        return _parse_header(self.bytes_at(offset, _HEADER_LENGTH))


def stated_frames(file: FileSlice) -> int | None:
    """Return the number of frames that the first frame states; None where it states none."""
    first = find_first_frame(file)
    if first is None:
        return None
    offset, frame = first
    file.seek(offset)
    data = file.read(frame.length)
    vbri = data.find(_VBRI_MARK)
    if vbri >= 0:
        return _uint32(data, vbri + _VBRI_FRAMES_OFFSET) or None
    xing = max(data.find(mark) for mark in _XING_MARKS)
    if xing < 0 or not _uint32(data, xing + 4) & _XING_HAS_FRAMES:
        return None
    return _uint32(data, xing + 8) or None


def has_extra_frames(file: FileSlice, stated: int) -> bool:
    """Return whether the file has more frames than the stated number."""
    return any(count > stated + 1 + _UNCERTAIN_FRAMES for count, _ in enumerate(iter_frames(file), 1))


def total_seconds(file: FileSlice) -> float:
    """Return the length of all frames together."""
    return sum(frame.samples / frame.sample_rate for frame in iter_frames(file))


def find_first_frame(file: FileSlice, *, within: int | None = None) -> tuple[int, Frame] | None:
    """Return offset and header of the first frame; None where there is no sequence of frames.

    Args:
        file: the file.
        within: how many bytes of other data may stand before it; None is any number.
    """
    reader = _BlockReader(file)
    offset = _find_row(reader, 0, file.size if within is None else within)
    frame = None if offset is None else reader.frame_at(offset)
    return None if offset is None or frame is None else (offset, frame)


def iter_frames(file: FileSlice) -> Iterator[Frame]:
    """Yield all frames, skipping tags and other data between them."""
    reader = _BlockReader(file)
    offset: int | None = 0
    is_in_row = False
    while offset is not None:
        frame = reader.frame_at(offset) if is_in_row else None
        if frame is not None:
            yield frame
            offset += frame.length
            continue
        offset = _find_row(reader, skip_tag(file, offset), file.size)
        is_in_row = True


def _find_row(reader: _BlockReader, offset: int, last: int) -> int | None:
    """Return the first offset from `offset` to `last` at which several frames in a row begin."""
    while (found := reader.find(_FRAME_OR_TAG, offset)) is not None and found <= last:
        if _is_row(reader, found):
            return found
        offset = max(found + 1, skip_tag(reader.file, found))
    return None


def _is_row(reader: _BlockReader, offset: int) -> bool:
    """Return whether frames of one kind begin at `offset`: several, or fewer up to the end or the next tag."""
    kinds: list[tuple[int, int]] = []
    while len(kinds) < _FRAMES_IN_ROW:
        frame = reader.frame_at(offset)
        if frame is None:
            is_end = offset == reader.size or reader.bytes_at(offset, _LONGEST_MARK).startswith(_TAG_MARKS)
            return bool(kinds) and is_end
        kinds.append((frame.samples, frame.sample_rate))
        # Layer I is obsolete, and the bytes of quiet PCM look like its frames.
        if kinds[-1] != kinds[0] or frame.samples == _LAYER_I_SAMPLES:
            return False
        offset += frame.length
    return True


def _parse_header(header: bytes) -> Frame | None:
    if len(header) < _HEADER_LENGTH or header[0] != 0xFF or header[1] < 0xE0:  # noqa: PLR2004 - 11 bits of sync
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if not _RATE_DIVISORS[version] or layer > 3 or not 0 < bit_rate < 15 or rate > 2:  # noqa: PLR2004 - reserved values
        return None
    sample_rate = _SAMPLE_RATES[rate] // _RATE_DIVISORS[version]
    bits_per_second = 1000 * (_MPEG_1 if version == _VERSION_MPEG_1 else _MPEG_2)[layer - 1][bit_rate - 1]
    padding = header[2] >> 1 & 1
    if layer == 1:
        return Frame((12 * bits_per_second // sample_rate + padding) * 4, _LAYER_I_SAMPLES, sample_rate)
    samples = 576 if layer == 3 and version != _VERSION_MPEG_1 else 1152  # noqa: PLR2004 - layer III of MPEG 2
    return Frame(samples // 8 * bits_per_second // sample_rate + padding, samples, sample_rate)


def _uint32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "big")
