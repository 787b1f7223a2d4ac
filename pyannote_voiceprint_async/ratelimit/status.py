"""What users see of a rate-limit window."""

from __future__ import annotations

import attrs

from pyannote_voiceprint_async.reprs import safe_repr

__all__ = ["RateLimitStatus"]


@safe_repr
@attrs.frozen
class RateLimitStatus:
    """The state of the rate-limit window of one operation, as this client knows it."""

    limit: int
    """Requests that the window allows: the documented limit until a response shows the limit of the key."""
    per: float
    """The length of the window in seconds."""
    remaining: int
    """Estimated requests that can be sent now: those that wait already are subtracted."""
    next_permit_in: float
    """Estimated seconds for which a new request waits for its permit, behind those that wait already; 0 is at once."""
