"""The sandbox as a server: sockets, paths, start and end."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Self

from aiohttp import web

from pyannote_voiceprint_async.sandbox.api_state import ApiState
from pyannote_voiceprint_async.sandbox.clock import DateHeader
from pyannote_voiceprint_async.sandbox.faults import FaultPlan
from pyannote_voiceprint_async.sandbox.gateway import Gateway
from pyannote_voiceprint_async.sandbox.introspection import INTROSPECTION_PATHS, JOBS, STATE, send_jobs
from pyannote_voiceprint_async.sandbox.jobs import Job
from pyannote_voiceprint_async.sandbox.media import PREFIX
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS, find_operation
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error, json_response
from pyannote_voiceprint_async.sandbox.settings import Settings, takes_keywords_of
from pyannote_voiceprint_async.sandbox.state import RequestCounters, SandboxState
from pyannote_voiceprint_async.sandbox.uploads import handle_upload
from pyannote_voiceprint_async.sandbox.webhook_sender import Delivery

# Benchmarks open thousands of connections at once; the kernel caps this at its own maximum.
_BACKLOG = 4096

# What is left by then is a client that has its answer and still sends.
_SHUTDOWN_SECONDS = 0.1


class Sandbox:
    """The pyannoteAI API on this machine, for as long as an `async with` lasts.

    Takes the fields of `Settings` as keywords. Nothing is shared between two sandboxes, and nothing outlives
    one but its `store`: connections are cut and what was still under way is dropped when the block ends.
    """

    @takes_keywords_of(Settings)
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._api = ApiState(settings)
        self._faults = FaultPlan(settings.faults, settings.seed)
        self._counters = RequestCounters(OPERATIONS)
        self._gateway = Gateway(self._api, self._faults, self._counters, self._spawn)
        self._date = DateHeader(settings.now)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.ServerRunner | None = None
        self._url = ""

    def __repr__(self) -> str:
        where, in_flight = self._url or "not listening", self.state.total.in_flight
        return f"<Sandbox {where}, {len(self.accepted)} jobs, {in_flight} in flight>"

    @property
    def url(self) -> str:
        """Where the sandbox listens, without a slash at the end."""
        if not self._url:
            raise RuntimeError("The sandbox listens only inside `async with Sandbox() as sandbox:`.")
        return self._url

    @property
    def api_key(self) -> str:
        """The one key that is accepted."""
        return self.settings.api_key

    @property
    def webhook_secret(self) -> str:
        """What webhooks are signed with."""
        return self.settings.webhook_secret

    @property
    def accepted(self) -> Sequence[Job]:
        """Every accepted job, oldest first: what was billed."""
        return self._api.jobs.accepted

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """Every try to deliver a webhook, in the order in which they were over."""
        return self._api.webhooks.deliveries

    @property
    def state(self) -> SandboxState:
        """What was seen so far."""
        return self._counters.snapshot(len(self.accepted), self._api.webhooks.tally())

    def fail_next(self, faults: str | Iterable[str], *, operation: str | None = None) -> None:
        """Let the next requests meet these faults, one each; a `rate-limited` of this kind has no burst.

        Args:
            faults: A name of `FAULTS`, or several for as many requests.
            operation: `test`, `media`, `voiceprint`, `job` or `jobs`; `None` is any that the fault fits.

        Raises:
            ValueError: For an unknown name, or a fault that this operation cannot meet.
        """
        self._faults.script([faults] if isinstance(faults, str) else faults, operation)

    def fail_next_webhook(self, faults: str | Iterable[str]) -> None:
        """Let the webhooks of the next jobs that are accepted with one meet these faults, one each.

        Args:
            faults: A name of `WEBHOOK_FAULTS`, or several for as many jobs.

        Raises:
            ValueError: For an unknown name.
        """
        self._api.webhooks.script([faults] if isinstance(faults, str) else faults)

    async def __aenter__(self) -> Self:
        server = web.Server(self._handle, access_log=None)
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
        """Cut everything off. What was counted and accepted stays readable."""
        runner, self._runner, self._url = self._runner, None, ""
        if runner is None or runner.server is None:
            return
        # No new connection, then no new request, and only then the end of those under way: a request that
        # slipped in between would be cancelled by aiohttp, which does not wait for it.
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
        assert task is not None  # noqa: S101  aiohttp gives every request a task of its own
        self._tasks.add(task)
        try:
            return await self._respond(request)
        finally:
            self._tasks.discard(task)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if (request.method, request.path) == ("GET", JOBS):
            return await send_jobs(request, self.accepted, self.settings.now())
        answer = await self._answer(request)
        if answer is not None:
            # Not aiohttp's own, which is of this machine's clock: clients measure the server's time by it.
            headers = {**answer.headers, "Date": str(self._date)}
            return web.Response(status=answer.status, body=answer.body, headers=headers)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()  # aiohttp wants one; there is no connection left that could carry it

    async def _answer(self, request: web.BaseRequest) -> SandboxResponse | None:
        operation, argument = find_operation(request.path)
        if operation is not None and request.method == operation.method:
            return await self._gateway.answer(request, operation, argument)
        if operation is not None:
            return _not_allowed(request, operation.method)
        if request.path.startswith(PREFIX):
            with self._counters.upload():
                return await handle_upload(self._api, request)
        if request.path in INTROSPECTION_PATHS and request.method != "GET":
            return _not_allowed(request, "GET")
        if request.path == STATE:
            return json_response(200, self.state.to_dict())
        return error(404, f"Cannot {request.method} {request.path}")


def _not_allowed(request: web.BaseRequest, allowed: str) -> SandboxResponse:
    return error(405, f"{request.method} is not allowed here", {"Allow": allowed})


def _to_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
