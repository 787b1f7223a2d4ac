"""Numbers as people read them."""

from pyannote_voiceprint_async.enrollment.run.dry_run import EUROS_PER_JOB

__all__ = ["count", "duration", "euros"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def count(number: int, what: str) -> str:
    """Give `1 job`, `2 jobs`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def euros(jobs: int) -> str:
    """Give what so many jobs cost."""
    return f"about {jobs * EUROS_PER_JOB:.2f} EUR"


def duration(seconds: float) -> str:
    """Give seconds in the two largest units that say something: `45 s`, `3 min`, `2 h 5 min`, `4 days 1 h`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{round(whole / _MINUTE)} min"
    if whole < _DAY:
        minutes = round(whole / _MINUTE)
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(whole / _HOUR)
    return f"{count(hours // 24, 'day')} {hours % 24} h"
