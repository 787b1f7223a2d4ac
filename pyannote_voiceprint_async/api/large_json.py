"""Parse large JSON in pieces, so that a worker thread does not stop the event loop.

A JSON parser in C holds the interpreter lock until it has parsed the whole document, so it blocks the event loop even
from a thread. This module finds the long lists of a document, and parses them a few hundred kilobytes at a time.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from mmap import ACCESS_COPY, mmap
from typing import Any

__all__ = ["join_in_map", "parse_large"]

# Bytes that are parsed or copied at once.
_PIECE = 256 * 1024
# Levels of nested objects. A deeper document is parsed in one piece.
_MAX_DEPTH = 4

_SPACE = re.compile(rb"[ \t\n\r]*+")
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY = re.compile(rb"[ \t\n\r]*+(" + _TEXT + rb")[ \t\n\r]*+:[ \t\n\r]*+", re.DOTALL)
_SCALAR = re.compile(_TEXT + rb'|[^][{}",: \t\n\r]{1,1000}+', re.DOTALL)
_TOKEN = re.compile(_TEXT + rb"|[][{},]", re.DOTALL)
_COMMA, _OPEN, _CLOSE = map(ord, ",{}")
# How many commas are tried. If items hold objects, a `},` may be inside an item, but hardly several in a row.
_GUESSES = 3


def join_in_map(parts: Sequence[bytes | memoryview]) -> mmap:
    """Return the parts as one document in anonymous memory, written a few hundred kilobytes at a time.

    `bytes.join` would hold the interpreter lock until all is copied: 10 ms for the output of a day.

    Args:
        parts: the parts, with at least one byte in all of them together.
    """
    document = mmap(-1, sum(map(len, parts)), access=ACCESS_COPY)
    for part in parts:
        for at in range(0, len(part), _PIECE):
            document.write(part[at : at + _PIECE])
    return document


def parse_large(
    document: bytes | mmap, loads: Callable[[bytes], Any], piece: int = _PIECE, *, arrays: Container[str] = ()
) -> Any:
    """Parse a JSON document. The result, or the error, is that of `loads`, except for the fields in `arrays`.

    Args:
        document: the document.
        loads: parses a part of the document; its errors are `ValueError`.
        piece: the length of a piece, in bytes.
        arrays: the names of fields whose value becomes an array of floats, if it is a list of numbers that is longer
            than a piece. Python's garbage collector would visit each item of a list.

    Raises:
        ValueError: the document is not JSON.
    """
    try:
        value, end = _Parser(document, loads, piece, arrays).value(_SPACE.match(document).end(), 0)  # type: ignore[union-attr]  # matches an empty text too
        if _SPACE.fullmatch(document, end):
            return value
    except (ValueError, IndexError):
        pass
    whole = document[:]
    _check(whole)
    return loads(whole)


def _check(document: bytes) -> None:
    """Raise `ValueError` if a document is not JSON.

    orjson must not find the error: its exception needs twelve times the memory of the document.
    """
    try:
        json.loads(document)
    except RecursionError:
        raise ValueError("the document has too many levels") from None


def _add(part: list[Any], items: list[Any] | array[float]) -> None:
    """Add parsed items to a list, or to an array of floats."""
    if isinstance(items, list):
        items += part
    else:
        items.extend(array("d", part))


class _Parser:
    """Parses values at positions of a document. Each method returns the value and the position after it.

    A document that is not JSON raises `ValueError` or `IndexError`.
    """

    def __init__(
        self, document: bytes | mmap, loads: Callable[[bytes], Any], piece: int, arrays: Container[str]
    ) -> None:
        self._document = document
        self._loads = loads
        self._piece = piece
        self._arrays = arrays

    def value(self, at: int, depth: int, name: str = "") -> tuple[Any, int]:
        """Parse the value that begins at this position, of the field with this name."""
        first = self._document[at : at + 1]
        if first == b"{":
            return self._object(at, depth + 1)
        if first == b"[":
            if name in self._arrays:
                with suppress(TypeError):  # an item is not a number
                    return self._items(at + 1, array("d"))
            return self._items(at + 1, [])
        if (scalar := _SCALAR.match(self._document, at)) is None:
            raise ValueError("not a value")
        return self._loads(scalar.group()), scalar.end()

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        if depth > _MAX_DEPTH:
            raise ValueError("too deep")
        found: dict[str, Any] = {}
        at = self._skip_space(at + 1)
        if self._document[at] == _CLOSE:
            return found, at + 1
        while key := _KEY.match(self._document, at):
            name = self._loads(key[1])
            found[name], at = self.value(key.end(), depth, name)
            at = self._skip_space(at)
            if self._document[at] == _CLOSE:
                return found, at + 1
            if self._document[at] != _COMMA:
                break
            at += 1
        raise ValueError("not an object")

    def _items(self, at: int, items: list[Any] | array[float]) -> tuple[Any, int]:
        """Parse the items of a list, the first of which begins here, and add them to `items`.

        Raises:
            TypeError: `items` is an array, and an item is not a number.
        """
        while True:
            part = self._guess_part(at)
            if part is None:
                end, is_last = self._find_part(at)
                part = self._loads(b"[%b]" % self._document[at:end]), end
                if is_last and not items:
                    return part[0], end + 1
                if is_last and part[0]:
                    _add(part[0], items)
                    return items, end + 1
            if not part[0]:
                raise ValueError("a comma without an item")
            _add(part[0], items)
            at = part[1] + 1

    def _guess_part(self, at: int) -> tuple[list[Any], int] | None:
        """Parse up to a comma that probably separates two items, about one piece further; return None if none does.

        If the comma is inside a text or an item, the part is not JSON, and an earlier comma is tried.
        """
        separator = b"}," if self._document[self._skip_space(at)] == _OPEN else b","
        end = at + self._piece
        for _ in range(_GUESSES):
            end = self._document.rfind(separator, at, end) + len(separator) - 1
            if end <= at:
                return None
            with suppress(ValueError):
                return self._loads(b"[%b]" % self._document[at:end]), end
        return None

    def _find_part(self, at: int) -> tuple[int, bool]:
        """Return the position of the end of the list, or of a comma between two items about one piece further.

        Also return whether it is the end. This reads every token, so it is used only where a guess failed, which is
        once or twice in each list.
        """
        depth, window = 0, at + self._piece
        for token in _TOKEN.finditer(self._document, at):
            text = token.group()
            if text in (b"[", b"{"):
                depth += 1
            elif text == b"," and depth == 0 and token.start() >= window:
                return token.start(), False
            elif text in (b"]", b"}"):
                depth -= 1
                if depth < 0 and text == b"]":
                    return token.start(), True
        raise ValueError("a list without an end")

    def _skip_space(self, at: int) -> int:
        return _SPACE.match(self._document, at).end()  # type: ignore[union-attr]  # matches an empty text too
