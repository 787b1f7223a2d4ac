"""The sandbox's clock, and the formats in which HTTP and the API write a time."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate

# Returns the current time in UTC epoch seconds.
Now = Callable[[], float]


def anchored_clock() -> Now:
    """Return a clock in UTC epoch seconds that never steps back.

    The clock reads the wall clock once and adds the monotonic clock to it. A correction of the machine's time can
    therefore neither revive an expired output nor end a rate-limit window early.
    """
    anchor = time.time() - time.monotonic()
    return lambda: anchor + time.monotonic()


def http_date(moment: float) -> str:
    """Return epoch seconds as an HTTP date (IMF-fixdate of RFC 9110), rounded down to whole seconds."""
    return formatdate(math.floor(moment), usegmt=True)


class DateHeader:
    """The current value of the `Date` header, formatted at most once per second.

    Args:
        now: Returns the current time in UTC epoch seconds.
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
    """Return epoch seconds in the API's format: ISO 8601 with milliseconds and a `Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
