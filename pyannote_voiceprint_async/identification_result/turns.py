"""The parts of an identification: turns, speakers and scores."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs

from pyannote_voiceprint_async.reprs import safe_repr

__all__ = ["Confidence", "DiarizedTurn", "FrameConfidence", "IdentifiedSpeaker", "IdentifiedTurn", "SpeakerScores"]

Confidence: TypeAlias = Mapping[str, float] | float
"""The confidence of one turn: scores by speaker, or one score. The API documents an object, but not its fields."""


# Numbers that are copied at once: copying the millions of frames of a day would block the event loop.
_PART = 100_000


def to_array(numbers: Sequence[float]) -> array[float]:
    """Return numbers as an array, which needs a quarter of the memory of a list."""
    if isinstance(numbers, array):
        return numbers
    made = array("d")
    for at in range(0, len(numbers), _PART):
        made.extend(array("d", numbers[at : at + _PART]))
    return made


def _repr_length(values: Sequence[object]) -> str:
    return f"<{len(values)} values>"


@safe_repr
@attrs.frozen
class DiarizedTurn:
    """A span in which one diarized speaker speaks. Times are in seconds from the beginning of the recording."""

    speaker: str
    """The diarized speaker (`SPEAKER_00`)."""
    start: float
    """Seconds."""
    end: float
    """Seconds; at least `start`."""
    confidence: Confidence | None = None
    """The confidence, if the request set `turn_level_confidence`."""


@safe_repr
@attrs.frozen
class IdentifiedTurn:
    """A span in which one speaker speaks. Times are in seconds from the beginning of the recording."""

    speaker: str
    """The label of the matched voiceprint; the diarized speaker if no voiceprint matched."""
    start: float
    """Seconds."""
    end: float
    """Seconds; at least `start`."""
    diarization_speaker: str
    """The diarized speaker (`SPEAKER_00`)."""
    match: str | None = None
    """The label of the matched voiceprint; None if no voiceprint matched."""
    confidence: Confidence | None = None
    """The confidence, if the request set `turn_level_confidence`."""


@safe_repr
@attrs.frozen
class SpeakerScores:
    """How well the voiceprints fit one diarized speaker: an entry of the API's `voiceprints`."""

    speaker: str
    """The diarized speaker."""
    match: str | None = None
    """The label of the voiceprint that the API matched, if any."""
    confidence: Mapping[str, float] = attrs.field(factory=dict)
    """The score of each voiceprint by its label, from 0 to 100."""


@safe_repr
@attrs.frozen
class IdentifiedSpeaker:
    """A diarized speaker, with all scores. One person may be split over several diarized speakers."""

    diarization_speaker: str
    """The diarized speaker (`SPEAKER_00`)."""
    seconds: float
    """Seconds of speech. Overlapping turns of the speaker count once."""
    match: str | None = None
    """The label of the voiceprint that the API matched, if any."""
    scores: Mapping[str, float] = attrs.field(factory=dict)
    """The score of each voiceprint by its label, from 0 to 100, the highest first."""


@safe_repr
@attrs.frozen
class FrameConfidence:
    """The confidence of the diarization over time, if the request set `confidence`."""

    score: Sequence[float] = attrs.field(converter=to_array, repr=_repr_length)
    """One score for each frame."""
    resolution: float
    """Seconds of one frame."""
