"""attrs validators and converters. Each raises a `ValueError` that names the setting and the accepted values."""

import math
from collections.abc import Callable
from typing import Any

import attrs


def one_of(*names: str) -> Callable[[Any, "attrs.Attribute[str]", str], None]:
    """Return a validator that accepts only these names."""

    def check(_instance: object, attribute: "attrs.Attribute[str]", value: str) -> None:
        if value not in names:
            raise ValueError(f"{attribute.name!r} must be one of {', '.join(names)}, not {value!r}.")

    return check


def not_negative(_instance: object, attribute: "attrs.Attribute[Any]", value: float | None) -> None:
    """Accept `None` and numbers from zero to infinity."""
    if value is not None and not value >= 0:
        raise ValueError(f"{attribute.name!r} must be zero or more, not {value!r}.")


def finite(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    """Accept zero and positive finite numbers."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name!r} must be a finite number, zero or more, not {value!r}.")


def positive(_instance: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    """Accept positive finite numbers."""
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name!r} must be a positive number, not {value!r}.")


def to_range(value: float | tuple[float, float]) -> tuple[float, float]:
    """Convert a number of seconds, or (low, high), to a range."""
    try:
        low, high = value if isinstance(value, tuple) else (value, value)
        valid = 0 <= low <= high < math.inf
    except (TypeError, ValueError):  # text, or a tuple of another length
        valid = False
    if not valid:
        raise ValueError(f"Seconds must be a number, or (low, high) with 0 <= low <= high, not {value!r}.")
    return float(low), float(high)


def optional_range(value: float | tuple[float, float] | None) -> tuple[float, float] | None:
    """Convert like `to_range`, and accept `None`."""
    return None if value is None else to_range(value)
