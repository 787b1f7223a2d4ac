"""The faults that the sandbox can inject into requests, as one table."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Protocol

import attrs

from pyannote_voiceprint_async.sandbox.fault_sampler import check_probabilities
from pyannote_voiceprint_async.sandbox.operations import Operation
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error, html_error

# Requests that are refused after a random `rate-limited`, because a real limit never refuses just one request.
BURST = 5


class FaultyRequest(Protocol):
    """What the effect of a fault can do with the request that it affects."""

    async def respond(self) -> SandboxResponse:
        """Return the API's response to the request."""

    async def process_later(self) -> None:
        """Read the request now and process it some seconds later, without a response."""

    def too_many_requests(self) -> SandboxResponse:
        """Return a 429 that requests a pause of one second."""


Effect = Callable[[FaultyRequest], Awaitable[SandboxResponse | None]]


@attrs.frozen
class Fault:
    """A fault of one request."""

    name: str
    """Name in `Settings.faults` and `Sandbox.fail_next`."""
    description: str
    """One sentence for documentation."""
    effect: Effect
    """Returns the response to the affected request, or `None` to cut the connection."""
    submissions_only: bool = False
    """Whether only submissions can have it."""

    def applies_to(self, operation: Operation) -> bool:
        """Return whether requests of this operation can have the fault."""
        return operation.submits or not self.submissions_only


async def _drop_before_read(_request: FaultyRequest) -> SandboxResponse | None:
    return None


async def _drop_after_accept(request: FaultyRequest) -> SandboxResponse | None:
    response = await request.respond()
    return None if response.status == HTTPStatus.OK else response


async def _accept_late(request: FaultyRequest) -> SandboxResponse | None:
    await request.process_later()
    return None


async def _server_error(_request: FaultyRequest) -> SandboxResponse | None:
    return error(500, "Internal server error")


async def _bad_gateway(_request: FaultyRequest) -> SandboxResponse | None:
    return html_error(502, "Bad Gateway")


async def _unavailable(_request: FaultyRequest) -> SandboxResponse | None:
    return error(503, "Service unavailable", {"Retry-After": "1"})


async def _rate_limited(request: FaultyRequest) -> SandboxResponse | None:
    return request.too_many_requests()


async def _truncated_json(request: FaultyRequest) -> SandboxResponse | None:
    response = await request.respond()
    if response.status != HTTPStatus.OK:
        return response
    return attrs.evolve(response, body=response.body[: len(response.body) // 2])


_TABLE = (
    Fault("drop-before-read", "The connection is cut before the request is read.", _drop_before_read),
    Fault("drop-after-accept", "The job exists, but the connection is cut.", _drop_after_accept, submissions_only=True),
    Fault(
        "accept-late",
        "The connection is cut, and the job is created seconds later.",
        _accept_late,
        submissions_only=True,
    ),
    Fault("server-error", "500 in the API's own format; the request has no effect.", _server_error),
    Fault("bad-gateway", "502 with an HTML page; the request has no effect.", _bad_gateway),
    Fault("unavailable", "503 with Retry-After: 1; the request has no effect.", _unavailable),
    Fault("rate-limited", f"429 with Retry-After: 1, also for the next {BURST} requests.", _rate_limited),
    Fault(
        "truncated-json",
        "The job exists, but the JSON of the 200 is cut in half.",
        _truncated_json,
        submissions_only=True,
    ),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _TABLE}


def check_faults(faults: Mapping[str, float] | Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the probability of each fault of `FAULTS` after checking them all.

    Raises:
        ValueError: For an unknown name, a probability outside 0 to 1, or a sum above 1.
    """
    return check_probabilities(FAULTS, faults)
