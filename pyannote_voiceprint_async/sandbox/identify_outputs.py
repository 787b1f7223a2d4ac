"""The output of an identification job. The scores compare numbers, not voices: this is no recognition."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from pyannote_voiceprint_async.sandbox.diarized_recordings import DiarizedRecording, SandboxTurn
from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.voice_vectors import similarity

# The similarities whose scores are 0 and 100.
_UNLIKE, _ALIKE = 0.0, 0.65

# Seconds of one number of `confidence`, and the numbers for silence and speech.
_RESOLUTION = 0.02
_SILENCE, _SPEECH = 99.0, 95.0

# The confidence of a turn in its own speaker.
_TURN_CONFIDENCE = 95.0

Scores = Sequence[Mapping[str, float]]


def identify(recording: DiarizedRecording, fields: IdentifyFields) -> dict[str, Any]:
    """Return the output of a job: `diarization`, `identification`, `voiceprints`, and what else the job requested."""
    scores = [_scores(voice, fields.speakers) for voice in recording.voices]
    matches = _matches(scores, fields)
    names = [f"SPEAKER_{index:02}" for index in range(len(scores))]
    output: dict[str, Any] = {
        "diarization": [_diarized(turn, names, fields) for turn in recording.turns],
        "identification": [_identified(turn, names, matches, scores, fields) for turn in recording.turns],
        "voiceprints": [
            {"speaker": name, "match": match, "confidence": labels}
            for name, match, labels in zip(names, matches, scores, strict=True)
        ],
    }
    if fields.exclusive:
        output["exclusiveDiarization"] = [_diarized(turn, names, fields) for turn in _without_overlap(recording.turns)]
    if fields.confidence:
        output["confidence"] = _frame_confidence(recording)
    return output


def _scores(voice: bytes, speakers: Mapping[str, bytes]) -> dict[str, float]:
    """Return the score of each label from 0 to 100."""
    return {label: _score(similarity(voice, vector)) for label, vector in speakers.items()}


def _score(value: float) -> float:
    share = (value - _UNLIKE) / (_ALIKE - _UNLIKE)
    return round(100 * min(1.0, max(0.0, share)), 1)


def _matches(scores: Scores, fields: IdentifyFields) -> list[str | None]:
    """Return the label of each diarized speaker, or `None`. The highest scores match first."""
    matches: list[str | None] = [None] * len(scores)
    used: set[str] = set()
    pairs = [(score, index, label) for index, labels in enumerate(scores) for label, score in labels.items()]
    for score, index, label in sorted(pairs, key=lambda pair: pair[0], reverse=True):
        if matches[index] is None and score >= fields.threshold and label not in used:
            matches[index] = label
            if fields.exclusive_matching:
                used.add(label)
    return matches


def _diarized(turn: SandboxTurn, names: Sequence[str], fields: IdentifyFields) -> dict[str, Any]:
    segment: dict[str, Any] = {"speaker": names[turn.speaker], "start": turn.start, "end": turn.end}
    if fields.turn_level_confidence:
        rest = round((100 - _TURN_CONFIDENCE) / max(1, len(names) - 1), 1)
        segment["confidence"] = dict.fromkeys(names, rest) | {names[turn.speaker]: _TURN_CONFIDENCE}
    return segment


def _identified(
    turn: SandboxTurn, names: Sequence[str], matches: Sequence[str | None], scores: Scores, fields: IdentifyFields
) -> dict[str, Any]:
    name, match = names[turn.speaker], matches[turn.speaker]
    segment: dict[str, Any] = {
        "speaker": name if match is None else match,
        "start": turn.start,
        "end": turn.end,
        "diarizationSpeaker": name,
        "match": match,
    }
    if fields.turn_level_confidence:
        segment["confidence"] = scores[turn.speaker]
    return segment


def _without_overlap(turns: Sequence[SandboxTurn]) -> list[SandboxTurn]:
    """Return the turns, each cut where the next one begins."""
    cut = [SandboxTurn(turn.start, min(turn.end, following.start), turn.speaker) for turn, following in pairwise(turns)]
    return [*cut, *turns[-1:]]


def _frame_confidence(recording: DiarizedRecording) -> dict[str, Any]:
    frames = [_SILENCE] * round(recording.seconds / _RESOLUTION)
    for turn in recording.turns:
        first, last = round(turn.start / _RESOLUTION), round(turn.end / _RESOLUTION)
        frames[first:last] = [_SPEECH] * (last - first)
    return {"score": frames, "resolution": _RESOLUTION}
