"""One exchange: one request, one answer. The only place that speaks HTTP.

aiohttp's exceptions hold the request's headers and its URL. They end here, and errors of our tree are raised
outside of any `except`, so that no traceback shows the key.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cached_property
from http import HTTPStatus

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from .answers import Answer, Fate, Flaw
from .bodies import JsonBody, UploadBody
from .call import Call
from .clock import Clock
from .errors import ClientClosedError, UnexpectedResponseError
from .proxies import proxy_for, proxy_source
from .settings import Timeouts
from .translate import NEVER_CONNECTED, TRANSLATED, DisconnectedError, translate
from .version import __version__
from .watchdog import Watchdog

__all__ = ["Wire"]

# Common servers close an idle connection after 5 s. Ours goes first, so that a submission is rarely written
# into a connection that is about to close: nobody could say then whether it was read.
_KEEPALIVE = 4.0
_USER_AGENT = f"pyannote-voiceprint-async/{__version__}"
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": _USER_AGENT}
_LONGEST_STORAGE_ANSWER = 64 * 1024


class Wire:
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
        self._authorization = CIMultiDict({"Authorization": f"Bearer {key}"})
        self._watchdog = Watchdog(timeouts)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeouts.connect)
        self._upload_timeout = aiohttp.ClientTimeout(
            total=None, connect=timeouts.connect, sock_read=timeouts.upload_stall
        )
        self._foreign_session = session
        self._connections: Connections | None = None
        self._bare_session: aiohttp.ClientSession | None = None
        self._own_sessions: list[aiohttp.ClientSession] = []

    @cached_property
    def _api_proxy(self) -> str | None:
        # Found with the first request: a setting that cannot be used must not fail where a client is made.
        return proxy_for(self._base_url, self._proxy)

    @property
    def opened(self) -> bool:
        """Whether there is a session of our own that must be closed."""
        return bool(self._own_sessions)

    async def distrust(self) -> None:
        """Use no connection again over which an answer came that cannot be understood."""
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.distrusted = True
            await self._close_unused(connections)

    async def aclose(self) -> None:
        """Close our own connections; a session of the user's stays as it is."""
        while self._own_sessions:
            await self._own_sessions.pop().close()
        self._watchdog.close()

    async def exchange(self, call: Call) -> Answer:
        """Make one request of the API, and read its answer up to the operation's bound.

        Raises:
            VoiceprintError: no answer came, or it was no HTTP.
        """
        self._begin(call)
        pieces: list[bytes] = []
        trouble: Exception | None = None
        response, flaw = None, None
        connections = self._api_connections()
        connections.users += 1
        self._watchdog.watch(call)
        try:
            response = await self._request(call, connections)
            if call.has_begun:
                flaw = await _read_into(pieces, response, call)
            else:
                # It was there before the first byte of this request left: it is somebody else's.
                call.withdrawn = True
                response.close()
                response = None
        except asyncio.CancelledError:
            # A cancellation of the caller's goes first, and is never turned into a timeout.
            if call.is_canceled or not call.overdue:
                raise
            trouble = TimeoutError()
        except TRANSLATED as exc:
            trouble = exc
        finally:
            # A connection whose answer was read to its end has been given back already; this closes the others.
            if response is not None and response.connection is not None:
                response.close()
            self._watchdog.unwatch(call)
            connections.users -= 1
            if connections.distrusted:
                await self._close_unused(connections)
        if response is None:
            raise self._problem(trouble or DisconnectedError(), call)
        if trouble is not None:
            flaw = Flaw.STALLED if isinstance(trouble, TimeoutError) else Flaw.BROKE_OFF
        return Answer(response.status, response.headers, b"".join(pieces), flaw)

    async def put(
        self,
        url: str,
        *,
        size: int,
        chunks: Callable[[], AsyncIterator[bytes]],
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Answer:
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
        if self.closed is not None:
            raise copy.copy(self.closed)
        body = UploadBody(chunks, size, self._timeouts.upload_stall, on_progress)
        target = _presigned(url)
        answer: Answer | None = None
        try:
            async with self._upload_session().put(
                target,
                data=body,
                # The signature of the URL may cover the type; the official SDK sends none.
                skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
                timeout=self._upload_timeout,
                proxy=self._proxy_for(target),
                allow_redirects=False,
                auto_decompress=True,
                middlewares=(_send_once,),
            ) as response:
                text = await response.content.read(_LONGEST_STORAGE_ANSWER)
                answer = Answer(response.status, response.headers, text)
        except TRANSLATED as exc:
            problem = self._upload_problem(exc, body, target)
        except Exception as exc:
            if body.error is None:
                raise
            problem = exc
        if body.error is not None:
            raise body.error
        if answer is None:
            raise problem
        if answer.status < HTTPStatus.MULTIPLE_CHOICES and not body.complete:
            raise UnexpectedResponseError("The storage answered before it had all of the audio.", retryable=True)
        return answer

    def _begin(self, call: Call) -> None:
        if self.closed is not None:
            raise copy.copy(self.closed)
        self.requests += 1
        call.withdrawn = False
        if call.body is None:
            # One with a body says by itself when it begins.
            call.begin(self._clock.time())

    def _request(self, call: Call, connections: Connections) -> Awaitable[aiohttp.ClientResponse]:
        return connections.session.request(
            call.endpoint.method,
            call.url,
            data=None if call.body is None else JsonBody(call.body, call, self._clock.time),
            headers=connections.headers,
            timeout=self._timeout,
            proxy=self._api_proxy,
            allow_redirects=False,
            auto_decompress=True,
            raise_for_status=False,
            # Instead of those of a foreign session, which could send a submission twice.
            middlewares=() if call.body is not None else (_send_once,),
        )

    def _problem(self, exc: Exception, call: Call) -> Exception:
        if call.body is None and isinstance(exc, NEVER_CONNECTED):
            call.began_at = None
        # A bill that may have been accepted stays an unknown outcome, whoever closed the connection.
        closed = None if call.has_begun and not call.endpoint.repeatable else self.closed
        return closed or translate(
            exc,
            name=str(call),
            host=self._base_url.host,
            fate=Fate.UNKNOWN if call.has_begun else Fate.NEVER_SENT,
            repeatable=call.endpoint.repeatable,
            proxy=proxy_source(self._base_url, self._proxy),
        )

    def _upload_problem(self, exc: Exception, body: UploadBody, target: URL) -> Exception:
        exc = TimeoutError() if body.stalled else exc
        return self.closed or translate(
            exc,
            name="The upload",
            host=target.host,
            fate=Fate.UNKNOWN,
            repeatable=True,
            proxy=proxy_source(target, self._proxy),
        )

    def _api_connections(self) -> Connections:
        if self._connections is None:
            if self._foreign_session is not None:
                self._connections = Connections(
                    self._foreign_session, CIMultiDict(_HEADERS | dict(self._authorization))
                )
            else:
                # The key is no header of the session: aiohttp sends those to proxies too.
                self._connections = Connections(self._new_session(_HEADERS), self._authorization)
        return self._connections

    async def _close_unused(self, connections: Connections) -> None:
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
        )
        self._own_sessions.append(session)
        return session

    def _proxy_for(self, url: URL) -> str | None:
        return proxy_for(url, self._proxy)


class Connections:
    """A session, how many exchanges use it, and the headers that it does not send by itself."""

    def __init__(self, session: aiohttp.ClientSession, headers: Mapping[str, str]) -> None:
        self.session = session
        self.headers = headers
        self.users = 0
        self.distrusted = False


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Leave a dead connection to our ladder: aiohttp would send a GET or PUT again, unseen by throttle and retry."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise DisconnectedError from None


def _presigned(url: str) -> URL:
    try:
        target = URL(url, encoded=True)
        if target.scheme in {"http", "https"} and target.host and target.port:
            return target
    except ValueError:
        pass
    raise UnexpectedResponseError(
        "The API gave no URL to which audio can be uploaded. Nothing was submitted.", retryable=True
    )


async def _read_into(pieces: list[bytes], response: aiohttp.ClientResponse, call: Call) -> Flaw | None:
    """Read an answer piece by piece, so that neither its length nor its compression decides what it costs."""
    content, left = response.content, call.endpoint.longest_answer
    while not content.at_eof():
        pieces.append(await content.readany())
        left -= len(pieces[-1])
        if left < 0:
            return Flaw.TOO_LONG
        call.moved_at = time.monotonic()
    return None
