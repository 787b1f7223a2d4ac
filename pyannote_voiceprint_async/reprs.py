"""A `repr()` that works while an object is being constructed: tracebacks show `self` when a constructor fails."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["safe_repr"]

K = TypeVar("K")


def safe_repr(kind: type[K]) -> type[K]:
    """Make the class's `__repr__` return a text without values where it would raise."""
    shown = kind.__repr__

    def __repr__(self: K) -> str:  # noqa: N807 - becomes the class's own
        try:
            return shown(self)
        except Exception:  # noqa: BLE001 - whatever is missing
            return f"<{kind.__name__}, not constructed>"

    kind.__repr__ = __repr__  # type: ignore[method-assign, assignment]  # a method of any class
    return kind
