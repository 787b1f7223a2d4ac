"""Parts of a longer recording, in seconds: as lists write them, as a ledger keeps them, and what may be wrong."""

import json
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from numbers import Real
from typing import TypeAlias

from pyannote_voiceprint_async.api.endpoints import MAX_VOICEPRINT_SECONDS

__all__ = [
    "Segments",
    "format_segments",
    "has_overlap",
    "is_whole_file",
    "parse_segments",
    "segments_from_json",
    "segments_problem",
    "segments_to_json",
]

Segments: TypeAlias = tuple[tuple[float, float | None], ...]
"""Starts and ends in seconds; an end that is None is that of the recording. No pieces are the whole file."""

# Python would read more than people mean: nan, 1_0, and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
# What it may be longer through rounding: lists have hundredths of seconds.
_SLACK = 0.01
_MOST_SHOWN = 40


def parse_segments(start: object, end: object) -> Segments | str:
    """Read the `start` and `end` of a list, or say what is wrong with them.

    Args:
        start: text with numbers between spaces, a number, a list of numbers, or nothing.
        end: the same; nothing is the recording's end.
    """
    starts, ends = _numbers(start, "start"), _numbers(end, "end")
    if isinstance(starts, str) or isinstance(ends, str):
        return "; ".join(problem for problem in (starts, ends) if isinstance(problem, str))
    if not starts and not ends:
        return ()
    if not starts and len(ends) == 1:
        starts = [0.0]
    if not ends and len(starts) == 1:
        return ((starts[0], None),)
    if len(starts) != len(ends):
        return (
            f"start has {_count(starts)} and end has {_count(ends)}; the n-th start goes with the n-th end, and only a "
            "single piece may leave one of them empty"
        )
    return tuple(zip(starts, ends, strict=True))


def segments_problem(segments: object) -> str | None:
    """Say what is wrong with the pieces of a row, as far as that is known without the recording."""
    if not isinstance(segments, Sequence) or isinstance(segments, str):
        return f"the pieces must be pairs of start and end in seconds, not {type(segments).__name__}"
    total = 0.0
    for segment in segments:
        if not isinstance(segment, Sequence) or isinstance(segment, str) or len(segment) != 2:  # noqa: PLR2004 - a pair
            return f"the pieces must be pairs of start and end in seconds, and {_shown(segment)} is none"
        start, end = segment
        if problem := _span_problem(start, end):
            return problem
        total += 0.0 if end is None else end - start
    if total > MAX_VOICEPRINT_SECONDS + _SLACK * len(segments):
        many = "the piece has" if len(segments) == 1 else f"the {len(segments)} pieces have together"
        return f"{many} {total:.2f} s; a voiceprint takes at most {MAX_VOICEPRINT_SECONDS:g} s: give a shorter part"
    return None


def is_whole_file(segments: object) -> bool:
    """Whether it is all of the file, in either way to say so: the same audio must be known as such."""
    if not isinstance(segments, tuple | list):
        return False
    return not segments or (len(segments) == 1 and not segments_problem(segments) and tuple(segments[0]) == (0, None))


def has_overlap(segments: Segments) -> bool:
    """Whether something is in more than one of them."""
    ordered = sorted((start, math.inf if end is None else end) for start, end in segments)
    return any(start < end for (_, end), (start, _) in pairwise(ordered))


def format_segments(segments: Segments) -> tuple[str, str]:
    """Write the `start` and `end` of a list."""
    ends = () if segments and segments[-1][1] is None else (end for _, end in segments if end is not None)
    return " ".join(_written(start) for start, _ in segments), " ".join(map(_written, ends))


def segments_to_json(segments: Segments) -> str | None:
    """Write them for the ledger: equal pieces are written equally."""
    if not segments:
        return None
    return json.dumps([[float(start), None if end is None else float(end)] for start, end in segments])


def segments_from_json(text: str | None) -> Segments:
    """Read what the ledger has."""
    return () if text is None else tuple((start, end) for start, end in json.loads(text))


def _numbers(given: object, name: str) -> list[float] | str:
    if given is None:
        return []
    values = given.split() if isinstance(given, str) else given if isinstance(given, list) else [given]
    found = []
    for value in values:
        number = _number(value)
        if number is None:
            return f"{name} must be seconds, such as 12.5 (of several pieces, between spaces), not {_shown(value)}"
        found.append(number)
    return found


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return float(value) if _is_number(value) else None  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def _span_problem(start: object, end: object) -> str | None:
    for name, value in (("start", start), ("end", end)):
        if value is None and name == "end":
            continue
        if not _is_number(value):
            return f"{name} must be a number of seconds, not {_shown(value)}"
        if value < 0:  # type: ignore[operator]
            return f"{name} ({float(value):g} s) is before the beginning of the recording"  # type: ignore[arg-type]
    if end is not None and start >= end:  # type: ignore[operator]
        return f"start ({float(start):g} s) is not before end ({float(end):g} s)"  # type: ignore[arg-type]
    return None


def _count(numbers: Sequence[float]) -> str:
    return "1 number" if len(numbers) == 1 else f"{len(numbers)} numbers"


def _written(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _shown(value: object) -> str:
    said = repr(value)
    return said if len(said) <= _MOST_SHOWN else f"{said[:_MOST_SHOWN]}…"
