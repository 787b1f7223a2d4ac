"""Merge the identifications of one recording among different speakers into one."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

import attrs

from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.identification_result.speakers import rank
from pyannote_voiceprint_async.identification_result.time_order import in_order
from pyannote_voiceprint_async.identification_result.turn_list import TurnList
from pyannote_voiceprint_async.identification_result.turns import IdentifiedSpeaker, IdentifiedTurn

from .overlap import measure_overlap

__all__ = ["merge"]

# Two diarized speakers whose overlap is a smaller share of the speech may be different people.
_LEAST_SHARE = 0.5
_start = attrgetter("start")


def merge(identifications: Sequence[Identification]) -> Identification:
    """Return one identification of several jobs on the same recording; the diarization is that of the first one.

    Each diarized speaker of another job is mapped to the speaker of the first job with the longest overlap, many to
    one. A speaker whose longest overlap is less than half of its speech stays separate, with a warning. All scores are
    kept, and for each speaker the match with the highest score wins.

    Args:
        identifications: at least one.
    """
    first, *others = identifications
    if not others:
        return first
    merged = {speaker.diarization_speaker: speaker for speaker in first.speakers}
    known_names = frozenset(merged)
    separate: list[IdentifiedTurn] = []
    warnings = list(first.warnings)
    for other in others:
        names, new_warnings = _map_speakers(first, other)
        warnings += [*other.warnings, *new_warnings]
        for speaker in other.speakers:
            name = names[speaker.diarization_speaker]
            known = merged.get(name)
            merged[name] = (
                attrs.evolve(speaker, diarization_speaker=name) if known is None else _combine(known, speaker)
            )
        separate += [
            attrs.evolve(turn, diarization_speaker=name)
            for turn in other.turns
            if (name := names[turn.diarization_speaker]) not in known_names
        ]
    return attrs.evolve(
        first,
        turns=_relabel([first.turns, separate], merged),
        speakers=tuple(merged.values()),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _map_speakers(first: Identification, other: Identification) -> tuple[dict[str, str], list[str]]:
    """Return the name in the merged result of each speaker of another job, and the warnings."""
    overlap = measure_overlap(other.turns, first.turns)
    names: dict[str, str] = {}
    warnings = []
    for speaker in (one.diarization_speaker for one in other.speakers):
        found, share = overlap.best(speaker)
        if found is not None and share >= _LEAST_SHARE:
            names[speaker] = found
            continue
        names[speaker] = f"{speaker} of job {other.job_id}"
        warnings.append(
            f"{names[speaker]} shares only {share:.0%} of the speech with a speaker of job {first.job_id}, and stays "
            "separate."
        )
    return names, sorted(warnings)


def _combine(one: IdentifiedSpeaker, other: IdentifiedSpeaker) -> IdentifiedSpeaker:
    """Return a speaker with the scores of both, and the match with the higher score."""
    scores = dict(one.scores)
    for label, score in other.scores.items():
        scores[label] = max(score, scores.get(label, score))
    matches = [speaker.match for speaker in (one, other) if speaker.match is not None]
    match = max(matches, key=lambda label: scores.get(label, 0.0), default=None)
    return attrs.evolve(one, match=match, scores=rank(scores))


def _relabel(
    turns: Iterable[Sequence[IdentifiedTurn]], speakers: Mapping[str, IdentifiedSpeaker]
) -> TurnList[IdentifiedTurn]:
    """Return the turns of several sequences in the order of time, with the matches of the merged speakers."""

    def row(turn: IdentifiedTurn) -> tuple[object, ...]:
        name = turn.diarization_speaker
        match = speakers[name].match if name in speakers else turn.match
        return match or name, turn.start, turn.end, name, match, turn.confidence

    return TurnList(IdentifiedTurn, map(row, heapq.merge(*(in_order(some, _start) for some in turns), key=_start)))
