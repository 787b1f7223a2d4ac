"""Strings whose value no traceback, log line or f-string shows by accident."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["Secret", "hide"]

_HIDDEN = "<hidden>"


class Secret(str):
    """A `str` whose `repr()`, `str()` and formatting hide the value: an API key, a webhook secret, a presigned URL.

    Tools that print the local variables of a traceback (Sentry, rich, `pytest -l`) use `repr()`. A secret compares,
    hashes, encodes and slices like any `str`; `reveal()` returns the value.
    """

    __slots__ = ()

    def __new__(cls, value: str = "") -> Self:
        """Copy the value of `value`, also if it is a secret, for which `str(value)` returns a placeholder."""
        return super().__new__(cls, value[:])

    def __repr__(self) -> str:
        return _HIDDEN

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, format_spec: str) -> str:
        return format(_HIDDEN, format_spec)

    def reveal(self) -> str:
        """Return the value as a plain `str`. Do not assign it to a local variable, which a traceback may show."""
        return self[:]


def hide(value: Any) -> Any:
    """Return a str as a `Secret`, and bytes as a `memoryview`, whose `repr()` hides them; other values unchanged."""
    if isinstance(value, str):
        return Secret(value)
    return memoryview(value) if isinstance(value, bytes) else value
