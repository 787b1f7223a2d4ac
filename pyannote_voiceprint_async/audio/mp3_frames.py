"""The frames of an MP3 file: how many its first one states, and how many there are.

Most MP3 files are nothing but frames. The first frame may state how many follow (Xing, Info, VBRI): a decoder stops
there, whatever comes after it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .source import Door
from .tags import after_tag

__all__ = ["Frame", "first_frame", "frames_from", "goes_on", "seconds_of", "told_frames"]

_HEAD = 4
# Bits of a second for each layer (1, 2, 3), of MPEG 1 and of MPEG 2 and 2.5, in kbit/s.
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
_RATES = (44100, 48000, 32000)
# By the two bits of the version: MPEG 2.5, none, MPEG 2, MPEG 1.
_RATE_DIVISORS = (4, 0, 2, 1)
_IS_MPEG_1 = 3
_LAYER_I_SAMPLES = 384
# What encoders write into the frame that states how many frames follow.
_MARKS = (b"Xing", b"Info")
_HAS_FRAMES = 1
_FRAUNHOFER = b"VBRI"
_FRAUNHOFER_FRAMES = 14
# Encoders differ on whether that frame counts itself.
_UNCERTAIN_FRAMES = 1
# After a gap, so many frames in a row are frames; bits that look like a single one occur by chance.
_ROW = 3
_BLOCK = 256 * 1024
_TAG_MARKS = (b"ID3", b"3DI", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_LONGEST_MARK = max(map(len, _TAG_MARKS))
# A frame or a tag.
_BEGINNINGS = re.compile(rb"\xff[\xe0-\xff]|" + b"|".join(_TAG_MARKS))


class Frame(NamedTuple):
    """One frame."""

    length: int
    """Bytes, with its header."""
    samples: int
    rate: int


class _Window:
    """Bytes of a file at any place, read in large blocks."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.size = door.size
        self._place = 0
        self._data = b""

    def at(self, place: int, count: int) -> bytes:
        """Return bytes from a place on; fewer only where the file ends."""
        first = place - self._place
        if first < 0 or first + count > len(self._data):
            self.door.seek(place)
            self._place, self._data, first = place, self.door.read(max(count, _BLOCK)), 0
        return self._data[first : first + count]

    def find(self, pattern: re.Pattern[bytes], place: int) -> int | None:
        """Return the first place from `place` on at which a pattern matches."""
        while place < self.size:
            self.at(place, min(_LONGEST_MARK, self.size - place))
            found = pattern.search(self._data, place - self._place)
            if found is not None:
                return self._place + found.start()
            # A mark may stand across the end of the block.
            place = max(place + 1, self._place + len(self._data) - _LONGEST_MARK + 1)
        return None

    def frame(self, place: int) -> Frame | None:
        """Return the frame whose header stands at a place."""
        return _frame(self.at(place, _HEAD))


def told_frames(door: Door) -> int | None:
    """Return how many frames follow the first one, as it states; None where it states nothing."""
    first = first_frame(door)
    if first is None:
        return None
    place, frame = first
    door.seek(place)
    data = door.read(frame.length)
    at = data.find(_FRAUNHOFER)
    if at >= 0:
        return int.from_bytes(data[at + _FRAUNHOFER_FRAMES : at + _FRAUNHOFER_FRAMES + 4], "big") or None
    at = max(data.find(mark) for mark in _MARKS)
    if at < 0 or not int.from_bytes(data[at + 4 : at + 8], "big") & _HAS_FRAMES:
        return None
    return int.from_bytes(data[at + 8 : at + 12], "big") or None


def goes_on(door: Door, told: int) -> bool:
    """Whether more frames follow than the first one states."""
    return any(count > told + 1 + _UNCERTAIN_FRAMES for count, _ in enumerate(frames_from(door), 1))


def seconds_of(door: Door) -> float:
    """Return how long all frames are together."""
    return sum(frame.samples / frame.rate for frame in frames_from(door))


def first_frame(door: Door, *, within: int | None = None) -> tuple[int, Frame] | None:
    """Return place and frame of the first of several frames in a row.

    Args:
        door: the file.
        within: bytes of something else that may stand before it; None is any number.
    """
    window = _Window(door)
    place = _next_row(window, 0, door.size if within is None else within)
    frame = None if place is None else window.frame(place)
    return None if place is None or frame is None else (place, frame)


def frames_from(door: Door) -> Iterator[Frame]:
    """Yield all frames, across tags and whatever else stands between them."""
    window = _Window(door)
    place: int | None = 0
    is_in_row = False
    while place is not None:
        frame = window.frame(place) if is_in_row else None
        if frame is not None:
            yield frame
            place += frame.length
            continue
        place = _next_row(window, after_tag(door, place), door.size)
        is_in_row = True


def _next_row(window: _Window, place: int, last: int) -> int | None:
    """Return the next place, up to the last one, at which a row of frames begins."""
    while (found := window.find(_BEGINNINGS, place)) is not None and found <= last:
        if _is_row(window, found):
            return found
        place = max(found + 1, after_tag(window.door, found))
    return None


def _is_row(window: _Window, place: int) -> bool:
    """Whether several frames of one kind begin at a place, or as many as fit before the end or the next tag."""
    kinds: list[tuple[int, int]] = []
    while len(kinds) < _ROW:
        frame = window.frame(place)
        if frame is None:
            is_over = place == window.size or window.at(place, _LONGEST_MARK).startswith(_TAG_MARKS)
            return bool(kinds) and is_over
        kinds.append((frame.samples, frame.rate))
        # Layer I is obsolete, and quiet PCM looks like it.
        if kinds[-1] != kinds[0] or frame.samples == _LAYER_I_SAMPLES:
            return False
        place += frame.length
    return True


def _frame(head: bytes) -> Frame | None:
    if len(head) < _HEAD or head[0] != 0xFF or head[1] < 0xE0:  # noqa: PLR2004 - 11 bits of synchronization
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bit_rate, rate = head[2] >> 4, head[2] >> 2 & 3
    if not _RATE_DIVISORS[version] or layer > 3 or not 0 < bit_rate < 15 or rate > 2:  # noqa: PLR2004 - reserved values
        return None
    hertz = _RATES[rate] // _RATE_DIVISORS[version]
    bits = 1000 * (_MPEG_1 if version == _IS_MPEG_1 else _MPEG_2)[layer - 1][bit_rate - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return Frame((12 * bits // hertz + padding) * 4, _LAYER_I_SAMPLES, hertz)
    samples = 576 if layer == 3 and version != _IS_MPEG_1 else 1152  # noqa: PLR2004 - layer III of MPEG 2
    return Frame(samples // 8 * bits // hertz + padding, samples, hertz)
