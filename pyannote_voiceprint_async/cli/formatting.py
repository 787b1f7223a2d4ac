"""Format counts, prices and durations for people."""

from pyannote_voiceprint_async.enrollment.plan import DEFAULT_PRICE

__all__ = ["format_audio", "format_cost", "format_count", "format_duration", "possibly_accepted"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def format_count(number: int, noun: str) -> str:
    """Return a count with its noun: `1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_audio(seconds: int) -> str:
    """Return billed seconds exactly, without the units that are 0: `45 s`, `1 min 16 s`, `2 h 3 s`."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minute, "min"), (second, "s")) if number]
    return " ".join(parts) or "0 s"


def format_cost(jobs: int, price: float = DEFAULT_PRICE) -> str:
    """Return the approximate cost of a number of jobs, at a price in EUR."""
    amount = f"{jobs * price:.3f}"
    is_exact = jobs * price < 1 and not amount.endswith("0")  # the price of one job has three decimals
    return f"about {amount if is_exact else f'{jobs * price:.2f}'} EUR"


def possibly_accepted(jobs: int) -> str:
    """Return the clause about submissions that may have been accepted, but have no job id."""
    return f"Up to {format_count(jobs, 'job')} may have been accepted; look with `pyannote-voiceprint jobs`"


def format_duration(seconds: float) -> str:
    """Return seconds in their one or two largest units: `45 s`, `3 min`, `2 h 5 min`, `4 days 1 h`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{round(whole / _MINUTE)} min"
    if whole < _DAY:
        minutes = round(whole / _MINUTE)
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(whole / _HOUR)
    return f"{format_count(hours // 24, 'day')} {hours % 24} h"
