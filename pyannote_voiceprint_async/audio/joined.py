"""Whether a file is several that were joined end to end: libsndfile plays the first, the API may well play them all."""

from collections.abc import Iterator

from .formats import FORMATS, Format, begin_of
from .ogg_pages import is_chained
from .source import Door

__all__ = ["is_joined"]

_BLOCK = 1024 * 1024
# Longer than every signature that is searched for.
_OVERLAP = 128


def is_joined(door: Door, own: Format) -> bool:
    """Whether another file begins inside the file.

    Args:
        door: the file.
        own: its format. A container may hold streams of other formats: only its own signature counts there.
    """
    if own.name == "Ogg":
        return is_chained(door)
    if own.is_container:
        wanted = [one for one in FORMATS if one.is_distinct and one.name == own.name]
    else:
        wanted = [one for one in FORMATS if one.is_distinct and not one.is_container]
    first = begin_of(door)
    return any(
        first < place + at < place + len(data)
        for place, data in _blocks(door, first)
        for one in wanted
        for at in _places(one, data)
    )


def _places(one: Format, data: bytes) -> Iterator[int]:
    at = data.find(one.magic)
    while at >= 0:
        if one.begins(data, at - one.offset):
            yield at - one.offset
        at = data.find(one.magic, at + 1)


def _blocks(door: Door, first: int) -> Iterator[tuple[int, bytes]]:
    """Yield the file in blocks, each with its place. A block repeats the end of the block before it."""
    place = first
    while True:
        door.seek(place)
        data = door.read(_BLOCK)
        yield place, data
        if len(data) < _BLOCK:
            return
        place += len(data) - _OVERLAP
