"""Detect several files that were joined end to end.

libsndfile decodes the first file only, and the API may use all of them.
"""

from collections.abc import Iterator

from .formats import FORMATS, Format, audio_start
from .ogg_pages import is_chained
from .source import FileSlice

__all__ = ["is_joined"]

_BLOCK = 1024 * 1024
# Longer than every signature in the table, so that none is missed where it spans two blocks.
_OVERLAP = 128
# Signatures that occur inside a single file of a format.
_EMBEDDED = {"Ogg": {"Ogg", "FLAC"}}


def is_joined(file: FileSlice, file_format: Format | None) -> bool:
    """Return whether another file begins inside the file.

    Args:
        file: the file.
        file_format: its format; None for MP3.
    """
    if file_format is not None and file_format.name == "Ogg" and is_chained(file):
        return True
    first = audio_start(file)
    signatures = _signatures_to_search(file_format)
    return any(
        first < offset + index < offset + len(block)
        for offset, block in _blocks(file, first)
        for signature in signatures
        for index in _matches(signature, block)
    )


def _signatures_to_search(file_format: Format | None) -> list[Format]:
    """Return the formats to search for; for a format that may embed other files, only the format itself."""
    if file_format is None or file_format.is_readable:
        embedded = _EMBEDDED.get("" if file_format is None else file_format.name, set())
        return [one for one in FORMATS if one.is_distinct and not one.is_container and one.name not in embedded]
    return [one for one in FORMATS if one.is_distinct and one.name == file_format.name]


def _matches(signature: Format, block: bytes) -> Iterator[int]:
    at = block.find(signature.magic)
    while at >= 0:
        if signature.matches(block, at - signature.offset):
            yield at - signature.offset
        at = block.find(signature.magic, at + 1)


def _blocks(file: FileSlice, first: int) -> Iterator[tuple[int, bytes]]:
    """Yield the file in blocks, each with its offset. Each block repeats the end of the block before it."""
    offset = first
    while True:
        file.seek(offset)
        block = file.read(_BLOCK)
        yield offset, block
        if len(block) < _BLOCK:
            return
        offset += len(block) - _OVERLAP
