"""Segments of a recording: as a list writes them, as the ledger stores them, and what may be wrong with them."""

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
"""Pairs of start and end in seconds. An end of None is the end of the recording; no segments are the whole file."""

# `float()` would also accept nan, 1_0 and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
# Lists have hundredths of seconds: rounding may lengthen each segment by so much.
_ROUNDING_SECONDS = 0.01
_MAX_LENGTH_SHOWN = 40


def parse_segments(start: object, end: object) -> Segments | str:
    """Parse the `start` and `end` of a row; return the segments, or what is wrong.

    Args:
        start: text with numbers separated by spaces, a number, a list of numbers, or None.
        end: the same; if it is empty, the end of the recording.
    """
    starts, ends = _parse_numbers(start, "start"), _parse_numbers(end, "end")
    if isinstance(starts, str) or isinstance(ends, str):
        return ". Also: ".join(problem for problem in (starts, ends) if isinstance(problem, str))
    if not starts and not ends:
        return ()
    if not starts and len(ends) == 1:
        starts = [0.0]
    if not ends and len(starts) == 1:
        return ((starts[0], None),)
    if len(starts) != len(ends):
        return (
            f"start has {_count(starts)} and end has {_count(ends)}. Each start needs its end, and only a single "
            "segment may leave one of them empty"
        )
    return tuple(zip(starts, ends, strict=True))


def segments_problem(segments: object) -> str | None:
    """Return what is wrong with the segments of a row, as far as that is known without the recording, or None."""
    if not isinstance(segments, Sequence) or isinstance(segments, str):
        return f"segments must be pairs of start and end in seconds, not {type(segments).__name__}"
    total = 0.0
    for segment in segments:
        if not isinstance(segment, Sequence) or isinstance(segment, str) or len(segment) != 2:  # noqa: PLR2004 - a pair
            return f"segments must be pairs of start and end in seconds, and {_shorten(segment)} is not a pair"
        start, end = segment
        if problem := _segment_problem(start, end):
            return problem
        total += 0.0 if end is None else end - start
    if total > MAX_VOICEPRINT_SECONDS + _ROUNDING_SECONDS * len(segments):
        subject = "the segment has" if len(segments) == 1 else f"the {len(segments)} segments have in total"
        return f"{subject} {total:.2f} s. A voiceprint takes at most {MAX_VOICEPRINT_SECONDS:g} s: select less"
    return None


def is_whole_file(segments: object) -> bool:
    """Return whether segments select the whole file: there are none, or one from 0 to None.

    Both must lead to the same identity, or the same audio would be billed twice.
    """
    if not isinstance(segments, tuple | list):
        return False
    return not segments or (len(segments) == 1 and not segments_problem(segments) and tuple(segments[0]) == (0, None))


def has_overlap(segments: Segments) -> bool:
    """Return whether any moment is in more than one segment."""
    ordered = sorted((start, math.inf if end is None else end) for start, end in segments)
    return any(start < end for (_, end), (start, _) in pairwise(ordered))


def format_segments(segments: Segments) -> tuple[str, str]:
    """Return the `start` and `end` cells of a list; `parse_segments` reads them."""
    ends = () if segments and segments[-1][1] is None else (end for _, end in segments if end is not None)
    return " ".join(_format_seconds(start) for start, _ in segments), " ".join(map(_format_seconds, ends))


def segments_to_json(segments: Segments) -> str | None:
    """Return the text that the ledger stores; equal segments have equal texts."""
    if not segments:
        return None
    return json.dumps([[float(start), None if end is None else float(end)] for start, end in segments])


def segments_from_json(text: str | None) -> Segments:
    """Parse the text that the ledger stores."""
    return () if text is None else tuple((start, end) for start, end in json.loads(text))


def _parse_numbers(cell: object, name: str) -> list[float] | str:
    if cell is None:
        return []
    values = cell.split() if isinstance(cell, str) else cell if isinstance(cell, list) else [cell]
    numbers = []
    for value in values:
        number = _parse_number(value)
        if number is None:
            return (
                f"{name} must be seconds such as 12.5 (for several segments, numbers separated by spaces), not "
                f"{_shorten(value)}"
            )
        numbers.append(number)
    return numbers


def _parse_number(value: object) -> float | None:
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return float(value) if _is_number(value) else None  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that is too large for a float
        return False


def _segment_problem(start: object, end: object) -> str | None:
    for name, value in (("start", start), ("end", end)):
        if value is None and name == "end":
            continue
        if not _is_number(value):
            return f"{name} must be a number of seconds, not {_shorten(value)}"
        if value < 0:  # type: ignore[operator]
            return f"{name} ({float(value):g} s) is before the beginning of the recording"  # type: ignore[arg-type]
    if end is not None and start >= end:  # type: ignore[operator]
        return f"start ({float(start):g} s) is not before end ({float(end):g} s)"  # type: ignore[arg-type]
    return None


def _count(numbers: Sequence[float]) -> str:
    return "1 number" if len(numbers) == 1 else f"{len(numbers)} numbers"


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_LENGTH_SHOWN else f"{text[:_MAX_LENGTH_SHOWN]}…"
