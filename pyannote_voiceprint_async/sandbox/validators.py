"""attrs validators for settings. Each raises a `ValueError` that names the setting and the accepted values."""

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
