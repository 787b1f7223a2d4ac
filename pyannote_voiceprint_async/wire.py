"""One exchange: one request, one answer. The only place that speaks HTTP.

aiohttp's exceptions hold the request's headers and its URL. They end here, and errors of our tree are raised
outside of any `except`, so that no traceback shows the key.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from .answers import Answer, Fate, Flaw
from .bodies import JsonBody, UploadBody
from .call import Call
from .clock import Clock
from .errors import ClientClosedError
from .settings import Timeouts
from .translate import NEVER_CONNECTED, TRANSLATED, translate
from .version import __version__
from .watchdog import Watchdog

__all__ = ["Wire"]

# Common servers close an idle connection after 5 s. Ours goes first, so that a submission is rarely written
# into a connection that is about to close: nobody could say then whether it was read.
_KEEPALIVE = 4.0
_USER_AGENT = f"pyannote-voiceprint-async/{__version__}"
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
        self._api_proxy = self._proxy_for(self._base_url)
        self._clock = clock
        self._headers = CIMultiDict(
            {"Authorization": f"Bearer {key}", "Accept": "application/json", "User-Agent": _USER_AGENT}
        )
        self._watchdog = Watchdog(timeouts)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeouts.connect)
        self._upload_timeout = aiohttp.ClientTimeout(
            total=None, connect=timeouts.connect, sock_read=timeouts.upload_stall
        )
        self._session = session
        self._bare_session: aiohttp.ClientSession | None = None
        self._own_sessions: list[aiohttp.ClientSession] = []

    @property
    def opened(self) -> bool:
        """Whether there is a session of our own that must be closed."""
        return bool(self._own_sessions)

    async def aclose(self) -> None:
        """Close our own connections; a session of the user's stays as it is."""
        self._watchdog.close()
        while self._own_sessions:
            await self._own_sessions.pop().close()

    async def exchange(self, call: Call) -> Answer:
        """Make one request of the API, and read its answer up to the operation's bound.

        Raises:
            VoiceprintError: no answer came, or it was no HTTP.
        """
        if self.closed is not None:
            raise copy.copy(self.closed)
        self.requests += 1
        call.began_at = None
        if call.body is None:
            call.begin(self._clock.time())
        pieces: list[bytes] = []
        response, flaw = None, None
        try:
            with self._watchdog.over(call):
                response = await self._request(call)
                flaw = await _read_into(pieces, response, call)
        except TRANSLATED as exc:
            if response is None:
                problem = self._problem(exc, call)
            else:
                flaw = Flaw.STALLED if isinstance(exc, TimeoutError) else Flaw.BROKE_OFF
        finally:
            # A connection whose answer was read to its end has been given back already; this closes the others.
            if response is not None:
                response.close()
        if response is None:
            raise problem
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
            Exception: whatever `chunks` and `on_progress` raise comes as it is.
        """
        body = UploadBody(chunks, size, self._timeouts.upload_stall, on_progress)
        target = URL(url, encoded=True)
        try:
            async with self._upload_session().put(
                target,
                data=body,
                # The signature of the URL may cover the type; the official SDK sends none.
                skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
                timeout=self._upload_timeout,
                proxy=self._proxy_for(target),
                allow_redirects=False,
            ) as response:
                answer = await response.content.read(_LONGEST_STORAGE_ANSWER)
                return Answer(response.status, response.headers, answer)
        except TRANSLATED as exc:
            problem = self._upload_problem(exc, body, target)
        raise problem

    async def _request(self, call: Call) -> aiohttp.ClientResponse:
        return await self._api_session().request(
            call.endpoint.method,
            call.url,
            data=None if call.body is None else JsonBody(call.body, lambda: call.begin(self._clock.time())),
            headers=self._headers,
            timeout=self._timeout,
            proxy=self._api_proxy,
            allow_redirects=False,
            raise_for_status=False,
            # A middleware of a foreign session could send a submission twice.
            middlewares=(),
        )

    def _problem(self, exc: Exception, call: Call) -> Exception:
        if call.body is None and isinstance(exc, NEVER_CONNECTED):
            call.began_at = None
        return self.closed or translate(
            exc,
            name=str(call),
            host=self._base_url.host,
            fate=Fate.NEVER_SENT if call.began_at is None else Fate.UNKNOWN,
            repeatable=call.endpoint.repeatable,
        )

    def _upload_problem(self, exc: Exception, body: UploadBody, target: URL) -> Exception:
        if body.error is not None and not isinstance(body.error, TimeoutError):
            return body.error
        return self.closed or translate(
            body.error or exc, name="The upload", host=target.host, fate=Fate.UNKNOWN, repeatable=True
        )

    def _api_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _upload_session(self) -> aiohttp.ClientSession:
        if self._bare_session is None:
            self._bare_session = self._new_session()
        return self._bare_session

    def _new_session(self) -> aiohttp.ClientSession:
        # No limit of the pool: the throttle's slots bound it, and know who is first in line.
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._own_sessions.append(session)
        return session

    def _proxy_for(self, url: URL) -> str | None:
        """Give the proxy for an URL: the client's, else that of the environment. Never what is in .netrc."""
        if self._proxy is not None:
            return self._proxy
        if url.host is None or proxy_bypass(url.host):
            return None
        return getproxies().get(url.scheme)


async def _read_into(pieces: list[bytes], response: aiohttp.ClientResponse, call: Call) -> Flaw | None:
    """Read an answer piece by piece, so that neither its length nor its compression decides what it costs."""
    content, left = response.content, call.endpoint.longest_answer
    while not content.at_eof():
        pieces.append(await content.readany())
        left -= len(pieces[-1])
        if left < 0:
            return Flaw.TOO_LONG
        call.moved_at = asyncio.get_running_loop().time()
    return None
