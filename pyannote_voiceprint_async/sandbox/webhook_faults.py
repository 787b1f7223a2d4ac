"""The faults that the sandbox can inject into webhooks: one table, and the decision which job has which fault."""

from collections import deque
from collections.abc import Iterable, Mapping

import attrs

from pyannote_voiceprint_async.sandbox.fault_sampler import FaultSampler, check_probabilities, find_fault


@attrs.frozen
class WebhookFault:
    """A fault of one job's webhook."""

    name: str
    """Name in `Settings.webhook_faults` and `Sandbox.fail_next_webhook`."""
    description: str
    """One sentence for documentation."""
    copies: int = 1
    """How many copies of the webhook are sent. Each has its own retries."""
    early: bool = False
    """Whether the job finishes at once, and its submission is answered after the first attempt."""
    tampered: bool = False
    """Whether the body of every attempt differs from what was signed."""


NO_FAULT = WebhookFault("none", "The webhook is delivered correctly.")

_TABLE = (
    WebhookFault("duplicate", "The webhook is delivered twice at the same time.", copies=2),
    WebhookFault("early", "The job finishes, and its webhook is sent, before the submission is answered.", early=True),
    WebhookFault("lost", "The webhook is never sent.", copies=0),
    WebhookFault("tampered", "The status in the body is changed after signing, in every attempt.", tampered=True),
)

WEBHOOK_FAULTS: Mapping[str, WebhookFault] = {fault.name: fault for fault in _TABLE}


def check_webhook_faults(faults: Mapping[str, float] | Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the probability of each fault of `WEBHOOK_FAULTS` after checking them all.

    Raises:
        ValueError: For an unknown name, a probability outside 0 to 1, or a sum above 1.
    """
    return check_probabilities(WEBHOOK_FAULTS, faults)


class WebhookFaultPlan:
    """Chooses the fault of each job's webhook: scripted faults first, then random faults.

    Args:
        probabilities: The probability of each fault by name.
        seed: Seed of the random faults.
    """

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        # A string seed, because the plain number would repeat the random series of the requests' faults.
        self._sampler = FaultSampler(WEBHOOK_FAULTS, probabilities, f"webhooks {seed}")
        self._scripted: deque[WebhookFault] = deque()

    def script(self, names: Iterable[str]) -> None:
        """Assign these faults to the webhooks of the next jobs, one each.

        Raises:
            ValueError: For an unknown name.
        """
        self._scripted.extend([find_fault(WEBHOOK_FAULTS, name) for name in names])

    def choose(self) -> WebhookFault | None:
        """Return the fault of the next job's webhook, or `None`."""
        return self._scripted.popleft() if self._scripted else self._sampler.sample()
