"""A sequence of turns that makes each turn when it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import starmap
from typing import Any, TypeVar, overload

__all__ = ["TurnList"]

T = TypeVar("T")


class TurnList(Sequence[T]):
    """An immutable sequence of turns, equal to a tuple of the same turns.

    Each turn is made when it is read, from a plain tuple of its fields. Python's garbage collector skips such tuples,
    but would visit each of the hundred thousand turns of a day as an object, again and again, and block the event loop
    meanwhile.

    Args:
        kind: the class of the turns.
        rows: the fields of each turn.
    """

    __slots__ = ("_kind", "_rows")

    def __init__(self, kind: type[T], rows: Iterable[tuple[Any, ...]]) -> None:
        self._kind = kind
        self._rows = tuple(rows)

    def __repr__(self) -> str:
        return f"<{len(self)} turns>"

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        return starmap(self._kind, self._rows)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> TurnList[T]: ...

    def __getitem__(self, index: int | slice) -> T | TurnList[T]:
        if isinstance(index, slice):
            return TurnList(self._kind, self._rows[index])
        return self._kind(*self._rows[index])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TurnList | tuple):
            return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))
