"""Rows for the speakers of a conversation, made from the speaker turns that diarization writes as RTTM."""

import os
from collections.abc import Mapping
from pathlib import Path

from pyannote_voiceprint_async.audio import RttmSource, SpeakerClip, clips_from_rttm
from pyannote_voiceprint_async.audio.source import reject_str
from pyannote_voiceprint_async.errors import ConfigurationError

from .label_checks import is_reserved_label, label_problem, printable_label
from .names import find_existing, normalize_name
from .rows import Problem, Row

__all__ = ["rows_from_rttm"]

_MAX_NAMES_SHOWN = 5


def rows_from_rttm(
    rttm: RttmSource,
    audio: os.PathLike[str],
    *,
    labels: Mapping[str, str] | None = None,
    file_id: str | None = None,
) -> list[Row | Problem]:
    """Return a row for each speaker: the longest turns that overlap no other speaker, at most 30 seconds. Blocks.

    Identification rejects labels that begin with `speaker_`, and diarization uses such names for the speakers of every
    recording. Unless `labels` has a name for it, `SPEAKER_00` of `meeting.wav` gets the label `meeting SPEAKER_00`.

    Args:
        rttm: the RTTM: a `PathLike`, bytes, an open binary file, or lines of text; see `audio.read_turns`. A `str` is
            refused, because it could be a path or a text.
        audio: the recording, as a `PathLike`.
        labels: labels of speakers, by their names in the RTTM.
        file_id: the recording's name in the RTTM. None selects the only name in it, or the one that equals the name of
            the audio file without folder, suffix and case. If the only name is another one, the rows have a warning.

    Returns:
        One element per speaker, in the order of appearance. A row has the speaker's name in the RTTM as
        `extra["speaker"]`. A `Problem` reports a speaker who is never alone for a second, or whose label identification
        would reject.

    Raises:
        TypeError: `rttm` or `audio` is a `str`.
        MediaError: the RTTM is malformed or belongs to another recording, or the audio cannot be read.
        ConfigurationError: `labels` names a speaker that is not in the RTTM, or gives a label twice or one that
            identification rejects; or the extra `[audio]` is missing.
    """
    reject_str(audio, "The audio", "Pass the file as pathlib.Path(...).")
    path, given = find_existing(Path(audio)), _normalize_labels(labels or {})
    source = find_existing(Path(rttm)) if isinstance(rttm, os.PathLike) else rttm
    clips = clips_from_rttm(source, path, file_id=file_id)
    speakers = [str(clip.label) for clip in clips]
    _check_speakers_exist(given, speakers)
    label_of = {speaker: given.get(speaker) or _default_label(speaker, path) for speaker in speakers}
    _check_labels_differ(label_of)
    return [clip if isinstance(clip, Problem) else _to_row(clip, label_of[clip.label], path) for clip in clips]


def _normalize_labels(labels: Mapping[str, str]) -> dict[str, str]:
    normalized = {
        # `label_problem` refuses a label of another type.
        normalize_name(speaker): normalize_name(label) if isinstance(label, str) else label
        for speaker, label in labels.items()
    }
    if len(normalized) < len(labels):
        raise ConfigurationError(
            "labels has a speaker twice, in two Unicode forms of the same name. Remove one of them."
        )
    for speaker, label in normalized.items():
        if problem := label_problem(label):
            raise ConfigurationError(f"{speaker} cannot get the label {printable_label(label)!r}: {problem}.")
    return normalized


def _check_speakers_exist(labels: Mapping[str, str], speakers: list[str]) -> None:
    unknown = next((speaker for speaker in labels if speaker not in speakers), None)
    if unknown is not None:
        shown = ", ".join(speakers[:_MAX_NAMES_SHOWN]) + (", …" if len(speakers) > _MAX_NAMES_SHOWN else "")
        raise ConfigurationError(f"The RTTM has no speaker {unknown!r}, only: {shown}.")


def _check_labels_differ(label_of: Mapping[str, str]) -> None:
    speaker_of: dict[str, str] = {}
    for speaker, label in label_of.items():
        if (other := speaker_of.setdefault(label.strip(), speaker)) != speaker:
            raise ConfigurationError(
                f"{other} and {speaker} would both get the label {label!r}. Give each speaker a different label; if "
                "they are one person, use one name for both in the RTTM."
            )


def _to_row(clip: SpeakerClip, label: str, audio: Path) -> Row | Problem:
    if problem := label_problem(label):
        return Problem(f"cannot be listed: {problem}; pass another label with --label OLD=NEW", clip.label)
    return Row(label, audio, segments=clip.segments, extra={"speaker": clip.label}, warnings=clip.warnings)


def _default_label(speaker: str, audio: Path) -> str:
    if not is_reserved_label(speaker):
        return speaker
    label = f"{audio.stem} {speaker}"
    # The file itself may be called speaker_….
    return f"voice {label}" if is_reserved_label(label) else label
