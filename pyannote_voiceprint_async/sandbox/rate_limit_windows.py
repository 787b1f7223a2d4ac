"""One rate limit's window for each operation, and what answers say about it."""

import math
from collections.abc import Mapping

from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error
from pyannote_voiceprint_async.sandbox.settings import Settings
from pyannote_voiceprint_async.sandbox.windows import WINDOWS, Limit, RequestWindow


class RateLimitWindows:
    """The windows of one key.

    Args:
        settings: Where limits, the kind of window and the look of the headers come from.
        limits: The limit of each operation by its name.
    """

    def __init__(self, settings: Settings, limits: Mapping[str, Limit]) -> None:
        kind = WINDOWS[settings.window]
        shared = kind(settings.rate_limit)
        self._windows: dict[str, RequestWindow] = {
            name: shared if settings.shared_budgets else kind(limit) for name, limit in limits.items()
        }
        self._speaks = settings.headers and settings.window != "none"
        self._epoch_reset = settings.reset_header == "epoch"

    def take(self, operation: str, now: float) -> SandboxResponse | None:
        """Take a place for a request: nothing when there was one, else the 429."""
        wait = self._windows[operation].take(now)
        return None if wait is None else self.refusal(operation, wait, now)

    def refusal(self, operation: str, wait: float, now: float) -> SandboxResponse:
        """A 429 that asks for a pause of `wait` seconds."""
        # Never 0: rounding may put the end of a window a hair before now.
        seconds = max(1, math.ceil(wait))
        headers = {"Retry-After": str(seconds)}
        if self._speaks:
            headers |= self.headers(operation, now)
            headers["X-RateLimit-Remaining"] = "0"
            headers["X-RateLimit-Reset"] = str(math.ceil(now + wait) if self._epoch_reset else seconds)
        return error(429, "Too many requests", headers)

    def headers(self, operation: str, now: float) -> dict[str, str]:
        """What every answer says about the budget of its operation."""
        if not self._speaks:
            return {}
        window = self._windows[operation]
        return {
            "X-RateLimit-Limit": str(window.limit.limit),
            "X-RateLimit-Remaining": str(window.remaining(now)),
        }
