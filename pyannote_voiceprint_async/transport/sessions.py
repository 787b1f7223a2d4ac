"""The aiohttp sessions of one client. The only module that opens sessions."""

from __future__ import annotations

from typing import Any, TypedDict

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pyannote_voiceprint_async.version import __version__

from .deferred_response import DeferredResponse
from .prepared_request import PreparedRequest
from .proxies import proxy_for

__all__ = ["ConnectionSet", "Sessions"]

# Common servers close an idle connection after 5 s. This client closes it first. Otherwise a submission could be
# written into a connection that is about to close, and its outcome would be unknown.
_KEEPALIVE = 4.0
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": aiohttp.ClientRequest.DEFAULT_HEADERS[aiohttp.hdrs.ACCEPT_ENCODING],
    "Content-Type": "application/json",
    "User-Agent": f"pyannote-voiceprint-async/{__version__}",
}
_SESSION_CLASSES: dict[str, Any] = {"request_class": PreparedRequest, "response_class": DeferredResponse}


class _HeaderLimits(TypedDict, total=False):
    """The maximum size of response headers: gateways add long cookies, tokens and policies."""

    max_line_size: int
    max_field_size: int
    max_headers: int


_HEADER_LIMITS: _HeaderLimits = {"max_line_size": 64 * 1024, "max_field_size": 64 * 1024, "max_headers": 1024}


class ConnectionSet:
    """A session for API requests, and the options that each of its requests needs.

    Args:
        session: the session.
        options: keyword arguments of `session.request`.
    """

    def __init__(self, session: aiohttp.ClientSession, **options: Any) -> None:
        self.session = session
        self.options = options
        self.is_traced = type(session) is not aiohttp.ClientSession or bool(session.trace_configs)
        """Whether code of the program runs after a response and may fail."""
        self.users = 0
        """The number of requests in flight that use it."""
        self.is_discarded = False


class Sessions:
    """The session for API requests, and a session without the API key for uploads. Each is opened on first use.

    Args:
        key: the API key.
        base_url: the base URL of the API.
        proxy: the URL of an HTTP proxy; None uses the proxy of the environment.
        connect_timeout: seconds.
        session: the user's own session for API requests, or None.
    """

    def __init__(
        self,
        *,
        key: str,
        base_url: URL,
        proxy: str | None,
        connect_timeout: float,
        session: aiohttp.ClientSession | None,
    ) -> None:
        self._base_url = base_url
        self._proxy = proxy
        self._authorization = CIMultiDict({"Authorization": "Bearer " + key})
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout)
        self._user_session = session
        self._api: ConnectionSet | None = None
        self._upload: aiohttp.ClientSession | None = None
        self._own: list[aiohttp.ClientSession] = []

    @property
    def has_open(self) -> bool:
        """Whether this client opened a session that it must close."""
        return bool(self._own)

    @property
    def is_user_session_closed(self) -> bool:
        """Whether the user has closed their own session."""
        return self._user_session is not None and self._user_session.closed

    def for_api(self) -> ConnectionSet:
        """Return the connections for API requests.

        Raises:
            ProxyError: the environment names an unusable proxy. The constructor of a client must not raise this.
        """
        if self._api is None:
            self._api = self._open_api(proxy_for(self._base_url, self._proxy))
        return self._api

    def for_uploads(self) -> aiohttp.ClientSession:
        """Return the session for uploads."""
        if self._upload is None:
            self._upload = self._open()
        return self._upload

    async def discard_api(self) -> None:
        """Open new connections for the next API request; the current ones close when no request uses them."""
        connections, self._api = self._api, None
        if connections is not None:
            connections.is_discarded = True
            await self.close_if_unused(connections)

    async def close_if_unused(self, connections: ConnectionSet) -> None:
        """Close discarded connections when the last request has finished. The user's session stays open."""
        session = connections.session
        if not connections.users and session in self._own:
            self._own.remove(session)
            await session.close()

    async def close(self) -> None:
        """Close the sessions that this client opened. The user's session stays open."""
        while self._own:
            await self._own.pop().close()

    def _open_api(self, proxy: str | None) -> ConnectionSet:
        if self._user_session is not None:
            return ConnectionSet(
                self._user_session,
                headers=CIMultiDict(_HEADERS | dict(self._authorization)),
                proxy=proxy,
                timeout=self._timeout,
                auto_decompress=True,
                raise_for_status=False,
                **_HEADER_LIMITS,
            )
        if proxy is not None:
            # aiohttp sends the headers of a session to the proxy too, so the key must not be one of them.
            return ConnectionSet(
                self._open(headers=_HEADERS, **_SESSION_CLASSES), headers=self._authorization, proxy=proxy
            )
        return ConnectionSet(self._open(headers=_HEADERS | dict(self._authorization), **_SESSION_CLASSES))

    def _open(self, **options: Any) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            # The rate limiter's slots limit the number of connections, in the order of its wait queue.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            **_HEADER_LIMITS,
            **options,
        )
        self._own.append(session)
        return session
