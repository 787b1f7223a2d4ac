"""The output of an identification job, as the API sends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from pyannote_voiceprint_async.redaction import redact_text
from pyannote_voiceprint_async.reprs import safe_repr

if TYPE_CHECKING:
    # Programs that only make voiceprints do not need these classes.
    from .turns import DiarizedTurn, FrameConfidence, IdentifiedTurn, SpeakerScores

__all__ = ["IdentificationOutput"]


def _redact(text: object) -> str:
    return repr(redact_text(text) if isinstance(text, str) else text)


def _repr_length(values: Sequence[object]) -> str:
    # The turns of a day would fill megabytes of a log.
    return f"<{len(values)} items>"


def _list_field() -> Any:
    return attrs.field(default=(), repr=_repr_length)


@safe_repr
@attrs.frozen
class IdentificationOutput:
    """The output of an identification job, which the API deletes after 24 hours. A missing list is empty."""

    diarization: Sequence[DiarizedTurn] = _list_field()
    """Who speaks when, with the names of the diarization."""
    exclusive_diarization: Sequence[DiarizedTurn] = _list_field()
    """The same without overlaps, if the request set `exclusive`."""
    identification: Sequence[IdentifiedTurn] = _list_field()
    """Who speaks when, with the labels of the voiceprints."""
    voiceprints: tuple[SpeakerScores, ...] = _list_field()
    """The scores of each diarized speaker."""
    confidence: FrameConfidence | None = None
    """The confidence over time, if the request set `confidence`."""
    warning: str | None = attrs.field(default=None, repr=_redact)
    """A warning of the API about the audio."""
    error: str | None = attrs.field(default=None, repr=_redact)
    """Why the job failed."""
    unreadable: int = 0
    """The number of entries that cannot be read and are left out: turns without times, speakers without a name."""
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, kw_only=True)
    """Fields that this version does not know, as parsed from JSON."""

    @property
    def has_result(self) -> bool:
        """Always True: empty lists are the result of a recording without speech."""
        return True
