"""From a request on a socket to an answer on it: faults, latency, counting."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from random import Random
from typing import Any

from aiohttp import web

from pyannote_voiceprint_async.sandbox.api_state import ApiState
from pyannote_voiceprint_async.sandbox.expect_continue import send_continue
from pyannote_voiceprint_async.sandbox.faults import FaultPlan
from pyannote_voiceprint_async.sandbox.handlers import answer as respond
from pyannote_voiceprint_async.sandbox.operations import Operation, SandboxRequest
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error
from pyannote_voiceprint_async.sandbox.state import RequestCounters

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Gateway:
    """What stands before the API.

    Args:
        api: The API.
        faults: What goes wrong.
        counters: Where requests are counted.
        spawn: Starts what outlives its request; whoever hands it in ends it, too.
    """

    def __init__(self, api: ApiState, faults: FaultPlan, counters: RequestCounters, spawn: Spawn) -> None:
        self.api = api
        self.spawn = spawn
        self._faults = faults
        self._counters = counters
        self._latency = api.settings.latency
        # A string keeps this series apart from the faults', which has the plain seed.
        self._random = Random(f"latency {api.settings.seed}")

    async def answer(self, request: web.BaseRequest, operation: Operation, argument: str) -> SandboxResponse | None:
        """Answer a request of the API; nothing means that the connection is to be cut."""
        with self._counters.request(operation.name):
            exchange = IncomingRequest(self, request, operation, argument)
            return await (self._answer_slowly(exchange) if self._latency[1] else self._answer_now(exchange))

    async def _answer_slowly(self, exchange: "IncomingRequest") -> SandboxResponse | None:
        """Some of the latency is the way there, so that requests overtake each other before they count."""
        whole = self._random.uniform(*self._latency)
        there = self._random.uniform(0.0, whole)
        await self.api.settings.sleep(there)
        answer = await self._answer_now(exchange)
        await self.api.settings.sleep(whole - there)
        return answer

    async def _answer_now(self, exchange: "IncomingRequest") -> SandboxResponse | None:
        """What the answer says about the budget is true at this moment, and may be stale when it arrives."""
        answer = await self._answer(exchange)
        if answer is None:
            return None
        operation = exchange.operation.name
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._counters.rate_limited(operation)
        budget = self.api.budgets.headers(operation, self.api.now())
        return SandboxResponse(answer.status, answer.body, {**budget, **answer.headers})

    async def _answer(self, exchange: "IncomingRequest") -> SandboxResponse | None:
        fault = self._faults.choose(exchange.operation)
        try:
            return await (exchange.answer() if fault is None else fault.effect(exchange))
        except web.HTTPRequestEntityTooLarge:
            return error(413, "The body is too large")
        except (ConnectionError, web.RequestPayloadError):  # the client left, or its body is broken
            return None


class IncomingRequest:
    """One request of the API on its socket."""

    def __init__(self, gateway: Gateway, request: web.BaseRequest, operation: Operation, argument: str) -> None:
        self.operation = operation
        self._gateway = gateway
        self._api = gateway.api
        self._request = request
        self._argument = argument

    async def answer(self) -> SandboxResponse:
        """Let the API answer."""
        answer = respond(self._api, await self._read())
        # Whatever it shows, reads included, has to be true after a kill, too.
        await self._api.store.settle()
        if answer.after is not None:
            await answer.after.wait()
        return answer

    async def answer_later(self) -> None:
        """Read the request now and let the API see it some seconds later, when nobody listens."""
        self._gateway.spawn(self._answer_nobody(await self._read()))

    def too_many(self) -> SandboxResponse:
        """A 429 that asks for a pause of one second."""
        return self._api.budgets.refusal(self.operation.name, 1.0, self._api.now())

    async def _answer_nobody(self, call: SandboxRequest) -> None:
        await self._api.settings.sleep(self._api.settings.accept_late_seconds)
        respond(self._api, call)
        await self._api.store.settle()

    async def _read(self) -> SandboxRequest:
        headers = self._request.headers
        await send_continue(self._request)
        return SandboxRequest(
            operation=self.operation,
            authorization=headers.get("Authorization", ""),
            argument=self._argument,
            query=self._request.query,
            body=await self._request.read(),
            # Not our own address: the client may see us through a forwarded port.
            base_url=f"{self._request.scheme}://{headers.get('Host', 'localhost')}",
        )
