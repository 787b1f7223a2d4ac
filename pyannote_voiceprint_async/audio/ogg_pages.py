"""Whether an Ogg file is several that were joined: libsndfile plays the first, the API may well hear them all."""

import struct
from itertools import takewhile

from .source import Door

__all__ = ["is_joined"]

_MARK = b"OggS"
# Up to the number of the stream: mark, version, flags, place.
_PAGE = struct.Struct("<4sBBqI")
_BEGINS = 2
# A page has at most 65,307 bytes, so the last one begins in here.
_END = 65_307


def is_joined(door: Door) -> bool:
    """Say whether the last page is of a stream that did not begin where the file does."""
    door.seek(0)
    # Streams that play together all begin before any of them goes on.
    beginning = {stream for stream, _ in takewhile(lambda page: page[1] & _BEGINS, _streams(door.read(_END)))}
    door.seek(max(0, door.size - _END))
    last = _streams(door.read(_END))
    return bool(beginning and last) and last[-1][0] not in beginning


def _streams(data: bytes) -> list[tuple[int, int]]:
    """Give number and flags of the streams whose pages begin in there."""
    found = []
    place = data.find(_MARK)
    while 0 <= place <= len(data) - _PAGE.size:
        _, version, flags, _, stream = _PAGE.unpack_from(data, place)
        if not version:
            found.append((stream, flags))
        place = data.find(_MARK, place + 1)
    return found
