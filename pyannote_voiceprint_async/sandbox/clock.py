"""Time of day: one clock for the whole sandbox, and how it is written on the wire."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], float]


def anchored_clock() -> Now:
    """A clock of UTC epoch seconds that never steps back.

    It reads the wall clock once and follows the monotonic one from there, so that a correction of the
    machine's time can neither revive an old job nor free a rate limit's window early.
    """
    anchor = time.time() - time.monotonic()
    return lambda: anchor + time.monotonic()


def isoformat(moment: float) -> str:
    """Epoch seconds as the API writes them: ISO 8601 with milliseconds and a Z."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
