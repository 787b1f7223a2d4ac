"""The HTTP server of the sandbox: its start and stop, and the routing of requests."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self

from aiohttp import web

from pyannote_voiceprint_async.sandbox.clock import DateHeader
from pyannote_voiceprint_async.sandbox.controls import SandboxControls
from pyannote_voiceprint_async.sandbox.gateway import Gateway
from pyannote_voiceprint_async.sandbox.incoming_request import IncomingRequest
from pyannote_voiceprint_async.sandbox.introspection import INTROSPECTION_PATHS, JOBS_PATH, STATE_PATH, send_jobs
from pyannote_voiceprint_async.sandbox.keywords import accept_keywords_of
from pyannote_voiceprint_async.sandbox.media import PREFIX, url_of
from pyannote_voiceprint_async.sandbox.operations import find_operation
from pyannote_voiceprint_async.sandbox.request_log import ReceivedRequest, RequestNotes
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error, json_response
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.uploads import handle_upload

# Benchmarks open thousands of connections at once. The kernel reduces this to its own maximum.
_BACKLOG = 4096

# 50 voiceprints of 20,000 characters, each written as two escapes of JSON, need 12 million bytes.
_LARGEST_BODY = 16 * 1024**2

# aiohttp waits this long for the remaining connections, whose clients have their response and still send.
_SHUTDOWN_SECONDS = 0.1


class Sandbox(SandboxControls):
    """The pyannoteAI API on this machine while an `async with` block runs.

    It recognizes no voice: voiceprints and labels are made up, or come from a simple comparison of sounds. Two
    sandboxes share nothing. At the end of the block, connections are cut and pending work is dropped. Only the file of
    `store` remains. All keywords of the constructor are optional; `help(Sandbox.__init__)` describes them.
    """

    @accept_keywords_of(Settings)
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._gateway = Gateway(self._api, self._faults, self._counters)
        self._date = DateHeader(settings.now)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.ServerRunner | None = None
        self._url = ""

    def __repr__(self) -> str:
        if not hasattr(self, "_url"):
            return "<Sandbox, not constructed>"
        where, in_flight = self._url or "not listening", self.state.total.in_flight
        return f"<Sandbox {where}, {len(self.accepted)} jobs, {in_flight} in flight>"

    @property
    def url(self) -> str:
        """URL of the sandbox, without a trailing slash."""
        if not self._url:
            raise RuntimeError("The sandbox listens only inside `async with Sandbox() as sandbox:`.")
        return self._url

    async def __aenter__(self) -> Self:
        server = web.Server(self._handle, request_factory=_make_request, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        try:
            await self._api.start()
            await web.TCPSite(self._runner, self.settings.host, self.settings.port, backlog=_BACKLOG).start()
        except BaseException:
            await self._stop()
            raise
        self._url = _to_url(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        """Cut all connections and cancel all tasks. Counts and accepted jobs stay readable."""
        runner, self._runner, self._url = self._runner, None, ""
        if runner is None or runner.server is None:
            return
        # First refuse new connections, then new requests, and only then cancel the requests in flight: a request that
        # arrived in between would be canceled by aiohttp, which does not wait for its end.
        for site in runner.sites:
            await site.stop()
        runner.server.pre_shutdown()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._api.webhooks.close()
        await runner.cleanup()
        await self._api.store.close()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  aiohttp runs every request in a task
        self._tasks.add(task)
        try:
            return await self._respond(request)
        finally:
            self._tasks.discard(task)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if (request.method, request.path) == ("GET", JOBS_PATH):
            return await send_jobs(request, self.accepted, self.settings.now())
        notes = RequestNotes()
        response = await self._route(request, notes)
        if not request.path.startswith("/_sandbox"):
            self._log.add(_to_received(request, notes, None if response is None else response.status))
        if response is not None:
            # aiohttp's own `Date` is of the machine's clock, but clients compute the sandbox's time from it.
            headers = {**response.headers, "Date": str(self._date)}
            return web.Response(status=response.status, body=response.body, headers=headers)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()  # aiohttp requires a response, although the connection is cut

    async def _route(self, request: web.BaseRequest, notes: RequestNotes) -> SandboxResponse | None:
        operation, argument = find_operation(request.path)
        if operation is not None and request.method == operation.method:
            notes.operation = operation.name
            incoming = IncomingRequest(self._api, request, operation, argument, self._spawn, notes)
            return await self._gateway.respond(incoming)
        if operation is not None:
            return _not_allowed(request, operation.method)
        if request.path.startswith(PREFIX):
            notes.operation = "upload"
            with self._counters.upload():
                return await handle_upload(self._api, request)
        if request.path in INTROSPECTION_PATHS and request.method != "GET":
            return _not_allowed(request, "GET")
        if request.path == STATE_PATH:
            return json_response(200, self.state.to_dict())
        return error(404, f"Cannot {request.method} {request.path}")


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_LARGEST_BODY)


def _to_received(request: web.BaseRequest, notes: RequestNotes, status: int | None) -> ReceivedRequest:
    is_upload = notes.operation == "upload"
    headers = {name.lower(): value for name, value in request.headers.items() if name.lower() != "authorization"}
    return ReceivedRequest(
        method=request.method,
        path=request.path,
        operation=notes.operation,
        status=status,
        fault=notes.fault,
        job_id=notes.job_id,
        media_url=url_of(request.path) if is_upload else None,
        # The query of an upload is its signature.
        query={} if is_upload else dict(request.query),
        headers=headers,
        body=notes.body,
    )


def _not_allowed(request: web.BaseRequest, allowed: str) -> SandboxResponse:
    return error(405, f"{request.method} is not allowed here", {"Allow": allowed})


def _to_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
