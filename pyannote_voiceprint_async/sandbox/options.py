"""The command line's way to write limits, ranges and faults."""

import re

from pyannote_voiceprint_async.sandbox.faults import check_faults
from pyannote_voiceprint_async.sandbox.webhook_faults import check_webhook_faults
from pyannote_voiceprint_async.sandbox.windows import Limit

_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_LIMIT = re.compile(rf"([0-9]+)/({_NUMBER})")
_RANGE = re.compile(rf"({_NUMBER})(?::({_NUMBER}))?")
_FAULT = re.compile(rf"([^=]+)=({_NUMBER})")


def parse_limit(text: str) -> Limit:
    """`100/60`: 100 requests in 60 seconds.

    Raises:
        ValueError: With a sentence that says what was expected.
    """
    match = _LIMIT.fullmatch(text)
    if not match:
        raise ValueError(f"A limit is written REQUESTS/SECONDS, such as 100/60, not {text!r}.")
    return Limit(int(match[1]), float(match[2]))


def parse_range(text: str) -> tuple[float, float]:
    """`0.5:3`: from 0.5 to 3 seconds; `1`: always one second.

    Raises:
        ValueError: With a sentence that says what was expected.
    """
    match = _RANGE.fullmatch(text)
    low, high = (float(match[1]), float(match[2] or match[1])) if match else (1.0, 0.0)
    if low > high:
        raise ValueError(f"A range is written SECONDS or LOW:HIGH, such as 1 or 0.5:3, not {text!r}.")
    return low, high


def parse_fault(text: str) -> tuple[str, float]:
    """`drop-after-accept=0.02`: this fault in two of a hundred requests.

    Raises:
        ValueError: With a sentence that says what was expected.
    """
    fault = _parse_share(text, "server-error=0.05")
    check_faults([fault])
    return fault


def parse_webhook_fault(text: str) -> tuple[str, float]:
    """`lost=0.02`: this fault in the webhooks of two of a hundred jobs.

    Raises:
        ValueError: With a sentence that says what was expected.
    """
    fault = _parse_share(text, "lost=0.05")
    check_webhook_faults([fault])
    return fault


def _parse_share(text: str, example: str) -> tuple[str, float]:
    match = _FAULT.fullmatch(text)
    if not match:
        raise ValueError(f"A fault is written NAME=PROBABILITY, such as {example}, not {text!r}.")
    return match[1], float(match[2])
