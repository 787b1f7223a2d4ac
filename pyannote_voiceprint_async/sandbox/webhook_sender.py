"""Deliveries: one POST to a receiver, and what became of it."""

from collections.abc import Mapping

import aiohttp
import attrs
from yarl import URL

from pyannote_voiceprint_async.sandbox.validation import is_loopback

_DELIVERED = range(200, 300)

# aiohttp counts the answer at which it gives up, too: three redirects are followed.
_MAX_REDIRECTS = 4

# Below the 5 seconds after which common servers close an idle connection, perhaps under a webhook on its way.
_KEEPALIVE_SECONDS = 4.0

# The reasons that `x-retry-reason` knows. Order matters: an error has the first that fits.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "http_timeout"),
    (aiohttp.TooManyRedirects, "too_many_redirects"),
    (aiohttp.ClientSSLError, "ssl_error"),
    (aiohttp.ClientConnectionError, "connection_failed"),
    (aiohttp.ClientResponseError, "http_error"),  # what came back was no HTTP
)


@attrs.frozen
class Delivery:
    """One try to deliver a webhook."""

    job_id: str
    url: str
    attempt: int
    """1, and one more for each retry."""
    status: int | None
    """The receiver's HTTP status, if there was an answer."""
    reason: str | None
    """Why it has to be tried again, as `x-retry-reason` says it; `None` when it was delivered."""


class InsecureRedirectError(aiohttp.RedirectClientError):
    """A redirect leads to plain HTTP on another machine."""


class WebhookSender:
    """Posts to receivers, as a sandbox may: over TLS, or to this machine.

    Args:
        seconds: How long a receiver has to answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int | None, str | None]:
        """Post once, and never raise.

        Returns:
            Status and reason as a `Delivery` has them.
        """
        session = self._session = self._session or self._open()
        try:
            async with session.post(url, data=body, headers=headers, max_redirects=_MAX_REDIRECTS) as response:
                return response.status, None if response.status in _DELIVERED else "http_error"
        except Exception as exc:  # noqa: BLE001  one receiver's odd URL or answer must not end the others' webhooks
            return None, _reason_of(exc)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        # Never rounded up to whole seconds, which aiohttp does from 5 on to save timers.
        timeout = aiohttp.ClientTimeout(total=self._seconds, ceil_threshold=self._seconds + 1)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=[_stay_secure],
            timeout=timeout,
        )


async def _stay_secure(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Look at every hop: the API refuses insecure webhooks, and a redirect must not be the way around that."""
    if not _is_secure(request.url):
        raise InsecureRedirectError(request.url)
    return await handler(request)


def _is_secure(url: URL) -> bool:
    return url.scheme == "https" or is_loopback(url.host or "")


def _reason_of(error: Exception) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "unknown_error")
