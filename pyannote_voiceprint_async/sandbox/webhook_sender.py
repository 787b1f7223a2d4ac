"""Delivery of webhooks: one POST to a receiver, and its outcome."""

import io
from collections.abc import Mapping

import aiohttp
import attrs
from yarl import URL

from pyannote_voiceprint_async.sandbox.loopback import is_loopback

_DELIVERED = range(200, 300)

# aiohttp also counts the redirect at which it gives up: three redirects are followed.
_MAX_REDIRECTS = 4

_LARGE_BODY = 1024**2

# Common servers close an idle connection after 5 seconds. A webhook that is sent at that moment would fail.
_KEEPALIVE_SECONDS = 4.0

# The values of `x-retry-reason`. An error has the first reason whose class matches.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "http_timeout"),
    (aiohttp.TooManyRedirects, "too_many_redirects"),
    (aiohttp.ClientSSLError, "ssl_error"),
    (aiohttp.ClientConnectionError, "connection_failed"),
    (aiohttp.ClientResponseError, "http_error"),  # the response was not valid HTTP
)


@attrs.frozen
class Delivery:
    """One attempt to deliver a webhook."""

    job_id: str
    url: str
    attempt: int
    """Number of the attempt, from 1."""
    status: int | None
    """HTTP status of the receiver; `None` without a response."""
    reason: str | None
    """Why the attempt failed, in the words of `x-retry-reason`; `None` for a delivered webhook."""


class InsecureRedirectError(aiohttp.RedirectClientError):
    """A redirect leads to plain HTTP on another machine."""


class WebhookSender:
    """Posts webhooks over HTTPS, or over plain HTTP to this machine.

    Args:
        timeout: Seconds to wait for a receiver's response.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int | None, str | None]:
        """Post once. Failures are returned, not raised.

        Returns:
            `status` and `reason` of a `Delivery`.
        """
        session = self._session = self._session or self._open_session()
        try:
            # aiohttp warns about large bodies that are bytes.
            data = body if len(body) < _LARGE_BODY else io.BytesIO(body)
            async with session.post(url, data=data, headers=headers, max_redirects=_MAX_REDIRECTS) as response:
                return response.status, None if response.status in _DELIVERED else "http_error"
        except Exception as exc:  # noqa: BLE001  one receiver's invalid URL or response must not stop other webhooks
            return None, _reason_of(exc)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        # The threshold is above the timeout because aiohttp rounds timeouts above the threshold up to whole seconds.
        timeout = aiohttp.ClientTimeout(total=self._timeout, ceil_threshold=self._timeout + 1)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[_refuse_insecure],
            timeout=timeout,
        )


async def _refuse_insecure(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Raise for an insecure URL. The API refuses such webhooks, and a redirect must not bypass that rule."""
    if not _is_secure(request.url):
        raise InsecureRedirectError(request.url)
    return await handler(request)


def _is_secure(url: URL) -> bool:
    return url.scheme == "https" or is_loopback(url.host or "")


def _reason_of(error: Exception) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "unknown_error")
