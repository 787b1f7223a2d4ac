"""The fields of an accepted `POST /v1/identify`, as far as they decide the output."""

from collections.abc import Mapping
from typing import Any, Self

import attrs

from pyannote_voiceprint_async.sandbox.voiceprints import vector_of

# More diarized speakers than a recording ever has here. It bounds the numbers of a request, which may be 1e308.
MOST_SPEAKERS = 50


@attrs.frozen
class IdentifyFields:
    """What an identification job needs from its submission."""

    speakers: Mapping[str, bytes]
    """The vector of each label's voiceprint."""
    threshold: float = 0.0
    """Lowest score of a match."""
    exclusive_matching: bool = True
    """Whether a label matches at most one diarized speaker."""
    min_speakers: int = 1
    """Fewest diarized speakers."""
    max_speakers: int = MOST_SPEAKERS
    """Most diarized speakers."""
    exclusive: bool = False
    """Whether the output has `exclusiveDiarization`."""
    confidence: bool = False
    """Whether the output has `confidence`."""
    turn_level_confidence: bool = False
    """Whether each turn has a `confidence`."""

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Convert the validated fields of a body. Missing and null fields have the API's defaults."""
        matching = fields.get("matching") or {}
        fewest, most = _speaker_counts(fields)
        return cls(
            speakers={item["label"]: vector_of(item["voiceprint"]) for item in fields["voiceprints"]},
            threshold=matching.get("threshold") or 0.0,
            exclusive_matching=matching.get("exclusive") is not False,
            min_speakers=fewest,
            max_speakers=most,
            exclusive=fields.get("exclusive", False),
            confidence=fields.get("confidence", False) and fields.get("model") != "precision-3",
            turn_level_confidence=bool(fields.get("turnLevelConfidence")),
        )


def _speaker_counts(fields: Mapping[str, Any]) -> tuple[int, int]:
    """Return the fewest and the most diarized speakers. `numSpeakers` sets both."""
    fixed = fields.get("numSpeakers")
    fewest = fixed or fields.get("minSpeakers") or 1
    most = fixed or fields.get("maxSpeakers") or MOST_SPEAKERS
    return int(min(fewest, MOST_SPEAKERS)), int(min(most, MOST_SPEAKERS))
