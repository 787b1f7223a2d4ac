"""The proxy for a URL: the client's own, else the one that the environment names."""

from __future__ import annotations

import os
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from pyannote_voiceprint_async.api.request_checks import is_loopback, proxy_problem
from pyannote_voiceprint_async.errors import ProxyError

__all__ = ["proxy_for", "proxy_source"]


def proxy_for(url: URL, given: str | None) -> str | None:
    """Return the URL of the proxy for a request, or None. `.netrc` is never read.

    Args:
        url: the URL of the request.
        given: the client's own proxy, which is validated already.

    Raises:
        ProxyError: the environment names an unusable proxy.
    """
    if given is not None:
        return given[:]  # the value of a `Secret`
    if url.host is None or is_loopback(url.host) or proxy_bypass(url.host):
        return None
    proxy = getproxies().get(url.scheme)
    if not proxy:
        return None
    problem = proxy_problem(proxy)
    if problem is None:
        return proxy
    # The URL may hold a password, and some tracebacks show local variables.
    del proxy
    raise ProxyError(
        f"The proxy in {proxy_source(url, None)} cannot be used: it {problem}. Nothing was sent. Set it to the URL of "
        f"an HTTP proxy (http://host:port, or http://user:password@host:port), unset it, or add {url.host} to NO_PROXY."
    )


def proxy_source(url: URL, given: str | None) -> str:
    """Return where the proxy for a URL is configured, in words for an error message."""
    if given is not None:
        return "the argument `proxy` of the client"
    name = f"{url.scheme}_proxy"
    # As in urllib, a name in lower case has priority.
    found = sorted((known for known in os.environ if known.lower() == name), key=lambda known: known != name)
    return f"the environment variable {found[0]}" if found else "the proxy settings of this system"
