"""Whether a file is several that were joined end to end: libsndfile plays the first, the API may well play them all."""

from collections.abc import Iterator

from .formats import FORMATS, Format, begin_of
from .ogg_pages import is_chained
from .source import Door

__all__ = ["is_joined"]

_BLOCK = 1024 * 1024
# Longer than every signature that is searched for.
_OVERLAP = 128
# Signatures that occur in files of a format as part of it.
_WITHIN = {"Ogg": {"Ogg", "FLAC"}}


def is_joined(door: Door, own: Format | None) -> bool:
    """Whether another file begins inside the file.

    Args:
        door: the file.
        own: its format; None for MP3.
    """
    first = begin_of(door)
    wanted = _signatures_of_others(own)
    return (own is not None and own.name == "Ogg" and is_chained(door)) or any(
        first < place + at < place + len(data)
        for place, data in _blocks(door, first)
        for one in wanted
        for at in _places(one, data)
    )


def _signatures_of_others(own: Format | None) -> list[Format]:
    """Return what is searched for: of formats that may hold files of other formats, only their own signature."""
    if own is None or own.is_readable:
        within = _WITHIN.get("" if own is None else own.name, set())
        return [one for one in FORMATS if one.is_distinct and not one.is_container and one.name not in within]
    return [one for one in FORMATS if one.is_distinct and one.name == own.name]


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
