"""Random faults: each has a probability, and the same seed gives the same series of faults."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Generic, TypeVar

_T = TypeVar("_T")


def find_fault(table: Mapping[str, _T], name: str) -> _T:
    """Return the fault of this name.

    Raises:
        ValueError: When the table has no such fault.
    """
    if name not in table:
        raise ValueError(f"There is no fault {name!r}. The faults are {', '.join(table)}.")
    return table[name]


def check_probabilities(
    table: Mapping[str, object], faults: Mapping[str, float] | Iterable[tuple[str, float]]
) -> dict[str, float]:
    """Return the probability of each fault after checking them all.

    Raises:
        ValueError: For a name that is not in the table, a probability outside 0 to 1, or a sum above 1.
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
    """Draws one of several faults, or none.

    Args:
        table: The faults by name.
        probabilities: The probability of each fault by name.
        seed: Seed of the random numbers. Samplers that must not draw the same series need different seeds.
    """

    def __init__(self, table: Mapping[str, _T], probabilities: Mapping[str, float], seed: int | str) -> None:
        self._shares = [(table[name], share) for name, share in probabilities.items()]
        self._random = Random(seed)

    def sample(self) -> _T | None:
        """Draw the next fault, or `None`."""
        number = self._random.random()
        for fault, share in self._shares:
            if number < share:
                return fault
            number -= share
        return None
