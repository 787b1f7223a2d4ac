"""The result of an identification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Self, TypeVar

import attrs

from pyannote_voiceprint_async.reprs import safe_repr
from pyannote_voiceprint_async.response_info import FromResponse

from . import rttm_text, timeline
from .decisions import Decision, Thresholds, check_thresholds, decide
from .output import IdentificationOutput
from .speakers import match_turns, summarize
from .turn_list import TurnList
from .turns import DiarizedTurn, FrameConfidence, IdentifiedSpeaker, IdentifiedTurn

__all__ = ["Identification"]

T = TypeVar("T")

_DEFAULTS = Thresholds()


@safe_repr
@attrs.frozen(repr=False)
class Identification(FromResponse):
    """Who speaks when in a recording. `_repr_html_` shows a timeline in Jupyter."""

    job_id: str
    """The id of its job; of the first job, if `identify_among` made several."""
    model: str
    """The model of the voiceprints."""
    turns: Sequence[IdentifiedTurn] = ()
    """Who speaks when, in the order of the API."""
    speakers: tuple[IdentifiedSpeaker, ...] = ()
    """The diarized speakers in the order of their first turn, each with all scores."""
    diarization: Sequence[DiarizedTurn] = ()
    """Who speaks when, with the names of the diarization."""
    exclusive_diarization: Sequence[DiarizedTurn] = ()
    """The same without overlaps; empty unless the request set `exclusive`."""
    confidence: FrameConfidence | None = None
    """The confidence over time; None unless the request set `confidence`."""
    created_at: datetime | None = None
    """When the job was accepted (UTC)."""
    warnings: tuple[str, ...] = ()
    """Warnings of the API and of this package."""

    @classmethod
    def from_output(
        cls,
        output: IdentificationOutput,
        *,
        job_id: str,
        model: str,
        created_at: datetime | None = None,
        warnings: Iterable[str | None] = (),
    ) -> Self:
        """Return the identification of an output. Lists that the API left out are derived from the others.

        Args:
            output: the output of the job.
            job_id: the job.
            model: the model that the submission named.
            created_at: when the job was accepted.
            warnings: earlier warnings; None is left out.
        """
        turns = match_turns(output)
        unreadable = f"{output.unreadable} entries of the output cannot be read and are left out."
        return cls(
            job_id=job_id,
            model=str(model),
            turns=turns,
            speakers=summarize(turns, output.voiceprints),
            diarization=output.diarization,
            exclusive_diarization=output.exclusive_diarization,
            confidence=output.confidence,
            created_at=created_at,
            warnings=tuple(filter(None, (*warnings, output.warning, unreadable if output.unreadable else None))),
        )

    def __repr__(self) -> str:
        return f"<Identification job_id={self.job_id} speakers={len(self.speakers)} turns={len(self.turns)}>"

    def decide(
        self,
        min_score: float = _DEFAULTS.min_score,
        min_margin: float = _DEFAULTS.min_margin,
        min_speech: float = _DEFAULTS.min_speech,
    ) -> tuple[Decision, ...]:
        """Return for each diarized speaker who it is: `certain`, `review` or `unknown`, with the reason.

        The label is that of the highest score, whatever the API matched: one person may be split over several diarized
        speakers, and `Matching(exclusive=True)` matches only one of them. The first of these rules decides:

        | certainty | rule |
        | --- | --- |
        | unknown | there are neither scores nor a match |
        | unknown | the highest score is not above `min_score` |
        | review | there is a match, but there are no scores |
        | review | the API matched another label |
        | review | the difference to the second highest score is below `min_margin` |
        | review | the speech is shorter than `min_speech` |
        | certain | none of these |

        A stricter threshold never makes a decision more certain.

        Args:
            min_score: the score that the highest score must exceed, from 0 to 100.
            min_margin: the least difference between the two highest scores; a single score is compared with 0.
            min_speech: the least seconds of speech.

        Raises:
            ConfigurationError: a threshold is not a number.
        """
        limits = check_thresholds(Thresholds(min_score, min_margin, min_speech))
        return tuple(decide(speaker, limits) for speaker in self.speakers)

    def to_rttm(self, file_id: str = "recording") -> str:
        """Return the turns as RTTM, with the labels as names. White space in a name becomes an underscore.

        For a recording of a day (100,000 turns) this takes a fraction of a second: on an event loop, use a thread.

        Args:
            file_id: the name of the recording, usually that of its file without suffix.
        """
        return rttm_text.to_rttm(self.turns, file_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types. The result has labels and times, and no voiceprints.

        For a recording of a day (100,000 turns) this takes a fraction of a second: on an event loop, use a thread.
        """
        created_at = self.created_at.isoformat() if self.created_at else None
        return {
            "job_id": self.job_id,
            "model": self.model,
            "turns": _to_dicts(IdentifiedTurn, self.turns),
            "speakers": _to_dicts(IdentifiedSpeaker, self.speakers),
            "diarization": _to_dicts(DiarizedTurn, self.diarization),
            "exclusive_diarization": _to_dicts(DiarizedTurn, self.exclusive_diarization),
            "confidence": self.confidence
            and {"score": list(self.confidence.score), "resolution": self.confidence.resolution},
            "created_at": created_at,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the identification of a dictionary that `to_dict` made. Other fields are ignored.

        For a recording of a day (100,000 turns) this takes a fraction of a second: on an event loop, use a thread.

        Raises:
            KeyError: `job_id` or `model` is missing, or a turn lacks a field.
        """
        created_at, confidence = stored.get("created_at"), stored.get("confidence")
        return cls(
            job_id=stored["job_id"],
            model=stored["model"],
            turns=_read_turns(IdentifiedTurn, stored.get("turns")),
            speakers=tuple(_read_turns(IdentifiedSpeaker, stored.get("speakers"))),
            diarization=_read_turns(DiarizedTurn, stored.get("diarization")),
            exclusive_diarization=_read_turns(DiarizedTurn, stored.get("exclusive_diarization")),
            confidence=FrameConfidence(tuple(confidence["score"]), confidence["resolution"]) if confidence else None,
            created_at=datetime.fromisoformat(created_at) if created_at else None,
            warnings=tuple(stored.get("warnings") or ()),
        )

    def _repr_html_(self) -> str:
        names = dict.fromkeys(turn.match for turn in self.turns if turn.match is not None)
        summary = f"{len(self.speakers)} speakers, {len(names)} with a name, {len(self.turns)} turns"
        return timeline.to_html(self.turns, summary)


def _to_dicts(kind: type[Any], entries: Iterable[Any]) -> list[dict[str, Any]]:
    names = tuple(attrs.fields_dict(kind))
    # `attrs.asdict` would take five times as long.
    values = map(attrgetter(*names), entries)
    return [
        {name: dict(one) if isinstance(one, Mapping) else one for name, one in zip(names, row, strict=True)}
        for row in values
    ]


def _read_turns(kind: type[T], entries: Iterable[Mapping[str, Any]] | None) -> TurnList[T]:
    fields = attrs.fields(kind)  # type: ignore[arg-type]  # an attrs class
    return TurnList(
        kind,
        (
            tuple(entry[field.name] if field.default is attrs.NOTHING else entry.get(field.name) for field in fields)
            for entry in entries or ()
        ),
    )
