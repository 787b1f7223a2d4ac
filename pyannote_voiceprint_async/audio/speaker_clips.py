"""Choose, from the RTTM of a recording, the segments in which each speaker speaks alone."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

import attrs

from pyannote_voiceprint_async.errors import MediaError, Problem

from .rttm import RttmSource, SpeakerTurn, read_turns
from .source import reject_str
from .verdict import LONGEST_SECONDS, SHORTEST_SECONDS

__all__ = ["SpeakerClip", "clips_from_rttm", "clips_from_turns"]

_MICROSECONDS = 1_000_000
# Diarization rounds to its frames, and lossy encoding adds or drops a few samples.
_SLACK_SECONDS, _SLACK_SHARE = 1.0, 0.01
_NAMES_SHOWN = 5


@attrs.frozen
class SpeakerClip:
    """The segments in which one speaker speaks alone, as `cut_segments` accepts them."""

    label: str
    """The speaker's name in the RTTM. Identification rejects names that begin with `speaker_`, in any case."""
    segments: tuple[tuple[float, float], ...]
    """Start and end of each segment in seconds, in temporal order."""
    warnings: tuple[str, ...] = ()
    """Problems that do not prevent use of the clip."""

    @property
    def seconds(self) -> float:
        """Length of all segments together."""
        return round(sum(end - start for start, end in self.segments), 6)


