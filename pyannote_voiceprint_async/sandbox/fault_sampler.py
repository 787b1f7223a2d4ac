"""Chance: things that happen with a probability each, repeatable by a seed."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Generic, TypeVar

_T = TypeVar("_T")


def find_fault(table: Mapping[str, _T], name: str) -> _T:
    """The fault of this name.

    Raises:
        ValueError: When the table has none.
    """
    if name not in table:
        raise ValueError(f"There is no fault {name!r}; there are {', '.join(table)}.")
    return table[name]


def check_probabilities(
    table: Mapping[str, object], faults: Mapping[str, float] | Iterable[tuple[str, float]]
) -> dict[str, float]:
    """These probabilities, if they can be rolled.

    Raises:
        ValueError: For a name that the table has not, a probability outside 0 to 1, or a sum above 1.
    """
    probabilities = dict(faults)
    for name, probability in probabilities.items():
        find_fault(table, name)
        if not 0 <= probability <= 1:
            raise ValueError(f"The probability of {name!r} must be between 0 and 1, not {probability!r}.")
    if sum(probabilities.values()) > 1 + 1e-9:
        raise ValueError("The probabilities of all faults must not add up to more than 1.")
    return probabilities


class FaultSampler(Generic[_T]):
    """Throws one of several things, or none.

    Args:
        table: The things by their names.
        probabilities: How likely each is, by name.
        seed: Where the throws come from; a string keeps one series apart from another of the same number.
    """

    def __init__(self, table: Mapping[str, _T], probabilities: Mapping[str, float], seed: int | str) -> None:
        self._shares = [(table[name], share) for name, share in probabilities.items()]
        self._random = Random(seed)

    def __bool__(self) -> bool:
        return bool(self._shares)

    def throw(self) -> _T | None:
        """What happens this time."""
        roll = self._random.random()
        for thing, share in self._shares:
            if roll < share:
                return thing
            roll -= share
        return None
