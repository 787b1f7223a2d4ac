"""What can go wrong between a client and the API, as one table."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Protocol

import attrs

from pyannote_voiceprint_async.sandbox.fault_sampler import FaultSampler, check_probabilities, find_fault
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS, Operation
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error, html_error

# Requests that are refused after a rolled `rate-limited`, because a real limit never strikes just once.
BURST = 5


class FaultyRequest(Protocol):
    """A request on its way, as a fault sees it."""

    async def answer(self) -> SandboxResponse:
        """Let the API answer."""

    async def answer_later(self) -> None:
        """Read the request now and let the API see it some seconds later, when nobody listens."""

    def too_many(self) -> SandboxResponse:
        """A 429 that asks for a pause of one second."""


Effect = Callable[[FaultyRequest], Awaitable[SandboxResponse | None]]


@attrs.frozen
class Fault:
    """One thing that can go wrong."""

    name: str
    """What settings and scripts call it."""
    description: str
    """One line for people."""
    effect: Effect
    """What it does to a request; no answer means that the connection is cut."""
    submissions_only: bool = False
    """Whether it makes sense only where a job can come into being."""


async def _drop_before_read(_exchange: FaultyRequest) -> SandboxResponse | None:
    return None


async def _drop_after_accept(exchange: FaultyRequest) -> SandboxResponse | None:
    answer = await exchange.answer()
    return None if answer.status == HTTPStatus.OK else answer


async def _accept_late(exchange: FaultyRequest) -> SandboxResponse | None:
    await exchange.answer_later()
    return None


async def _server_error(_exchange: FaultyRequest) -> SandboxResponse | None:
    return error(500, "Internal server error")


async def _bad_gateway(_exchange: FaultyRequest) -> SandboxResponse | None:
    return html_error(502, "Bad Gateway")


async def _unavailable(_exchange: FaultyRequest) -> SandboxResponse | None:
    return error(503, "Service unavailable", {"Retry-After": "1"})


async def _rate_limited(exchange: FaultyRequest) -> SandboxResponse | None:
    return exchange.too_many()


async def _truncated_json(exchange: FaultyRequest) -> SandboxResponse | None:
    answer = await exchange.answer()
    if answer.status != HTTPStatus.OK:
        return answer
    return attrs.evolve(answer, body=answer.body[: len(answer.body) // 2])


_TABLE = (
    Fault("drop-before-read", "The connection is cut before the request is looked at.", _drop_before_read),
    Fault("drop-after-accept", "The job exists; the connection is cut.", _drop_after_accept, submissions_only=True),
    Fault("accept-late", "The connection is cut; the job comes seconds later.", _accept_late, submissions_only=True),
    Fault("server-error", "500 in the API's own shape; nothing happened.", _server_error),
    Fault("bad-gateway", "502 with a page of HTML; nothing happened.", _bad_gateway),
    Fault("unavailable", "503 with Retry-After: 1; nothing happened.", _unavailable),
    Fault("rate-limited", f"429 with Retry-After: 1, and for the next {BURST} requests too.", _rate_limited),
    Fault(
        "truncated-json", "The job exists; the JSON of its 200 ends halfway.", _truncated_json, submissions_only=True
    ),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _TABLE}


def check_faults(faults: Mapping[str, float] | Iterable[tuple[str, float]]) -> dict[str, float]:
    """These probabilities, if they can be rolled.

    Raises:
        ValueError: For an unknown name, a probability outside 0 to 1, or a sum above 1.
    """
    return check_probabilities(FAULTS, faults)


class FaultPlan:
    """Decides which request meets which fault.

    Args:
        probabilities: How likely each fault is, by name.
        seed: Where the dice come from; a request rolls once, unless a script or a burst has decided already.
    """

    def __init__(self, probabilities: Mapping[str, float], seed: int) -> None:
        self._dice = FaultSampler(FAULTS, probabilities, seed)
        self._scripted: deque[tuple[Fault, str | None]] = deque()
        self._burst: Counter[str] = Counter()

    def script(self, names: Iterable[str], operation: str | None) -> None:
        """Let the next requests of this operation (or of any that a fault fits) meet these faults.

        Raises:
            ValueError: For an unknown name, or a fault that this operation cannot meet.
        """
        scripted = [(find_fault(FAULTS, name), operation) for name in names]
        if operation is not None:
            _check_fit([fault for fault, _ in scripted], operation)
        self._scripted.extend(scripted)

    def choose(self, operation: Operation) -> Fault | None:
        """The fault that this request meets, scripted ones first."""
        scripted = self._next_scripted(operation) if self._scripted else None
        return scripted or (self._roll(operation) if self._dice else None)

    def _next_scripted(self, operation: Operation) -> Fault | None:
        for entry in self._scripted:
            fault, name = entry
            if name in {None, operation.name} and _fits(fault, operation):
                self._scripted.remove(entry)
                return fault
        return None

    def _roll(self, operation: Operation) -> Fault | None:
        if self._burst[operation.name]:
            self._burst[operation.name] -= 1
            return FAULTS["rate-limited"]
        fault = self._dice.throw()
        if fault is None or not _fits(fault, operation):
            return None
        if fault.name == "rate-limited":
            self._burst[operation.name] = BURST
        return fault


def _check_fit(faults: Iterable[Fault], operation: str) -> None:
    if operation not in OPERATIONS:
        raise ValueError(f"There is no operation {operation!r}; there are {', '.join(OPERATIONS)}.")
    for fault in faults:
        if not _fits(fault, OPERATIONS[operation]):
            raise ValueError(f"{fault.name!r} fits submissions only, and {operation!r} makes no job.")


def _fits(fault: Fault, operation: Operation) -> bool:
    return operation.submits or not fault.submissions_only
