"""A request of the API whose body is still on the socket."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
from aiohttp import web

from pyannote_voiceprint_async.sandbox.api_state import ApiState
from pyannote_voiceprint_async.sandbox.expect_continue import send_continue
from pyannote_voiceprint_async.sandbox.handlers import process
from pyannote_voiceprint_async.sandbox.operations import Operation
from pyannote_voiceprint_async.sandbox.request_log import RequestNotes
from pyannote_voiceprint_async.sandbox.requests import SandboxRequest
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse

# Starts a coroutine that outlives its request. The server cancels it when the sandbox stops.
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class IncomingRequest:
    """A request of which only the headers were read.

    Args:
        api: The state of the API.
        request: The HTTP request.
        operation: The operation that the request's path names.
        argument: The part of the path that matched the star in the operation's path.
        spawn: Starts a coroutine that outlives the request.
        notes: Receives what is learned about the request.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - constructed in one place, the server
        self,
        api: ApiState,
        request: web.BaseRequest,
        operation: Operation,
        argument: str,
        spawn: Spawn,
        notes: RequestNotes,
    ) -> None:
        self.operation = operation
        self.notes = notes
        self._api = api
        self._request = request
        self._argument = argument
        self._spawn = spawn

    async def respond(self) -> SandboxResponse:
        """Return the API's response to the request."""
        response = process(self._api, await self._read())
        self.notes.job_id = response.job_id
        # A response must not show anything, even to a read, that a killed sandbox would forget.
        await self._api.store.flush()
        if response.send_after is not None:
            await response.send_after.wait()
        if response.build_body is not None:
            return attrs.evolve(response, body=await asyncio.to_thread(response.build_body))
        return response

    async def process_later(self) -> None:
        """Read the request now and process it some seconds later, without a response."""
        self._spawn(self._process_late(await self._read()))

    def too_many_requests(self) -> SandboxResponse:
        """Return a 429 that requests a pause of one second."""
        return self._api.rate_limits.too_many_requests(self.operation.name, 1.0, self._api.now())

    async def _process_late(self, request: SandboxRequest) -> None:
        await self._api.settings.sleep(self._api.settings.accept_late_seconds)
        process(self._api, request)
        await self._api.store.flush()

    async def _read(self) -> SandboxRequest:
        headers = self._request.headers
        await send_continue(self._request)
        self.notes.body = await self._request.read()
        return SandboxRequest(
            operation=self.operation,
            authorization=headers.get("Authorization", ""),
            argument=self._argument,
            query=self._request.query,
            body=self.notes.body,
            # Not the sandbox's own address: the client may reach it through a forwarded port.
            base_url=f"{self._request.scheme}://{headers.get('Host', 'localhost')}",
        )
