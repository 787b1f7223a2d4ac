"""Make one HTTP request and read its response.

aiohttp's exceptions hold the headers and the URL of the request. This module translates them, and raises this
package's errors outside of any `except`, so that no traceback shows the key.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from http import HTTPStatus

import aiohttp
from yarl import URL

from pyannote_voiceprint_async.api import responses
from pyannote_voiceprint_async.api.outcomes import RequestOutcome
from pyannote_voiceprint_async.api.responses import ApiResponse, BodyFlaw
from pyannote_voiceprint_async.concurrency.clock import Clock
from pyannote_voiceprint_async.errors import (
    ClientClosedError,
    ConfigurationError,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.secret import Secret
from pyannote_voiceprint_async.settings import Timeouts

from .deferred_response import DeferredResponse
from .exceptions import NEVER_CONNECTED, DisconnectedError, translate
from .payloads import JsonPayload, UploadPayload
from .proxies import proxy_for, proxy_source
from .request import ApiRequest
from .request_timeouts import RequestTimeouts
from .sessions import ConnectionSet, Sessions

__all__ = ["HttpClient"]

log = logging.getLogger("pyannote_voiceprint_async")

_MAX_STORAGE_RESPONSE = 64 * 1024
# Bytes of a response that is too long.
_MAX_KEPT = 2 * 1024 * 1024


class HttpClient:
    """Makes requests to the API, and uploads to its storage.

    Args:
        key: the API key.
        base_url: the base URL of the API.
        timeouts: the timeouts of one request.
        proxy: the URL of an HTTP proxy; None uses the proxy of the environment.
        session: the user's own session for the API, or None.
        clock: the client's clock.
    """

    def __init__(  # noqa: PLR0913 - constructed in one place, by keyword
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
        """The number of API requests so far."""
        self.closed: ClientClosedError | None = None
        """The error of every request after the client was closed."""
        self._base_url = URL(base_url)
        self._timeouts = timeouts
        self._proxy = proxy
        self._clock = clock
        self._request_timeouts = RequestTimeouts(timeouts)
        self._sessions = Sessions(
            key=key,
            base_url=self._base_url,
            proxy=proxy,
            connect_timeout=min(timeouts.connect, timeouts.total),
            session=session,
        )

    @property
    def has_open_sessions(self) -> bool:
        """Whether this client opened a session that it must close."""
        return self._sessions.has_open

    async def discard_connections(self) -> None:
        """Stop using the current connections, after one of them returned a response that cannot be understood."""
        await self._sessions.discard_api()

    async def aclose(self) -> None:
        """Close all connections of this client. The user's own session stays open."""
        await self._sessions.close()
        self._request_timeouts.close()

    async def request(self, request: ApiRequest) -> ApiResponse:
        """Make one API request, and read its response up to the operation's maximum size.

        If aiohttp or the program's own code (a trace hook) raises during a request, a response that was received
        before is returned nevertheless. Otherwise the error depends on whether the request was sent.

        Raises:
            VoiceprintError: there is no response, or it is not HTTP.
        """
        self._check_open()
        self.requests += 1
        connections = self._sessions.for_api()
        connections.users += 1
        self._request_timeouts.start(request)
        response: ApiResponse | None = None
        error: VoiceprintError | None = None
        try:
            if request.body is None:
                await self._send_without_body(request, connections)
            else:
                await self._send(request, connections)
            response = _to_response(request)
        except asyncio.CancelledError as exc:
            # The task of a submission in flight ignores cancellation: other code in the request raised this.
            if not request.may_be_billed:
                raise
            response, error = self._after_failure(exc, request)
            _drop_frames(exc)
        except Exception as exc:  # noqa: BLE001 - the progress of the request decides, not the exception
            response, error = self._after_failure(exc, request)
            _drop_frames(exc)
        finally:
            self._request_timeouts.stop(request)
            request.release()
            connections.users -= 1
            if connections.is_discarded:
                await self._sessions.close_if_unused(connections)
        if response is not None:
            return response
        try:
            raise error or self._translate(DisconnectedError(), request)
        finally:
            del error  # breaks the reference cycle of the error and this frame, which holds the response

    async def put(
        self,
        url: Secret,
        *,
        size: int,
        chunks: Callable[[], AsyncIterator[bytes]],
        on_progress: Callable[[int, int], object] | None = None,
    ) -> ApiResponse:
        """Upload a stream of known length to a presigned URL, without the API key.

        Args:
            url: the presigned URL.
            size: the number of bytes.
            chunks: returns the stream from its beginning.
            on_progress: called with the bytes sent and `size`.

        Raises:
            ApiConnectionError: the storage cannot be reached, does not respond, or accepts no byte for too long.
            UnexpectedResponseError: the URL is invalid, or the storage responds before it has the whole stream.
            Exception: exceptions of `chunks` and `on_progress` are raised unchanged.
        """
        self._check_open()
        body = UploadPayload(chunks, size, self._timeouts.upload_stall, on_progress)
        target = _UploadTarget.parse(url)
        response: ApiResponse | None = None
        error: Exception | None = None

        async def receive(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            nonlocal response
            # Trace hooks see the URL of the call below, which has no signature.
            request.url = target.url
            try:
                with _no_aiohttp_retry():
                    received = await handler(request)
            except aiohttp.ConnectionTimeoutError:
                raise aiohttp.ConnectionTimeoutError from None  # the text of the first one has the whole URL
            content = await received.content.read(_MAX_STORAGE_RESPONSE)
            response = ApiResponse(received.status, received.headers, [content])
            return received

        self._request_timeouts.start(body)
        try:
            async with self._sessions.for_uploads().put(
                target.url.with_query(None),
                data=body,
                # The signature of the URL may cover the content type; the official SDK sends none.
                skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
                proxy=proxy_for(target.url, self._proxy),
                allow_redirects=False,
                middlewares=(receive,),
            ):
                pass
        except Exception as exc:  # noqa: BLE001 - translated, except for an error of the caller's own code
            error = body.error or self._translate_upload(exc, body, target)
            if exc is not body.error:
                _drop_frames(exc)
        finally:
            self._request_timeouts.stop(body)
        try:
            if body.error is not None or response is None:
                raise error or self._translate_upload(DisconnectedError(), body, target)
        finally:
            body.error = error = None  # breaks the reference cycle of the error and this frame
        if response.status < HTTPStatus.MULTIPLE_CHOICES and not body.complete:
            raise UnexpectedResponseError(
                "The storage responded before it had received the whole audio. Nothing was submitted; try again.",
                retryable=True,
            )
        return response

    def _check_open(self) -> None:
        if self.closed is not None:
            raise copy.copy(self.closed)
        if self._sessions.is_user_session_closed:
            raise ConfigurationError(
                "The aiohttp session that was passed to this client is closed. Nothing was sent. Keep the session open "
                "until the client is closed."
            )

    async def _send_without_body(self, request: ApiRequest, connections: ConnectionSet) -> None:
        # Without a payload, nothing reports when the first byte is sent. Assume that it is sent now.
        request.mark_sent(self._clock.time())
        async with asyncio.timeout(None) as request.scope:
            await self._send(request, connections)

    async def _send(self, request: ApiRequest, connections: ConnectionSet) -> None:
        while True:
            standstill = self._request_timeouts.standstill()
            try:
                response = await connections.session.request(
                    request.endpoint.method,
                    request.url,
                    data=None if request.body is None else JsonPayload(request.body, request, self._clock.time),
                    allow_redirects=False,
                    # Replaces the middlewares of a user's session, which could send a submission twice. `_receive`
                    # costs time, and is needed only where trace hooks run after the response or aiohttp would retry.
                    middlewares=(partial(self._receive, request),)
                    if request.body is None or connections.is_traced
                    else (),
                    **connections.options,
                )
            except aiohttp.ConnectionTimeoutError:
                # aiohttp's timeout counts the time in which the process was suspended. Nothing was sent: try again.
                if request.response is None and self._request_timeouts.was_suspended(standstill):
                    continue
                raise
            if request.response is None:
                await self._read(request, response)
            return

    async def _receive(
        self, request: ApiRequest, sent: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Read the response before a trace hook sees it: a hook that fails must not lose a job id."""
        with nullcontext() if request.body is not None else _no_aiohttp_retry():
            response = await handler(sent)
            await self._read(request, response)
        return response

    async def _read(self, request: ApiRequest, response: aiohttp.ClientResponse) -> None:
        """Read a response in chunks up to its maximum size, which counts decompressed bytes."""
        if isinstance(response, DeferredResponse):
            await response.receive()
        if not request.is_sent:
            # The response arrived before the first byte of this request was sent: it belongs to another request.
            request.withdraw()
            response.close()
            raise DisconnectedError
        request.response = response
        content, left = response.content, request.endpoint.max_response_bytes
        while not content.at_eof():
            chunk = await content.readany()
            request.chunks.append(chunk)
            left -= len(chunk)
            if left < 0:
                return
            request.last_received_at = self._request_timeouts.now
        request.is_complete = True

    def _after_failure(
        self, exc: BaseException, request: ApiRequest
    ) -> tuple[ApiResponse | None, VoiceprintError | None]:
        """Return the response if one was received before the failure, else the error."""
        if request.response is None:
            rescued = None if request.endpoint.repeatable else responses.rescue_response(request.recorded)
            if rescued is not None:
                return rescued, None
            cause = TimeoutError() if request.overdue else exc
            if request.body is None and isinstance(cause, NEVER_CONNECTED):
                request.sent_at = None  # undo the assumption of `_send_without_body`
            return None, self._translate(cause, request)
        if request.is_complete:
            log.warning(
                "%s was raised after the response to %s had arrived. The response is used.", _name(exc), request
            )
            return _to_response(request), None
        stalled = request.overdue or isinstance(exc, TimeoutError)
        return _to_response(request, BodyFlaw.STALLED if stalled else BodyFlaw.BROKE_OFF), None

    def _translate(self, exc: BaseException, request: ApiRequest) -> VoiceprintError:
        # A submission that may have been accepted keeps its unknown outcome, even when the client was closed.
        never_sent = None if request.may_be_billed else request.unsent_error or self.closed
        return never_sent or translate(
            exc,
            name=str(request),
            host=self._base_url.host_port_subcomponent,
            outcome=RequestOutcome.UNKNOWN if request.is_sent else RequestOutcome.NEVER_SENT,
            repeatable=request.endpoint.repeatable,
            proxy=proxy_source(self._base_url, self._proxy),
        )

    def _translate_upload(self, exc: Exception, body: UploadPayload, target: _UploadTarget) -> VoiceprintError:
        exc = TimeoutError() if body.stalled or body.overdue else exc
        return self.closed or translate(
            exc,
            name="The upload",
            host=target.url.host_port_subcomponent,
            outcome=RequestOutcome.UNKNOWN,
            repeatable=True,
            proxy=proxy_source(target.url, self._proxy),
        )


class _UploadTarget:
    """The parsed presigned URL. Its `repr` hides the URL in tracebacks that show local variables."""

    def __init__(self, url: URL) -> None:
        self.url = url

    @classmethod
    def parse(cls, url: Secret) -> _UploadTarget:
        """Parse a presigned URL.

        Raises:
            UnexpectedResponseError: it is not a URL for HTTP.
        """
        try:
            target = cls(URL(url[:], encoded=True))
            if target.url.scheme in {"http", "https"} and target.url.host and target.url.port:
                return target
        except ValueError:
            pass  # raised below, so that the context of the error does not show the URL
        raise UnexpectedResponseError(
            "The API returned no valid URL for the upload. Nothing was submitted; try again.", retryable=True
        )


@contextmanager
def _no_aiohttp_retry() -> Iterator[None]:
    """Send once: aiohttp itself repeats a GET or PUT on a closed connection, which no rate limit or retry counts."""
    try:
        yield
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise DisconnectedError from None


def _drop_frames(exc: BaseException) -> None:
    """Drop the frames of an exception that aiohttp keeps with its connection: they hold the response."""
    seen: list[BaseException] = []
    current: BaseException | None = exc
    while current is not None and current not in seen:
        current.__traceback__ = None
        seen.append(current)
        current = current.__cause__ or current.__context__


def _name(exc: BaseException) -> str:
    return type(exc).__name__


def _to_response(request: ApiRequest, flaw: BodyFlaw | None = None) -> ApiResponse | None:
    response = request.response
    if response is None:
        return None
    if flaw is None and not request.is_complete:
        flaw = BodyFlaw.TOO_LONG
    chunks = _beginning(request.chunks) if flaw is BodyFlaw.TOO_LONG else request.chunks
    return ApiResponse(response.status, response.headers, chunks, flaw)


def _beginning(chunks: Sequence[bytes]) -> Sequence[bytes]:
    """Return the chunks of the first megabytes: they may hold a job id, or the reason of a refusal."""
    sizes = itertools.accumulate(map(len, chunks))
    return chunks[: 1 + sum(size < _MAX_KEPT for size in sizes)]
