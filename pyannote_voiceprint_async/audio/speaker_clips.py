"""What of a recording is one speaker alone, chosen by its RTTM."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

import attrs

from pyannote_voiceprint_async.errors import MediaError, Problem

from .rttm import SpeakerTurn, read_turns
from .verdict import LONGEST_SECONDS, SHORTEST_SECONDS

__all__ = ["SpeakerClip", "clips_from_rttm", "clips_from_turns"]

_MICRO = 1_000_000
# Diarization rounds to its frames, and lossy files have a few samples more or less.
_SLACK_SECONDS, _SLACK_SHARE = 1.0, 0.01
_NAMES_SHOWN = 5


@attrs.frozen
class SpeakerClip:
    """Where one speaker can be heard alone: what `cut_segments` takes."""

    label: str
    """The speaker's name in the RTTM. Identification takes none that begins with `speaker_`, in any case."""
    segments: tuple[tuple[float, float], ...]
    """Starts and ends in seconds, in the order of time."""
    warnings: tuple[str, ...] = ()
    """What is to be told of it, and is no reason not to use it."""

    @property
    def seconds(self) -> float:
        """How long the pieces are together."""
        return round(sum(end - start for start, end in self.segments), 6)


class _Piece(NamedTuple):
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


def clips_from_rttm(
    rttm: os.PathLike[str] | str | Iterable[str],
    audio: os.PathLike[str],
    *,
    longest: float = LONGEST_SECONDS,
    shortest: float = SHORTEST_SECONDS,
    file_id: str | None = None,
) -> list[SpeakerClip | Problem]:
    """Choose for each speaker the longest turns that overlap nobody. It blocks.

    Args:
        rttm: a file, its text, or its lines.
        audio: the recording that it tells of.
        longest: seconds for each speaker, all pieces together.
        shortest: seconds of a piece; shorter ones are not used.
        file_id: the recording's name in the RTTM. None is the only one there, or that of the audio file, whatever its
            suffix and its capitals. Where the only one is another name, the clips have a note of it.

    Returns:
        One for each speaker in the order of appearance: what to cut, or a `Problem` where nobody can be heard alone.

    Raises:
        MediaError: the RTTM has garbage, is of several recordings or of another one, or has one name on several
            channels; or the audio cannot be read.
        ConfigurationError: the extra `[audio]` is missing.
    """
    turns = _of_one_file(read_turns(rttm), PurePath(audio), file_id)
    _check_channels(turns)
    try:
        length = _seconds(audio)
    except MediaError as error:
        named = str(error) if os.fspath(audio) in str(error) else f"{os.fspath(audio)}: {error}"
        raise MediaError(named) from None
    last = max(turn.end for turn in turns) / _MICRO
    if last > length + max(_SLACK_SECONDS, _SLACK_SHARE * length):
        raise MediaError(
            f"The RTTM tells of {last:.1f} s, and the audio has {length:.1f} s. They are not of the same recording, "
            "or the audio is not complete."
        )
    found = clips_from_turns(turns, longest=longest, shortest=shortest, until=length)
    if file_id is not None or _is_called(turns[0].file_id, PurePath(audio)):
        return found
    note = (
        f"the RTTM tells of {turns[0].file_id!r}, and the audio is {PurePath(audio).name!r}; see that they are of the "
        "same recording"
    )
    return [attrs.evolve(one, warnings=(note,)) if isinstance(one, SpeakerClip) else one for one in found]


def clips_from_turns(
    turns: Iterable[SpeakerTurn],
    *,
    longest: float = LONGEST_SECONDS,
    shortest: float = SHORTEST_SECONDS,
    until: float | None = None,
) -> list[SpeakerClip | Problem]:
    """Choose among turns of one recording; see `clips_from_rttm`. Pure.

    Args:
        turns: who speaks when.
        longest: seconds for each speaker, all pieces together.
        shortest: seconds of a piece.
        until: where the recording ends, in seconds.

    Raises:
        MediaError: a name is on several channels, where it may be that of several people.
    """
    # Down to the microsecond before the end, never one after it.
    limit = None if until is None else int(until * _MICRO)
    by_start = sorted(turns, key=lambda turn: (turn.start, turn.end))
    _check_channels(by_start)
    alone = _alone(by_start)
    return [
        _chosen(speaker, _shortened(alone[speaker], limit), round(longest * _MICRO), round(shortest * _MICRO))
        for speaker in dict.fromkeys(turn.speaker for turn in by_start)
    ]


