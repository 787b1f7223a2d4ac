"""One exchange: one request, one answer. The only place that speaks HTTP.

aiohttp's exceptions hold the request's headers and its URL. They end here, and errors of our tree are raised
outside of any `except`, so that no traceback shows the key.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypedDict

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pyannote_voiceprint_async.api import responses
from pyannote_voiceprint_async.api.responses import ApiResponse, BodyFlaw, RequestOutcome
from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.errors import (
    ClientClosedError,
    ConfigurationError,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.secret import Secret
from pyannote_voiceprint_async.settings import Timeouts
from pyannote_voiceprint_async.version import __version__

from .exceptions import NEVER_CONNECTED, DisconnectedError, translate
from .payloads import JsonPayload, UploadPayload
from .proxies import proxy_for, proxy_source
from .request import ApiRequest
from .request_timeouts import RequestTimeouts

__all__ = ["HttpClient"]

log = logging.getLogger("pyannote_voiceprint_async")

# Common servers close an idle connection after 5 s. Ours goes first, so that a submission is rarely written
# into a connection that is about to close: nobody could say then whether it was read.
_KEEPALIVE = 4.0
_USER_AGENT = f"pyannote-voiceprint-async/{__version__}"
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": _USER_AGENT}
_LONGEST_STORAGE_ANSWER = 64 * 1024


class _HeaderLimits(TypedDict, total=False):
    """How large the head of a response may be: gateways add cookies, tokens and policies of any length."""

    max_line_size: int
    max_field_size: int
    max_headers: int


_HEADER_LIMITS: _HeaderLimits = {"max_line_size": 64 * 1024, "max_field_size": 64 * 1024, "max_headers": 1024}


class HttpClient:
    """Connections to the API and to the storage of uploads.

    Args:
        key: the API key.
        base_url: where the API is.
        timeouts: how long one request may take.
        proxy: an HTTP proxy; None is that of the environment.
        session: the user's own session for the API, or None.
        clock: the client's.
    """

    def __init__(  # noqa: PLR0913 - put together in one place, by keyword
        self,
        *,
        key: str,
        base_url: str,
        timeouts: Timeouts,
        proxy: str | None,
        session: aiohttp.ClientSession | None,
        clock: Clock,
    ) -> None:
        self.requests = 0
        self.closed: ClientClosedError | None = None
        self._base_url = URL(base_url)
        self._timeouts = timeouts
        self._proxy = proxy
        self._clock = clock
        self._authorization = CIMultiDict({"Authorization": "Bearer " + key})
        self._watchdog = RequestTimeouts(timeouts)
        self._connect = min(timeouts.connect, timeouts.total)
        self._connect_timeout = aiohttp.ClientTimeout(total=None, connect=self._connect)
        self._foreign_session = session
        self._connections: ConnectionSet | None = None
        self._bare_session: aiohttp.ClientSession | None = None
        self._own_sessions: list[aiohttp.ClientSession] = []

    @property
    def _api_proxy(self) -> str | None:
        # Found with the first request: a setting that cannot be used must not fail where a client is made.
        return proxy_for(self._base_url, self._proxy)

    @property
    def has_open_sessions(self) -> bool:
        """Whether there is a session of our own that must be closed."""
        return bool(self._own_sessions)

    async def discard_connections(self) -> None:
        """Use no connection again over which an answer came that cannot be understood."""
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.is_discarded = True
            await self._close_unused(connections)

    async def aclose(self) -> None:
        """Close our own connections; a session of the user's stays as it is."""
        while self._own_sessions:
            await self._own_sessions.pop().close()
        self._watchdog.close()

    async def request(self, call: ApiRequest) -> ApiResponse:
        """Make one request of the API, and read its response up to the operation's bound.

        Whatever fails, in aiohttp or in code of the program that runs in a request, is decided by how far the request
        got: a response that was read counts, although something failed afterwards.

        Raises:
            VoiceprintError: there is no response, or it is no HTTP.
        """
        self._check_open()
        self.requests += 1
        connections = self._api_connections()
        connections.users += 1
        self._watchdog.watch(call)
        answer: ApiResponse | None = None
        error: VoiceprintError | None = None
        try:
            await (self._send_without_body(call, connections) if call.body is None else self._send(call, connections))
            answer = _answer(call)
        except asyncio.CancelledError as exc:
            # The task of a submission on the wire is not cancelled: something in the request raised this.
            if not call.may_be_billed:
                raise
            answer, error = self._after_failure(exc, call)
            _drop_frames(exc)
        except Exception as exc:  # noqa: BLE001 - decided by how far the request got
            answer, error = self._after_failure(exc, call)
            _drop_frames(exc)
        finally:
            self._watchdog.unwatch(call)
            call.release()
            connections.users -= 1
            if connections.is_discarded:
                await self._close_unused(connections)
        if answer is not None:
            return answer
        try:
            raise error or self._problem(DisconnectedError(), call)
        finally:
            del error  # else the error and this frame, with the response in it, keep each other alive

    async def put(
        self,
        url: Secret,
        *,
        size: int,
        chunks: Callable[[], AsyncIterator[bytes]],
        on_progress: Callable[[int, int], object] | None = None,
    ) -> ApiResponse:
        """Put a stream of known length to a presigned URL, through a bare session: the key stays here.

        Args:
            url: the presigned URL.
            size: bytes.
            chunks: gives the stream from its beginning, each time it is called.
            on_progress: called with the bytes sent and `size`.

        Raises:
            ApiConnectionError: the storage was not reached, did not answer, or took no byte for too long.
            UnexpectedResponseError: the URL is none, or the storage answered before it had everything.
            Exception: whatever `chunks` and `on_progress` raise comes as it is.
        """
        self._check_open()
        body = UploadPayload(chunks, size, self._timeouts.upload_stall, on_progress)
        target = _presigned(url)
        answer: ApiResponse | None = None
        error: Exception | None = None

        async def receive(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            nonlocal answer
            response = await _send_once(request, handler)
            text = await response.content.read(_LONGEST_STORAGE_ANSWER)
            answer = ApiResponse(response.status, response.headers, text)
            return response

        self._watchdog.watch(body)
        try:
            async with self._upload_session().put(
                target.url,
                data=body,
                # The signature of the URL may cover the type; the official SDK sends none.
                skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
                proxy=self._proxy_for(target.url),
                allow_redirects=False,
                middlewares=(receive,),
            ):
                pass
        except Exception as exc:  # noqa: BLE001 - all of it is translated; what the caller's side raised comes as it is
            error = body.error or self._upload_problem(exc, body, target)
            if exc is not body.error:
                _drop_frames(exc)
        finally:
            self._watchdog.unwatch(body)
        try:
            if body.error is not None or answer is None:
                raise error or self._upload_problem(DisconnectedError(), body, target)
        finally:
            body.error = error = None  # else the error and this frame keep each other alive
        if answer.status < HTTPStatus.MULTIPLE_CHOICES and not body.complete:
            raise UnexpectedResponseError("The storage answered before it had all of the audio.", retryable=True)
        return answer

    def _check_open(self) -> None:
        if self.closed is not None:
            raise copy.copy(self.closed)
        if self._foreign_session is not None and self._foreign_session.closed:
            raise ConfigurationError("The session that the client was made with is closed. Nothing was sent.")

    async def _send_without_body(self, call: ApiRequest, connections: ConnectionSet) -> None:
        # A request without a body cannot note its first byte, and its connection is not known here.
        call.begin(self._clock.time())
        async with asyncio.timeout(None) as call.scope:
            await self._send(call, connections)

    async def _send(self, call: ApiRequest, connections: ConnectionSet) -> None:
        while True:
            since = self._watchdog.moment()
            try:
                response = await connections.session.request(
                    call.endpoint.method,
                    call.url,
                    data=None if call.body is None else JsonPayload(call.body, call, self._clock.time),
                    allow_redirects=False,
                    # Instead of those of a foreign session, which could send a submission twice. One of ours costs
                    # time, and is needed only where hooks run after the response, or aiohttp would repeat.
                    middlewares=(partial(self._receive, call),) if call.body is None or connections.is_hooked else (),
                    **connections.options,
                )
            except aiohttp.ConnectionTimeoutError:
                # aiohttp counts the time in which the process was suspended. Nothing was sent.
                if call.response is None and self._watchdog.was_suspended(since):
                    continue
                raise
            if call.response is None:
                await self._read(call, response)
            return

    async def _receive(
        self, call: ApiRequest, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Read the response before any other code sees it: a trace hook that fails must not lose a job id."""
        response = await (handler(request) if call.body is not None else _send_once(request, handler))
        await self._read(call, response)
        return response

    async def _read(self, call: ApiRequest, response: aiohttp.ClientResponse) -> None:
        """Read a response piece by piece, so that neither its length nor its compression decides what it costs."""
        if not call.is_sent:
            # It was there before the first byte of this request left: it is somebody else's.
            call.withdraw()
            response.close()
            raise DisconnectedError
        call.response = response
        content, left = response.content, call.endpoint.max_response_bytes
        while not content.at_eof():
            piece = await content.readany()
            call.pieces.append(piece)
            left -= len(piece)
            if left < 0:
                return
            call.moved_at = self._watchdog.now
        call.is_whole = True

    def _after_failure(self, exc: BaseException, call: ApiRequest) -> tuple[ApiResponse | None, VoiceprintError | None]:
        """Return the response, if it was received whatever failed then, or the error."""
        if call.response is None:
            answer = None if call.endpoint.repeatable else responses.rescue_response(call.received)
            return answer, None if answer is not None else self._problem(TimeoutError() if call.overdue else exc, call)
        if call.is_whole:
            log.warning("%s was answered, but %s was raised after that. The response counts.", call, type(exc).__name__)
            return _answer(call), None
        stalled = call.overdue or isinstance(exc, TimeoutError)
        return _answer(call, BodyFlaw.STALLED if stalled else BodyFlaw.BROKE_OFF), None

    def _problem(self, exc: BaseException, call: ApiRequest) -> VoiceprintError:
        if call.body is None and isinstance(exc, NEVER_CONNECTED):
            call.sent_at = None
        # A bill that may have been accepted stays an unknown outcome, whoever closed the connection.
        closed = None if call.may_be_billed else self.closed
        return closed or translate(
            exc,
            name=str(call),
            host=self._base_url.host,
            fate=RequestOutcome.UNKNOWN if call.is_sent else RequestOutcome.NEVER_SENT,
            repeatable=call.endpoint.repeatable,
            proxy=proxy_source(self._base_url, self._proxy),
        )

    def _upload_problem(self, exc: Exception, body: UploadPayload, target: _Target) -> VoiceprintError:
        exc = TimeoutError() if body.stalled or body.overdue else exc
        return self.closed or translate(
            exc,
            name="The upload",
            host=target.url.host,
            fate=RequestOutcome.UNKNOWN,
            repeatable=True,
            proxy=proxy_source(target.url, self._proxy),
        )

    def _api_connections(self) -> ConnectionSet:
        if self._connections is None:
            if self._foreign_session is not None:
                self._connections = ConnectionSet(
                    self._foreign_session,
                    headers=CIMultiDict(_HEADERS | dict(self._authorization)),
                    proxy=self._api_proxy,
                    timeout=self._connect_timeout,
                    auto_decompress=True,
                    raise_for_status=False,
                    **_HEADER_LIMITS,
                )
            elif self._api_proxy is not None:
                # The key is no header of the session: aiohttp sends those to proxies too.
                self._connections = ConnectionSet(
                    self._new_session(_HEADERS), headers=self._authorization, proxy=self._api_proxy
                )
            else:
                self._connections = ConnectionSet(self._new_session(_HEADERS | dict(self._authorization)))
        return self._connections

    async def _close_unused(self, connections: ConnectionSet) -> None:
        session = connections.session
        if not connections.users and session in self._own_sessions:
            self._own_sessions.remove(session)
            await session.close()

    def _upload_session(self) -> aiohttp.ClientSession:
        if self._bare_session is None:
            self._bare_session = self._new_session()
        return self._bare_session

    def _new_session(self, headers: Mapping[str, str] | None = None) -> aiohttp.ClientSession:
        # No limit of the pool: the throttle's slots bound it, and know who is first in line.
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            timeout=self._connect_timeout,
            **_HEADER_LIMITS,
        )
        self._own_sessions.append(session)
        return session

    def _proxy_for(self, url: URL) -> str | None:
        return proxy_for(url, self._proxy)


class ConnectionSet:
    """A session, how many exchanges use it, and what each of its requests needs besides the session's own settings."""

    def __init__(self, session: aiohttp.ClientSession, **options: Any) -> None:
        self.session = session
        self.options = options
        self.is_hooked = type(session) is not aiohttp.ClientSession or bool(session.trace_configs)
        self.users = 0
        self.is_discarded = False


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Leave a dead connection to our ladder: aiohttp would send a GET or PUT again, unseen by throttle and retry."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise DisconnectedError from None


class _Target:
    """Where an upload goes. A traceback with local variables shows a `URL`, but not this."""

    def __init__(self, url: Secret) -> None:
        self.url = URL(url[:], encoded=True)


def _drop_frames(exc: BaseException) -> None:
    """Drop the frames of an exception that aiohttp keeps with its connection: they hold the response."""
    chain: list[BaseException] = []
    one: BaseException | None = exc
    while one is not None and one not in chain:
        one.__traceback__ = None
        chain.append(one)
        one = one.__cause__ or one.__context__


def _presigned(url: Secret) -> _Target:
    try:
        target = _Target(url)
        if target.url.scheme in {"http", "https"} and target.url.host and target.url.port:
            return target
    except ValueError:
        pass
    raise UnexpectedResponseError(
        "The API gave no URL to which audio can be uploaded. Nothing was submitted.", retryable=True
    )


def _answer(call: ApiRequest, flaw: BodyFlaw | None = None) -> ApiResponse | None:
    response = call.response
    if response is None:
        return None
    if flaw is None and not call.is_whole:
        flaw = BodyFlaw.TOO_LONG
    return ApiResponse(response.status, response.headers, b"".join(call.pieces), flaw)
