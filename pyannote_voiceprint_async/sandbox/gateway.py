"""The gateway in front of the API: it counts requests, adds latency and injects faults."""

from http import HTTPStatus
from random import Random

from aiohttp import web

from pyannote_voiceprint_async.sandbox.api_state import ApiState
from pyannote_voiceprint_async.sandbox.fault_plan import FaultPlan
from pyannote_voiceprint_async.sandbox.incoming_request import IncomingRequest
from pyannote_voiceprint_async.sandbox.request_counters import RequestCounters
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error


class Gateway:
    """Produces the response to each request of the API.

    Args:
        api: The state of the API.
        faults: Chooses the fault of each request.
        counters: Counts the requests.
    """

    def __init__(self, api: ApiState, faults: FaultPlan, counters: RequestCounters) -> None:
        self._api = api
        self._faults = faults
        self._counters = counters
        # A string seed, because the plain number would repeat the random series of the faults.
        self._random = Random(f"latency {api.settings.seed}")

    async def respond(self, request: IncomingRequest) -> SandboxResponse | None:
        """Return the response to a request, or `None` to cut the connection."""
        with self._counters.request(request.operation.name):
            if self._api.settings.latency[1]:
                return await self._respond_with_latency(request)
            return await self._respond_with_headers(request)

    async def _respond_with_latency(self, request: IncomingRequest) -> SandboxResponse | None:
        """Divide the latency at random, so that requests overtake each other before they are processed."""
        latency = self._random.uniform(*self._api.settings.latency)
        before = self._random.uniform(0.0, latency)
        await self._api.settings.sleep(before)
        response = await self._respond_with_headers(request)
        await self._api.settings.sleep(latency - before)
        return response

    async def _respond_with_headers(self, request: IncomingRequest) -> SandboxResponse | None:
        """Add the rate-limit headers of this moment, which may be outdated when the response arrives."""
        response = await self._respond_with_faults(request)
        if response is None:
            return None
        operation = request.operation.name
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._counters.rate_limited(operation)
        headers = self._api.rate_limits.headers(operation, self._api.now())
        return SandboxResponse(response.status, response.body, {**headers, **response.headers})

    async def _respond_with_faults(self, request: IncomingRequest) -> SandboxResponse | None:
        fault = self._faults.choose(request.operation)
        request.notes.fault = None if fault is None else fault.name
        try:
            return await (request.respond() if fault is None else fault.effect(request))
        except web.HTTPRequestEntityTooLarge:
            return error(413, "The body is too large")
        except (ConnectionError, web.RequestPayloadError):  # the client disconnected, or its body is malformed
            return None
