"""What can go wrong between the end of a job and whoever waits to be told, as one table."""

from collections import deque
from collections.abc import Iterable, Mapping

import attrs

from pyannote_voiceprint_async.sandbox.fault_sampler import FaultSampler, check_probabilities, find_fault


@attrs.frozen
class WebhookFault:
    """One thing that can go wrong with a job's webhook."""

    name: str
    """What settings and scripts call it."""
    description: str
    """One line for people."""
    copies: int = 1
    """How many webhooks are sent, each with its own retries."""
    early: bool = False
    """Whether the job ends at once, and its submission is answered only after the first try."""
    tampered: bool = False
    """Whether every try says something else than what was signed."""


NO_FAULT = WebhookFault("none", "It is delivered as it should be.")

_TABLE = (
    WebhookFault("duplicate", "It is delivered twice, both at the same time.", copies=2),
    WebhookFault("early", "The job ends at once, and is told before its submission is answered.", early=True),
    WebhookFault("lost", "It is never sent.", copies=0),
    WebhookFault("tampered", "The status in the body is changed after signing, in every try.", tampered=True),
)

WEBHOOK_FAULTS: Mapping[str, WebhookFault] = {fault.name: fault for fault in _TABLE}


def check_webhook_faults(faults: Mapping[str, float] | Iterable[tuple[str, float]]) -> dict[str, float]:
    """These probabilities, if they can be rolled.

    Raises:
        ValueError: For an unknown name, a probability outside 0 to 1, or a sum above 1.
    """
    return check_probabilities(WEBHOOK_FAULTS, faults)


class WebhookFaultPlan:
    """Decides which job's webhook meets which fault.

    Args:
        probabilities: How likely each fault is, by name.
        seed: Where the dice come from; a job rolls once, unless a script has decided already.
    """

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        # A string keeps this series apart from the requests' faults, which have the plain seed.
        self._dice = FaultSampler(WEBHOOK_FAULTS, probabilities, f"webhooks {seed}")
        self._scripted: deque[WebhookFault] = deque()

    def script(self, names: Iterable[str]) -> None:
        """Let the webhooks of the next jobs meet these faults.

        Raises:
            ValueError: For an unknown name.
        """
        self._scripted.extend([find_fault(WEBHOOK_FAULTS, name) for name in names])

    def choose(self) -> WebhookFault | None:
        """The fault that the next job's webhook meets, scripted ones first."""
        return self._scripted.popleft() if self._scripted else self._dice.throw()
