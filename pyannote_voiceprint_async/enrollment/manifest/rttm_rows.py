"""The speakers of a conversation as rows: whoever diarization heard alone becomes a clip with a name."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyannote_voiceprint_async.audio import SpeakerClip, clips_from_rttm
from pyannote_voiceprint_async.errors import ConfigurationError

from .names import find_existing, normalize_name
from .row_checks import is_reserved_label, label_problem, printable_label
from .rows import Problem, Row

__all__ = ["rows_from_rttm"]

_NAMES_SHOWN = 5


def rows_from_rttm(
    rttm: os.PathLike[str] | str | Iterable[str],
    audio: os.PathLike[str],
    *,
    labels: Mapping[str, str] | None = None,
    file_id: str | None = None,
) -> list[Row | Problem]:
    """Give a row for each speaker of a recording: the longest turns that overlap nobody, 30 seconds in all. It blocks.

    Identification takes no label that begins with `speaker_`, and diarization gives just such names, the same ones for
    every recording. Where `labels` has no better one, `SPEAKER_00` of `meeting.wav` is called `meeting SPEAKER_00`.

    Args:
        rttm: a file, its text, or its lines.
        audio: the recording that it tells of.
        labels: what speakers are called, by their names in the RTTM.
        file_id: the recording's name in the RTTM; None is the only one there, or that of the audio file, whatever its
            suffix and its capitals. Where the only one is another name, the rows have a note of it.

    Returns:
        One for each speaker, in the order of appearance, with the name in the RTTM as `extra["speaker"]`; a `Problem`
        for whoever cannot be heard alone for a second, or has a name that identification does not take.

    Raises:
        MediaError: the RTTM has garbage or is of another recording, or the audio cannot be read.
        ConfigurationError: `labels` names somebody who is not there, or gives two the same label or one that
            identification does not take; or the extra `[audio]` is missing.
    """
    path, given = find_existing(Path(audio)), _normal_names(labels or {})
    if len(given) < len(labels or {}):
        raise ConfigurationError("labels has a speaker twice, in two Unicode forms of one name. Give one of them.")
    for name, label in given.items():
        if problem := label_problem(label):
            raise ConfigurationError(f"{name} cannot be called {printable_label(label)!r}: {problem}.")
    source = find_existing(Path(rttm)) if isinstance(rttm, os.PathLike) else rttm
    clips = clips_from_rttm(source, path, file_id=file_id)
    there = [str(clip.label) for clip in clips]
    if unknown := [name for name in given if name not in there]:
        shown = ", ".join(there[:_NAMES_SHOWN]) + (", …" if len(there) > _NAMES_SHOWN else "")
        raise ConfigurationError(f"The RTTM has no speaker {unknown[0]!r}, only: {shown}.")
    labelled = {name: given.get(name) or _label(name, path) for name in there}
    _check_distinct(labelled)
    return [clip if isinstance(clip, Problem) else _row(clip, labelled[clip.label], path) for clip in clips]


def _normal_names(labels: Mapping[str, str]) -> dict[str, str]:
    # A label of another type is refused with its reason later.
    return {
        normalize_name(name): normalize_name(label) if isinstance(label, str) else label
        for name, label in labels.items()
    }


def _check_distinct(labelled: Mapping[str, str]) -> None:
    speakers: dict[str, str] = {}
    for speaker, label in labelled.items():
        if (other := speakers.setdefault(label.strip(), speaker)) != speaker:
            raise ConfigurationError(
                f"{other} and {speaker} would both be called {label!r}. Give each a name of their own; if they are one "
                "person, give them one name in the RTTM."
            )


def _row(clip: SpeakerClip, label: str, audio: Path) -> Row | Problem:
    if problem := label_problem(label):
        return Problem(f"cannot be listed: {problem}; --label OLD=NEW gives another one", clip.label)
    return Row(label, audio, segments=clip.pieces, extra={"speaker": clip.label}, warnings=clip.notes)


def _label(speaker: str, audio: Path) -> str:
    if not is_reserved_label(speaker):
        return speaker
    named = f"{audio.stem} {speaker}"
    return f"voice {named}" if is_reserved_label(named) else named
