"""Time of day: one clock for the whole sandbox, and how it is written on the wire."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate

Now = Callable[[], float]


def anchored_clock() -> Now:
    """A clock of UTC epoch seconds that never steps back.

    It reads the wall clock once and follows the monotonic one from there, so that a correction of the
    machine's time can neither revive an old job nor free a rate limit's window early.
    """
    anchor = time.time() - time.monotonic()
    return lambda: anchor + time.monotonic()


def http_date(moment: float) -> str:
    """Epoch seconds as HTTP writes them: RFC 9110's IMF-fixdate, in whole seconds that have passed."""
    return formatdate(math.floor(moment), usegmt=True)


class DateHeader:
    """What `Date` says now; its text is made once a second.

    Args:
        now: The time as UTC epoch seconds.
    """

    def __init__(self, now: Now) -> None:
        self._now = now
        self._second: int | None = None
        self._text = ""

    def __str__(self) -> str:
        second = math.floor(self._now())
        if second != self._second:
            self._second, self._text = second, http_date(second)
        return self._text


def isoformat(moment: float) -> str:
    """Epoch seconds as the API writes them: ISO 8601 with milliseconds and a Z."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