def _alone(turns: Sequence[SpeakerTurn]) -> Mapping[str, Sequence[_Piece]]:
    """Sweep over all beginnings and ends, and note where exactly one speaker speaks."""
    events = sorted(event for turn in turns for event in ((turn.start, 1, turn.speaker), (turn.end, -1, turn.speaker)))
    pieces: dict[str, list[_Piece]] = defaultdict(list)
    speaking: dict[str, int] = {}
    before = 0
    for moment, change, speaker in events:
        if moment > before and len(speaking) == 1:
            _extend(pieces[next(iter(speaking))], _Piece(before, moment))
        before = moment
        # A speaker's own turns may overlap: they are counted.
        speaking[speaker] = speaking.get(speaker, 0) + change
        if not speaking[speaker]:
            del speaking[speaker]
    return pieces


def _extend(pieces: list[_Piece], piece: _Piece) -> None:
    if pieces and pieces[-1].end == piece.start:
        piece = _Piece(pieces.pop().start, piece.end)
    pieces.append(piece)


def _shortened(pieces: Sequence[_Piece], limit: int | None) -> Sequence[_Piece]:
    return pieces if limit is None else [_Piece(start, min(end, limit)) for start, end in pieces if start < limit]


def _chosen(speaker: str, pieces: Sequence[_Piece], longest: int, shortest: int) -> SpeakerClip | Problem:
    chosen, left = [], longest
    for piece in sorted(pieces, key=lambda piece: (-piece.length, piece.start)):
        # The longest come first: after one that is too short, or room for none, nothing is left to find.
        if min(piece.length, left) < shortest:
            break
        chosen.append(_Piece(piece.start, min(piece.end, piece.start + left)))
        left -= chosen[-1].length
    if not chosen:
        heard = max((piece.length for piece in pieces), default=0) / _MICRO
        return Problem(
            f"speaks alone for {heard:.2f} s at most, and {shortest / _MICRO:g} s are needed; "
            "enroll this voice from another recording",
            speaker,
        )
    return SpeakerClip(speaker, tuple((start / _MICRO, end / _MICRO) for start, end in sorted(chosen)))


def _check_channels(turns: Iterable[SpeakerTurn]) -> None:
    """Make sure that no name is on several channels: diarization of each channel numbers its speakers anew."""
    channels: dict[str, str] = {}
    for turn in turns:
        if (other := channels.setdefault(turn.speaker, turn.channel)) != turn.channel:
            raise MediaError(
                f"The RTTM has the speaker {turn.speaker!r} on the channels {other} and {turn.channel}. They may be "
                f"two people. Give them two names in the RTTM, such as {turn.speaker}-{other} and "
                f"{turn.speaker}-{turn.channel}, or, if they are one person, one channel."
            )


def _of_one_file(turns: Sequence[SpeakerTurn], audio: PurePath, file_id: str | None) -> Sequence[SpeakerTurn]:
    there = list(dict.fromkeys(turn.file_id for turn in turns))
    file_id = None if file_id is None else unicodedata.normalize("NFC", file_id)
    if file_id is None:
        called = [name for name in there if _is_called(name, audio)]
        file_id = next((names[0] for names in (there, called) if len(names) == 1), audio.stem)
    if file_id not in there:
        names = ", ".join(there[:_NAMES_SHOWN]) + (", …" if len(there) > _NAMES_SHOWN else "")
        raise MediaError(f"The RTTM has no turns of {file_id!r}, only of: {names}. Say which it is (--file-id).")
    return [turn for turn in turns if turn.file_id == file_id]


def _is_called(name: str, audio: PurePath) -> bool:
    """Whether a name in an RTTM is that of a file, but for folders, suffixes and capitals."""
    told, audio = PurePath(name), PurePath(unicodedata.normalize("NFC", str(audio)))
    return bool({told.name.casefold(), told.stem.casefold()} & {audio.name.casefold(), audio.stem.casefold()})


def _seconds(audio: os.PathLike[str]) -> float:
    from .recording import opened

    with opened(audio) as recording:
        frames = recording.frames
        # A recording that breaks off is as long as what can be read of it, whatever its header tells.
        if frames and sum(map(len, recording.blocks(frames - 1))):
            return frames / recording.sample_rate
        return sum(len(block) for block in recording.blocks()) / recording.sample_rate
