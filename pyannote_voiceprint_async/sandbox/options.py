"""Parsers of the command line's syntax for limits, ranges and faults."""

import re

from pyannote_voiceprint_async.sandbox.faults import check_faults
from pyannote_voiceprint_async.sandbox.limits import Limit
from pyannote_voiceprint_async.sandbox.webhook_faults import check_webhook_faults

_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_LIMIT = re.compile(rf"([0-9]+)/({_NUMBER})")
_RANGE = re.compile(rf"({_NUMBER})(?::({_NUMBER}))?")
_FAULT = re.compile(rf"([^=]+)=({_NUMBER})")


def parse_limit(text: str) -> Limit:
    """Parse a limit: `100/60` is 100 requests in 60 seconds.

    Raises:
        ValueError: For any other syntax. The message shows the right one.
    """
    match = _LIMIT.fullmatch(text)
    if not match:
        raise ValueError(f"A limit must have the form REQUESTS/SECONDS, for example 100/60, not {text!r}.")
    return Limit(int(match[1]), float(match[2]))


def parse_range(text: str) -> tuple[float, float]:
    """Parse a range: `0.5:3` is 0.5 to 3 seconds, `1` is always one second.

    Raises:
        ValueError: For any other syntax. The message shows the right one.
    """
    match = _RANGE.fullmatch(text)
    low, high = (float(match[1]), float(match[2] or match[1])) if match else (1.0, 0.0)
    if low > high:
        raise ValueError(f"A range must have the form SECONDS or LOW:HIGH, for example 1 or 0.5:3, not {text!r}.")
    return low, high


def parse_fault(text: str) -> tuple[str, float]:
    """Parse a fault: `drop-after-accept=0.02` is this fault in 2 of 100 requests.

    Raises:
        ValueError: For any other syntax, an unknown name or an impossible probability.
    """
    fault = _parse_probability(text, "server-error=0.05")
    check_faults([fault])
    return fault


def parse_webhook_fault(text: str) -> tuple[str, float]:
    """Parse a fault of webhooks: `lost=0.02` is this fault in the webhooks of 2 of 100 jobs.

    Raises:
        ValueError: For any other syntax, an unknown name or an impossible probability.
    """
    fault = _parse_probability(text, "lost=0.05")
    check_webhook_faults([fault])
    return fault


def _parse_probability(text: str, example: str) -> tuple[str, float]:
    match = _FAULT.fullmatch(text)
    if not match:
        raise ValueError(f"A fault must have the form NAME=PROBABILITY, for example {example}, not {text!r}.")
    return match[1], float(match[2])
