"""Who a diarized speaker is: a table of rules over the scores of the voiceprints."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import attrs

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.reprs import safe_repr

from .turns import IdentifiedSpeaker

__all__ = ["Certainty", "Decision", "Thresholds", "check_thresholds", "decide"]


class Certainty(StrEnum):
    """How certain it is who a diarized speaker is."""

    CERTAIN = "certain"
    """The scores name one speaker, and there is enough speech."""
    REVIEW = "review"
    """A person should listen: the label is likely, but a rule failed."""
    UNKNOWN = "unknown"
    """No voiceprint fits."""


@safe_repr
@attrs.frozen
class Decision:
    """Who a diarized speaker is, and why."""

    diarization_speaker: str
    """The diarized speaker (`SPEAKER_00`)."""
    certainty: Certainty
    """How certain the label is."""
    label: str | None
    """The label of the voiceprint; None if the certainty is `unknown`."""
    score: float | None
    """The highest score, from 0 to 100; None if the API returned no scores."""
    margin: float | None
    """The highest score minus the second highest one, or minus 0 if there is only one."""
    seconds: float
    """Seconds of speech."""
    reason: str
    """The rule that decided, with its numbers."""


class Thresholds(NamedTuple):
    """The thresholds of `decide`.

    The defaults lie between the scores of true matches (78 to 90) and of false ones (up to 60) that were measured.
    """

    min_score: float = 60.0
    """A score must be above it."""
    min_margin: float = 15.0
    """The least difference between the two highest scores."""
    min_speech: float = 8.0
    """The least seconds of speech."""


class _Facts(NamedTuple):
    """The values that the rules compare."""

    label: str | None
    score: float
    runner_up: str | None
    margin: float
    seconds: float
    match: str | None

    @classmethod
    def of(cls, speaker: IdentifiedSpeaker) -> _Facts:
        ranked = sorted(speaker.scores.items(), key=lambda pair: -pair[1])
        (label, score), (runner_up, second) = (*ranked, (None, 0.0), (None, 0.0))[:2]
        return cls(label, score, runner_up, score - second, speaker.seconds, speaker.match)


def _no_scores(facts: _Facts, _: Thresholds) -> str | None:
    return "the API returned no scores and no match" if facts.label is None and facts.match is None else None


def _low_score(facts: _Facts, limits: Thresholds) -> str | None:
    if facts.label is None or facts.score > limits.min_score:
        return None
    return f"the highest score is {facts.score:g}, and must be above {limits.min_score:g}"


def _match_without_scores(facts: _Facts, _: Thresholds) -> str | None:
    return "the API returned a match, but no scores" if facts.label is None else None


def _small_margin(facts: _Facts, limits: Thresholds) -> str | None:
    if facts.margin >= limits.min_margin:
        return None
    second = "there is no second score" if facts.runner_up is None else f"{facts.runner_up!r} is second"
    return f"the margin is {facts.margin:g}, and must be at least {limits.min_margin:g} ({second})"


def _little_speech(facts: _Facts, limits: Thresholds) -> str | None:
    if facts.seconds >= limits.min_speech:
        return None
    return f"there are {facts.seconds:.1f} s of speech, and at least {limits.min_speech:g} s are needed"


def _other_match(facts: _Facts, _: Thresholds) -> str | None:
    if facts.match is None or facts.match == facts.label:
        return None
    return f"the API matched {facts.match!r}, but {facts.label!r} has the highest score"


# The first rule that returns a reason decides. The rules of `unknown` come first, so that a stricter threshold never
# makes a decision more certain.
_RULES: tuple[tuple[Certainty, Callable[[_Facts, Thresholds], str | None]], ...] = (
    (Certainty.UNKNOWN, _no_scores),
    (Certainty.UNKNOWN, _low_score),
    (Certainty.REVIEW, _match_without_scores),
    # Before the other rules of `review`: the turns have the name that the API matched.
    (Certainty.REVIEW, _other_match),
    (Certainty.REVIEW, _small_margin),
    (Certainty.REVIEW, _little_speech),
)


def decide(speaker: IdentifiedSpeaker, limits: Thresholds) -> Decision:
    """Return who a diarized speaker is.

    Args:
        speaker: the diarized speaker.
        limits: the thresholds.
    """
    facts = _Facts.of(speaker)
    reasons = ((certainty, reason) for certainty, rule in _RULES if (reason := rule(facts, limits)))
    certainty, reason = next(reasons, (Certainty.CERTAIN, f"the score is {facts.score:g}, the margin {facts.margin:g}"))
    has_scores = facts.label is not None
    return Decision(
        diarization_speaker=speaker.diarization_speaker,
        certainty=certainty,
        label=None if certainty is Certainty.UNKNOWN else facts.label or facts.match,
        score=facts.score if has_scores else None,
        margin=facts.margin if has_scores else None,
        seconds=facts.seconds,
        reason=reason,
    )


def check_thresholds(limits: Thresholds) -> Thresholds:
    """Return the thresholds if all are numbers.

    Raises:
        ConfigurationError: a threshold is not a number.
    """
    for name, value in limits._asdict().items():
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise ConfigurationError(f"{name} must be a number, not {value!r}.")
    return limits
