"""The diarized speakers of an identification, from its turns and the scores of the voiceprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .output import IdentificationOutput
from .time_order import in_order
from .turn_list import TurnList
from .turns import IdentifiedSpeaker, IdentifiedTurn, SpeakerScores

__all__ = ["match_turns", "rank", "speech_seconds", "summarize"]


def match_turns(output: IdentificationOutput) -> Sequence[IdentifiedTurn]:
    """Return the identified turns. If the API left them out, derive them from the diarization and the matches."""
    if output.identification or not output.diarization:
        return output.identification
    matches = {entry.speaker: entry.match for entry in output.voiceprints}
    return TurnList(
        IdentifiedTurn,
        (
            (
                matches.get(turn.speaker) or turn.speaker,
                turn.start,
                turn.end,
                turn.speaker,
                matches.get(turn.speaker),
                turn.confidence,
            )
            for turn in output.diarization
        ),
    )


def summarize(turns: Iterable[IdentifiedTurn], scores: Iterable[SpeakerScores]) -> tuple[IdentifiedSpeaker, ...]:
    """Return the diarized speakers in the order of their first turn, then those with scores but no turns."""
    spans = [(turn.diarization_speaker, turn.start, turn.end, turn.match) for turn in turns]
    seconds = speech_seconds(span[:3] for span in spans)
    matches = {name: match for name, _, _, match in reversed(spans) if match}
    found: dict[str, dict[str, float]] = {name: {} for name, *_ in spans}
    for entry in scores:
        known = found.setdefault(entry.speaker, {})
        for label, score in entry.confidence.items():
            known[label] = max(score, known.get(label, score))
        if entry.match is not None:
            matches[entry.speaker] = entry.match
    return tuple(
        IdentifiedSpeaker(name, seconds.get(name, 0.0), matches.get(name), rank(known)) for name, known in found.items()
    )


def rank(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores with the highest one first."""
    return dict(sorted(scores.items(), key=lambda pair: -pair[1]))


def speech_seconds(spans: Iterable[tuple[str, float, float]]) -> dict[str, float]:
    """Return the seconds of speech of each speaker; overlapping spans of one speaker count once.

    Args:
        spans: the speaker, the start and the end of each span.
    """
    seconds: dict[str, float] = {}
    reached: dict[str, float] = {}
    for name, start, end in in_order(list(spans), lambda span: span[1]):
        begin = max(start, reached.get(name, start))
        if end > begin:
            seconds[name] = seconds.get(name, 0.0) + end - begin
        reached[name] = max(end, reached.get(name, end))
    return {name: round(total, 6) for name, total in seconds.items()}
