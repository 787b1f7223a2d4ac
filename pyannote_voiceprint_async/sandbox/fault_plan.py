"""The decision which request has which fault."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from pyannote_voiceprint_async.sandbox.fault_sampler import FaultSampler, find_fault
from pyannote_voiceprint_async.sandbox.faults import BURST, FAULTS, Fault
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS, Operation


class FaultPlan:
    """Chooses the fault of each request: scripted faults first, then bursts of 429s, then random faults.

    Args:
        probabilities: The probability of each fault by name.
        seed: Seed of the random faults.
    """

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        self._sampler = FaultSampler(FAULTS, probabilities, seed)
        self._scripted: deque[tuple[Fault, str | None]] = deque()
        self._burst: Counter[str] = Counter()

    def script(self, names: Iterable[str], operation: str | None) -> None:
        """Assign these faults to the next requests of this operation, or of any operation to which they apply.

        Raises:
            ValueError: For an unknown name, or a fault that does not apply to this operation.
        """
        scripted = [(find_fault(FAULTS, name), operation) for name in names]
        if operation is not None:
            _check_operation([fault for fault, _ in scripted], operation)
        self._scripted.extend(scripted)

    def choose(self, operation: Operation) -> Fault | None:
        """Return the fault of the next request of this operation, or `None`."""
        return self._next_scripted(operation) or self._next_random(operation)

    def _next_scripted(self, operation: Operation) -> Fault | None:
        for entry in self._scripted:
            fault, name = entry
            if name in {None, operation.name} and fault.applies_to(operation):
                self._scripted.remove(entry)
                return fault
        return None

    def _next_random(self, operation: Operation) -> Fault | None:
        if self._burst[operation.name]:
            self._burst[operation.name] -= 1
            return FAULTS["rate-limited"]
        fault = self._sampler.sample()
        if fault is None or not fault.applies_to(operation):
            return None
        if fault.name == "rate-limited":
            self._burst[operation.name] = BURST
        return fault


def _check_operation(faults: Iterable[Fault], name: str) -> None:
    if name not in OPERATIONS:
        raise ValueError(f"There is no operation {name!r}. The operations are {', '.join(OPERATIONS)}.")
    for fault in faults:
        if not fault.applies_to(OPERATIONS[name]):
            raise ValueError(f"The fault {fault.name!r} applies to submissions only, and {name!r} submits no job.")
