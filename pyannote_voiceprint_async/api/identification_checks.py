"""What the API would refuse in the fields of an identification."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pyannote_voiceprint_async.errors import FieldError
from pyannote_voiceprint_async.models import IdentificationRequest, Matching, Voiceprint

__all__ = ["MAX_SPEAKERS", "field_errors", "label_problem", "value_problem"]

MAX_SPEAKERS = 50
"""Voiceprints of one identification, at most."""
_MAX_LABEL = 100
_MAX_VALUE = 20_000
_RESERVED_LABEL = "speaker_"
_MAX_THRESHOLD = 100.0
_MAX_SENSITIVITY = 5.0
# Lone surrogates cannot be encoded as UTF-8.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def field_errors(request: IdentificationRequest) -> Iterator[FieldError]:
    """Yield an error for each invalid field that a voiceprint request does not have."""
    yield from _voiceprint_errors(request.voiceprints, request.model)
    yield from _matching_errors(request.matching)
    yield from _speaker_count_errors(request)
    for field, number in (
        ("vadSensitivity", request.vad_sensitivity),
        ("crosstalkSensitivity", request.crosstalk_sensitivity),
    ):
        if number is not None and not _is_number(number, -_MAX_SENSITIVITY, _MAX_SENSITIVITY):
            yield FieldError(field, f"must be a number from -5 to 5, not {number!r}")
    flags: dict[str, object] = {
        "exclusive": request.exclusive,
        "confidence": request.confidence,
        "turnLevelConfidence": request.turn_level_confidence,
    }
    for field, flag in flags.items():
        if not isinstance(flag, bool):
            yield FieldError(field, f"must be True or False, not {flag!r}")


def label_problem(label: object) -> str | None:
    """Return why the API would refuse a label, or None."""
    if not isinstance(label, str):
        return f"must be a str, not {type(label).__name__}"
    if not label:
        return "must not be empty"
    if len(label) > _MAX_LABEL:
        return f"must be at most {_MAX_LABEL} characters long, not {len(label)}"
    if label.lower().startswith(_RESERVED_LABEL):
        return "must not begin with 'speaker_', which names the speakers of the diarization"
    return "must not have lone surrogates" if _SURROGATE.search(label) else None


def value_problem(value: Any) -> str | None:
    """Return why the API would refuse the value of a voiceprint, or None. The value is in no message."""
    if isinstance(value, Voiceprint):
        value = value.value
    if not isinstance(value, str):
        kind = value.__name__ if isinstance(value, type) else type(value).__name__
        return f"must be a Voiceprint, or its value as str, not {kind}"
    if not value:
        return "must not be empty"
    if len(value) > _MAX_VALUE:
        return f"must be at most {_MAX_VALUE} characters long, not {len(value)}"
    return "must not have lone surrogates" if _SURROGATE.search(value) else None


def _voiceprint_errors(voiceprints: Any, model: str) -> Iterator[FieldError]:
    if not isinstance(voiceprints, Mapping):
        kind = voiceprints.__name__ if isinstance(voiceprints, type) else type(voiceprints).__name__
        yield FieldError("voiceprints", f"must be a mapping of labels to voiceprints, not {kind}")
        return
    if not 1 <= len(voiceprints) <= MAX_SPEAKERS:
        hint = "; identification.identify_among() makes one job for each 50" if voiceprints else ""
        yield FieldError("voiceprints", f"must be 1 to {MAX_SPEAKERS} voiceprints, not {len(voiceprints)}{hint}")
    for index, (label, value) in enumerate(voiceprints.items()):
        if problem := label_problem(label):
            yield FieldError(f"voiceprints[{index}].label", problem)
        if problem := value_problem(value):
            yield FieldError(f"voiceprints[{index}].voiceprint", problem)
    # Sorted, so that the message is the same at each run.
    models = sorted({str(value.model) for value in voiceprints.values() if isinstance(value, Voiceprint)})
    if any(other != model for other in models):
        made = f"the voiceprints were made with {', '.join(models)}"
        yield FieldError("model", f"must be the model of all voiceprints; {made}, and the request names {model}")


def _matching_errors(matching: object) -> Iterator[FieldError]:
    if not isinstance(matching, Matching):
        yield FieldError("matching", f"must be a Matching, not {type(matching).__name__}")
        return
    if not _is_number(matching.threshold, 0, _MAX_THRESHOLD):
        yield FieldError("matching.threshold", f"must be a number from 0 to 100, not {matching.threshold!r}")
    exclusive: object = matching.exclusive
    if not isinstance(exclusive, bool):
        yield FieldError("matching.exclusive", f"must be True or False, not {exclusive!r}")


def _speaker_count_errors(request: IdentificationRequest) -> Iterator[FieldError]:
    least, most = request.min_speakers, request.max_speakers
    counts = {"numSpeakers": request.num_speakers, "minSpeakers": least, "maxSpeakers": most}
    wrong = {field: count for field, count in counts.items() if count is not None and not _is_count(count)}
    for field, count in wrong.items():
        yield FieldError(field, f"must be a whole number above zero, not {count!r}")
    if not wrong and least is not None and most is not None and least > most:
        yield FieldError("minSpeakers", f"must not be above maxSpeakers ({least} > {most})")


def _is_count(count: object) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and count >= 1


def _is_number(number: object, least: float, most: float) -> bool:
    """Return whether a value is a number in a range; NaN is in none."""
    return isinstance(number, int | float) and not isinstance(number, bool) and least <= number <= most
