"""Sort the turns of a day without holding the interpreter lock for long."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

__all__ = ["in_order"]

T = TypeVar("T")

_PART = 5_000


def in_order(items: Sequence[T], time: Callable[[T], float], part: int = _PART) -> Iterable[T]:
    """Return the items in the order of their times. Items with equal times keep their order.

    `sorted` would hold the interpreter lock until all items are sorted, and block the event loop even from a thread.
    Turns are nearly always in order already; if not, parts of them are sorted, and then merged.

    Args:
        items: the items.
        time: returns the time of an item.
        part: the number of items that are sorted at once.
    """
    if all(one <= other for one, other in pairwise(map(time, items))):
        return items
    parts = [sorted(items[at : at + part], key=time) for at in range(0, len(items), part)]
    return heapq.merge(*parts, key=time)
