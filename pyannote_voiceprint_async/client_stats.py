"""What a client counts."""

from __future__ import annotations

import attrs

from .reprs import safe_repr

__all__ = ["ClientStats"]


@safe_repr
@attrs.frozen
class ClientStats:
    """Counts of requests and jobs."""

    in_flight: int
    """Requests in flight, of all clients that share the rate limiter."""
    queued: int
    """Requests that wait for a permit or a slot, of all clients that share the rate limiter."""
    requests: int
    """Requests made, all repetitions included."""
    retries: int
    """Requests that were repeated after an error. Those that were repeated after a 429 are in `rate_limited`."""
    rate_limited: int
    """Responses with status 429."""
    submitted: int
    """Accepted jobs."""
    succeeded: int
    """Jobs that were awaited, and have succeeded."""
    failed: int
    """Jobs that were awaited, and have failed or were canceled."""
    abandoned: int
    """Accepted jobs whose caller was cancelled or failed before it had the result."""
