"""The public rate limiter."""

from __future__ import annotations

from pyannote_voiceprint_async.api.request_checks import check_count
from pyannote_voiceprint_async.reprs import safe_repr
from pyannote_voiceprint_async.settings import RateLimits

from .scheduler import PermitScheduler, WindowFactory, make_local_window

__all__ = ["RateLimiter"]


@safe_repr
class RateLimiter:
    """The rate limiter of one API key: slots for all requests together, and a rate-limit window per operation.

    Every client makes its own. Several clients of one team in one event loop can share one: construct it, and pass it
    to each of them as `rate_limiter=`.

    Args:
        max_concurrency: requests in flight, all operations together.
        rate_limits: the limits of the operations; by default the documented ones.
        make_window: internal; `shared/` makes windows that several processes share.
    """

    def __init__(
        self,
        max_concurrency: int = 64,
        rate_limits: RateLimits = RateLimits(),
        *,
        make_window: WindowFactory = make_local_window,
    ) -> None:
        self.scheduler = PermitScheduler(check_count("max_concurrency", max_concurrency), rate_limits, make_window)
        """Internal: used by `transport` and the engine only, and not part of the public API."""

    def __repr__(self) -> str:
        return f"<RateLimiter in_flight={self.in_flight}/{self.max_concurrency} queued={self.queued}>"

    @property
    def max_concurrency(self) -> int:
        """The number of slots."""
        return self.scheduler.max_concurrency

    @property
    def in_flight(self) -> int:
        """The number of requests that hold a slot."""
        return self.scheduler.in_flight

    @property
    def queued(self) -> int:
        """The number of requests that wait for a permit or a slot."""
        return self.scheduler.queued

    def limit(self, operation: str) -> int:
        """Return the current limit of an operation.

        Args:
            operation: a field of `RateLimits`, such as `"submissions"`.
        """
        return self.scheduler.limit(operation)
