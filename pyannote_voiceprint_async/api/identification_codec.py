"""Read the output of an identification job from parsed JSON.

Plain functions instead of hooks of cattrs: a day of speech has 100,000 turns and more.

The API varies: a match can be null or missing, lists can be missing, and each entry can have unknown fields. An entry
that cannot be placed in time, or that names no speaker, is left out and counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar

from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.identification_result.turn_list import TurnList
from pyannote_voiceprint_async.identification_result.turns import (
    Confidence,
    DiarizedTurn,
    FrameConfidence,
    IdentifiedTurn,
    SpeakerScores,
)

__all__ = ["free_lists", "read_identification"]

T = TypeVar("T")

_PART = 5_000
_KNOWN = frozenset(
    {"diarization", "exclusiveDiarization", "identification", "voiceprints", "confidence", "warning", "error"}
)


def read_identification(raw: Mapping[str, Any]) -> IdentificationOutput:
    """Return the output of an identification. Fields that are missing, null or of the wrong type are empty."""
    names = _Names()
    diarization, skipped_1 = _read_list(raw.get("diarization"), names.diarized_turn)
    exclusive, skipped_2 = _read_list(raw.get("exclusiveDiarization"), names.diarized_turn)
    identification, skipped_3 = _read_list(raw.get("identification"), names.identified_turn)
    voiceprints, skipped_4 = _read_list(raw.get("voiceprints"), names.speaker_scores)
    return IdentificationOutput(
        diarization=TurnList(DiarizedTurn, diarization),
        exclusive_diarization=TurnList(DiarizedTurn, exclusive),
        identification=TurnList(IdentifiedTurn, identification),
        voiceprints=tuple(voiceprints),
        confidence=_read_frames(raw.get("confidence")),
        warning=_text(raw.get("warning")),
        error=_text(raw.get("error")),
        unreadable=skipped_1 + skipped_2 + skipped_3 + skipped_4,
        extra={name: value for name, value in raw.items() if name not in _KNOWN},
    )


def free_lists(raw: Mapping[str, Any]) -> None:
    """Empty the lists of an output that was read, in parts: freeing them at once would block the event loop."""
    for name in _KNOWN:
        entries = raw.get(name)
        while isinstance(entries, list) and entries:
            del entries[-_PART:]


def _read_list(raw: Any, read: Callable[[Any], T | None]) -> tuple[list[T], int]:
    """Return the entries that can be read, and the number of the others."""
    entries = raw if isinstance(raw, list) else []
    found = [entry for entry in map(read, entries) if entry is not None]
    return found, len(entries) - len(found)


class _Names:
    """Reads entries, and keeps one string for each name: the parser makes a new string for each turn."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def diarized_turn(self, raw: Any) -> tuple[Any, ...] | None:
        """Return the fields of a turn of the diarization, or None."""
        try:
            speaker, start, end = self._name(raw["speaker"]), raw["start"], raw["end"]
        except (KeyError, TypeError):
            return None
        if speaker is None or not _is_span(start, end):
            return None
        return speaker, start, end, _read_confidence(raw.get("confidence"))

    def identified_turn(self, raw: Any) -> tuple[Any, ...] | None:
        """Return the fields of an identified turn, or None."""
        try:
            start, end = raw["start"], raw["end"]
            speaker, diarized, match = raw.get("speaker"), raw.get("diarizationSpeaker"), raw.get("match")
        except (KeyError, TypeError):
            return None
        speaker, diarized, match = self._name(speaker), self._name(diarized), self._name(match)
        shown = speaker or match or diarized
        if shown is None or not _is_span(start, end):
            return None
        return shown, start, end, diarized or shown, match, _read_confidence(raw.get("confidence"))

    def speaker_scores(self, raw: Any) -> SpeakerScores | None:
        """Return the scores of a diarized speaker, or None."""
        if not isinstance(raw, dict):
            return None
        speaker = self._name(raw.get("speaker")) or self._name(raw.get("diarizationSpeaker"))
        if speaker is None:
            return None
        return SpeakerScores(speaker, self._name(raw.get("match")), _read_scores(raw.get("confidence")))

    def _name(self, raw: Any) -> str | None:
        return self._known.setdefault(raw, raw) if isinstance(raw, str) and raw else None


def _is_span(start: Any, end: Any) -> bool:
    return type(start) in _NUMBERS and type(end) in _NUMBERS and 0 <= start <= end <= _LARGEST


# Compared with `type`, because `isinstance` would accept a bool.
_NUMBERS = frozenset({int, float})
# Seconds, or a score. Sums and differences of larger numbers would become infinite.
_LARGEST = 1e9


def _is_score(raw: Any) -> TypeGuard[float]:
    return type(raw) in _NUMBERS and -_LARGEST <= raw <= _LARGEST


def _read_confidence(raw: Any) -> Confidence | None:
    if raw is None:
        return None
    if _is_score(raw):
        return raw
    return _read_scores(raw) or None


def _read_scores(raw: Any) -> dict[str, float]:
    if not isinstance(raw, dict):
        return {}
    return {label: score for label, score in raw.items() if _is_score(score)}


def _read_frames(raw: Any) -> FrameConfidence | None:
    if not isinstance(raw, dict):
        return None
    score, resolution = raw.get("score"), raw.get("resolution")
    if not isinstance(score, list | array) or not _is_score(resolution):
        return None
    try:
        return FrameConfidence(score, resolution)
    except TypeError:
        # A frame without a number keeps its place in time.
        return FrameConfidence([one if type(one) in _NUMBERS else 0.0 for one in score], resolution)


def _text(raw: Any) -> str | None:
    return raw if isinstance(raw, str) and raw else None