class _Segment(NamedTuple):
    """Start and end in microseconds."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


def clips_from_rttm(
    rttm: RttmSource,
    audio: os.PathLike[str],
    *,
    longest: float = LONGEST_SECONDS,
    shortest: float = SHORTEST_SECONDS,
    file_id: str | None = None,
) -> list[SpeakerClip | Problem]:
    """Choose for each speaker the longest turns that no other speaker overlaps. It blocks.

    Args:
        rttm: a file, its contents, or its lines; see `read_turns`.
        audio: the recording that the RTTM describes.
        longest: the maximum length of each clip in seconds, all segments together.
        shortest: the minimum length of a segment in seconds.
        file_id: the name of the recording in the RTTM. None selects the only recording there, or else the one that is
            named like the audio file, regardless of folder, suffix and case. If the only recording has another name,
            the clips have a warning.

    Returns:
        One for each speaker in the order of appearance: the clip, or a `Problem` where no segment is long enough.

    Raises:
        TypeError: `rttm` or `audio` is a str.
        MediaError: the RTTM is invalid, describes several recordings or another one, or has one name on several
            channels; or the audio cannot be decoded.
        ConfigurationError: the extra `[audio]` is missing.
    """
    reject_str(audio, "The audio", "Pass the file as pathlib.Path(...).")
    turns = _turns_of_recording(read_turns(rttm), PurePath(audio), file_id)
    _check_channels(turns)
    length = _length_with_name(audio)
    last = max(turn.end for turn in turns) / _MICROSECONDS
    if last > length + max(_SLACK_SECONDS, _SLACK_SHARE * length):
        raise MediaError(
            f"The RTTM has turns up to {last:.1f} s, and the audio has {length:.1f} s. They are not of the same "
            "recording, or the audio is incomplete."
        )
    clips = clips_from_turns(turns, longest=longest, shortest=shortest, until=length)
    if file_id is not None or _is_name_of(turns[0].file_id, PurePath(audio)):
        return clips
    warning = (
        f"the RTTM names the recording {turns[0].file_id!r}, and the audio is {PurePath(audio).name!r}; check that "
        "they are the same recording"
    )
    return [attrs.evolve(clip, warnings=(warning,)) if isinstance(clip, SpeakerClip) else clip for clip in clips]


def clips_from_turns(
    turns: Iterable[SpeakerTurn],
    *,
    longest: float = LONGEST_SECONDS,
    shortest: float = SHORTEST_SECONDS,
    until: float | None = None,
) -> list[SpeakerClip | Problem]:
    """Choose clips from the turns of one recording, without access to the audio; see `clips_from_rttm`.

    Args:
        turns: the turns of all speakers.
        longest: the maximum length of each clip in seconds, all segments together.
        shortest: the minimum length of a segment in seconds.
        until: the end of the recording in seconds; None is unknown.

    Raises:
        MediaError: one name is on several channels, where it may belong to several people.
    """
    # Round down: a segment must not end after the recording.
    limit = None if until is None else int(until * _MICROSECONDS)
    by_start = sorted(turns, key=lambda turn: (turn.start, turn.end))
    _check_channels(by_start)
    alone = _segments_alone(by_start)
    return [
        _choose(
            speaker, _end_at(limit, alone[speaker]), round(longest * _MICROSECONDS), round(shortest * _MICROSECONDS)
        )
        for speaker in dict.fromkeys(turn.speaker for turn in by_start)
    ]


def _segments_alone(turns: Sequence[SpeakerTurn]) -> Mapping[str, Sequence[_Segment]]:
    """Return for each speaker the segments in which no other speaks: a sweep over all starts and ends."""
    events = sorted(event for turn in turns for event in ((turn.start, 1, turn.speaker), (turn.end, -1, turn.speaker)))
    segments: dict[str, list[_Segment]] = defaultdict(list)
    # Turns of one speaker may overlap each other, so open turns are counted.
    open_turns: dict[str, int] = {}
    before = 0
    for moment, change, speaker in events:
        if moment > before and len(open_turns) == 1:
            _append(segments[next(iter(open_turns))], _Segment(before, moment))
        before = moment
        open_turns[speaker] = open_turns.get(speaker, 0) + change
        if not open_turns[speaker]:
            del open_turns[speaker]
    return segments


def _append(segments: list[_Segment], segment: _Segment) -> None:
    """Append a segment, merged with the last one where they touch."""
    if segments and segments[-1].end == segment.start:
        segment = _Segment(segments.pop().start, segment.end)
    segments.append(segment)


def _end_at(limit: int | None, segments: Sequence[_Segment]) -> Sequence[_Segment]:
    """Return the segments without what is after the limit."""
    if limit is None:
        return segments
    return [_Segment(start, min(end, limit)) for start, end in segments if start < limit]


def _choose(speaker: str, segments: Sequence[_Segment], longest: int, shortest: int) -> SpeakerClip | Problem:
    chosen, left = [], longest
    for segment in sorted(segments, key=lambda segment: (-segment.length, segment.start)):
        # Segments come longest first, so none of the rest can fit either.
        if min(segment.length, left) < shortest:
            break
        chosen.append(_Segment(segment.start, min(segment.end, segment.start + left)))
        left -= chosen[-1].length
    if not chosen:
        seconds = max((segment.length for segment in segments), default=0) / _MICROSECONDS
        return Problem(
            f"speaks alone for {seconds:.2f} s at most, and {shortest / _MICROSECONDS:g} s are needed; "
            "enroll this voice from another recording",
            speaker,
        )
    return SpeakerClip(speaker, tuple((start / _MICROSECONDS, end / _MICROSECONDS) for start, end in sorted(chosen)))


def _check_channels(turns: Iterable[SpeakerTurn]) -> None:
    """Reject a name on several channels: diarization of separate channels numbers the speakers of each from zero.

    Raises:
        MediaError: a name is on several channels.
    """
    channels: dict[str, str] = {}
    for turn in turns:
        if (other := channels.setdefault(turn.speaker, turn.channel)) != turn.channel:
            raise MediaError(
                f"The RTTM has the speaker {turn.speaker!r} on the channels {other} and {turn.channel}. They may be "
                f"two people. Give them two names in the RTTM, such as {turn.speaker}-{other} and "
                f"{turn.speaker}-{turn.channel}, or, if they are one person, one channel."
            )


def _turns_of_recording(turns: Sequence[SpeakerTurn], audio: PurePath, file_id: str | None) -> Sequence[SpeakerTurn]:
    names = list(dict.fromkeys(turn.file_id for turn in turns))
    file_id = _find_file_id(names, audio) if file_id is None else unicodedata.normalize("NFC", file_id)
    if file_id not in names:
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
        raise MediaError(f"The RTTM has no turns of {file_id!r}, only of: {shown}. Select one (--file-id, file_id=).")
    return [turn for turn in turns if turn.file_id == file_id]


def _find_file_id(names: Sequence[str], audio: PurePath) -> str:
    matches = [name for name in names if _is_name_of(name, audio)]
    return next((found[0] for found in (names, matches) if len(found) == 1), audio.stem)


def _is_name_of(name: str, audio: PurePath) -> bool:
    """Return whether a name in an RTTM is that of a file, regardless of folder, suffix and case."""
    named, audio = PurePath(name), PurePath(unicodedata.normalize("NFC", str(audio)))
    return bool({named.name.casefold(), named.stem.casefold()} & {audio.name.casefold(), audio.stem.casefold()})


def _length_with_name(audio: os.PathLike[str]) -> float:
    """Return the length of the audio in seconds. Errors name the file, because an RTTM is given as well."""
    try:
        return _length(audio)
    except MediaError as error:
        named = str(error) if os.fspath(audio) in str(error) else f"{os.fspath(audio)}: {error}"
        raise MediaError(named) from None


def _length(audio: os.PathLike[str]) -> float:
    from .recording import open_recording

    with open_recording(audio) as recording:
        frames = recording.frames
        # The stated length is right if the last sample can be decoded. Of a truncated recording, count the samples.
        if frames and sum(map(len, recording.blocks(frames - 1))):
            return frames / recording.sample_rate
        return sum(len(block) for block in recording.blocks()) / recording.sample_rate
