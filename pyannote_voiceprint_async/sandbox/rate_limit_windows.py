"""The rate-limit window of each operation, and the headers that report it."""

import math
from collections.abc import Mapping

from pyannote_voiceprint_async.sandbox.limits import Limit
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.windows import WINDOWS, RequestWindow


class RateLimitWindows:
    """The rate-limit windows of the API key.

    Args:
        settings: Settings of the limits, the kind of window and the headers.
        limits: The limit of each operation by name.
    """

    def __init__(self, settings: Settings, limits: Mapping[str, Limit]) -> None:
        kind = WINDOWS[settings.window]
        shared = kind(settings.rate_limit)
        self._windows: dict[str, RequestWindow] = {
            name: shared if settings.shared_limit else kind(limit) for name, limit in limits.items()
        }
        self._sends_headers = settings.headers and settings.window != "none"
        self._resets_by_epoch = settings.reset_header == "epoch"

    def admit(self, operation: str, now: float) -> SandboxResponse | None:
        """Count a request. Return `None` if its window has room, else the 429."""
        wait = self._windows[operation].admit(now)
        return None if wait is None else self.too_many_requests(operation, wait, now)

    def too_many_requests(self, operation: str, wait: float, now: float) -> SandboxResponse:
        """Build a 429 that requests a pause of `wait` seconds."""
        # At least 1: rounding errors may put the end of a window before now.
        seconds = max(1, math.ceil(wait))
        headers = {"Retry-After": str(seconds)}
        if self._sends_headers:
            headers |= self.headers(operation, now)
            headers["X-RateLimit-Remaining"] = "0"
            headers["X-RateLimit-Reset"] = str(math.ceil(now + wait) if self._resets_by_epoch else seconds)
        return error(429, "Too many requests", headers)

    def headers(self, operation: str, now: float) -> dict[str, str]:
        """Return the rate-limit headers that every response of this operation has."""
        if not self._sends_headers:
            return {}
        window = self._windows[operation]
        return {
            "X-RateLimit-Limit": str(window.limit.limit),
            "X-RateLimit-Remaining": str(window.remaining(now)),
        }
