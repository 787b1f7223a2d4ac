"""A `repr()` that also works on a half-constructed object: a traceback shows `self` when a constructor fails."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["safe_repr"]

K = TypeVar("K")


def safe_repr(kind: type[K]) -> type[K]:
    """Wrap the `__repr__` of a class, so that it returns a text without values instead of raising."""
    original = kind.__repr__

    def __repr__(self: K) -> str:  # noqa: N807 - it replaces the method of the class
        try:
            return original(self)
        except Exception:  # noqa: BLE001 - any attribute may be missing
            return f"<{kind.__name__}, not constructed>"

    kind.__repr__ = __repr__  # type: ignore[method-assign, assignment]  # a method of any class
    return kind
