"""Speakers of a recording, told apart by the mean and the deviation of 24 bands of the spectrum.

These numbers differ between the voices of the examples, and also between microphones, rooms and languages: this is no
recognition of a voice.
"""

from collections.abc import Iterable, Iterator

import attrs
import numpy as np

from pyannote_voiceprint_async.sandbox.diarized_recordings import DiarizedRecording, SandboxTurn
from pyannote_voiceprint_async.sandbox.spectra import Floats, Spectra
from pyannote_voiceprint_async.sandbox.voice_vectors import pack_vector

# Seconds: the shortest pause between two segments, the shortest segment, the shortest one whose voice can be compared,
# and the longest pause inside a turn.
_PAUSE, _SHORTEST, _COMPARABLE, _LONGEST_GAP = 0.3, 0.2, 2.0, 0.6

# Segments that are at least this similar belong to one speaker.
_SAME_VOICE = 0.2

# The time to compare all segments grows with the third power of their number.
_MOST_SEGMENTS = 500

_DEVIATION_WEIGHT = 6.0

# The 24 means and 24 weighted deviations of an average voice. Without their subtraction all voices would be similar.
_AVERAGE = np.array([
    0.17, 2.14, 2.93, 2.50, 2.12, 1.85, 1.20, 0.50, -0.06, -0.10, -0.31, -0.47,
    -0.77, -1.06, -1.16, -1.14, -0.96, -0.98, -0.99, -1.15, -1.17, -0.98, -0.90, -1.19,
    8.49, 8.00, 7.27, 7.39, 7.77, 7.10, 5.97, 5.38, 5.50, 5.38, 5.08, 5.13,
    4.99, 4.87, 4.82, 4.92, 5.24, 5.59, 6.01, 6.08, 5.60, 5.39, 5.73, 6.30,
])  # fmt: skip


@attrs.frozen(eq=False)
class VoiceSums:
    """Sums over frames of speech, from which a vector can be computed. They can be added."""

    count: float
    total: Floats
    squares: Floats

    @classmethod
    def of(cls, shapes: Floats) -> "VoiceSums":
        """Return the sums over some frames."""
        return cls(len(shapes), shapes.sum(axis=0), (shapes**2).sum(axis=0))

    def __add__(self, other: "VoiceSums") -> "VoiceSums":
        return VoiceSums(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def vector(self) -> Floats:
        """Return the difference from an average voice, as a vector of length 1."""
        mean = self.total / self.count
        deviation = np.sqrt(np.maximum(0.0, self.squares / self.count - mean**2))
        numbers = np.concatenate([mean, _DEVIATION_WEIGHT * deviation / (deviation.mean() + 1e-9)]) - _AVERAGE
        return np.asarray(numbers / (np.linalg.norm(numbers) + 1e-9))


def find_voices(spectra: Spectra) -> tuple[bytes, DiarizedRecording]:
    """Return the vector of all speech of a recording together, and who speaks when."""
    segments = _find_segments(spectra)
    sums = [_sum(spectra, *segment) for segment in segments]
    groups = _group(sums)
    speakers = {index: number for number, group in enumerate(groups) for index in group}
    voices = [_pack(_add(sums[index] for index in group)) for group in groups]
    turns = list(_turns(spectra, [(*segment, speakers[index]) for index, segment in enumerate(segments)]))
    everything = VoiceSums.of(spectra.shapes[spectra.is_speech])
    return _pack(everything), DiarizedRecording(spectra.seconds, turns, voices)


def _find_segments(spectra: Spectra) -> list[tuple[int, int]]:
    """Return the first frame of each segment of speech, and the frame behind its last one."""
    pause = _PAUSE / spectra.hop
    segments = _split_at_pauses(spectra, pause)
    while len(segments) > _MOST_SEGMENTS:
        pause *= 2
        segments = _split_at_pauses(spectra, pause)
    long_enough = [(first, end) for first, end in segments if (end - first) * spectra.hop >= _SHORTEST]
    return _join_short(long_enough or segments, _COMPARABLE / spectra.hop, _LONGEST_GAP / spectra.hop)


def _split_at_pauses(spectra: Spectra, pause: float) -> list[tuple[int, int]]:
    frames = np.flatnonzero(spectra.is_speech)
    breaks = np.flatnonzero(np.diff(frames) > pause)
    firsts = frames[np.concatenate([[0], breaks + 1])]
    lasts = frames[np.concatenate([breaks, [len(frames) - 1]])]
    return [(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def _join_short(segments: list[tuple[int, int]], comparable: float, longest_gap: float) -> list[tuple[int, int]]:
    """Join each segment that is too short to be compared to the neighbor behind the shorter pause."""
    joined: list[tuple[int, int]] = []
    for index, (first, end) in enumerate(segments):
        before = first - joined[-1][1] if joined else np.inf
        after = segments[index + 1][0] - end if index + 1 < len(segments) else np.inf
        if end - first >= comparable or min(before, after) > longest_gap:
            joined.append((first, end))
        elif before <= after:
            joined[-1] = joined[-1][0], end
        else:
            segments[index + 1] = first, segments[index + 1][1]
    return joined


def _sum(spectra: Spectra, first: int, end: int) -> VoiceSums:
    return VoiceSums.of(spectra.shapes[first:end][spectra.is_speech[first:end]])


def _add(sums: Iterable[VoiceSums]) -> VoiceSums:
    first, *others = sums
    return sum(others, first)


def _group(sums: list[VoiceSums]) -> list[list[int]]:
    """Join the most similar segments until all that remain differ. Return the indexes of each group's segments."""
    groups, joined = [[index] for index in range(len(sums))], list(sums)
    while len(groups) > 1:
        vectors = np.array([one.vector() for one in joined])
        similarities = np.triu(vectors @ vectors.T, 1) - np.tri(len(groups)) * 2
        one, other = divmod(int(similarities.argmax()), len(groups))
        if similarities[one, other] < _SAME_VOICE:
            break
        groups[one] += groups.pop(other)
        joined[one] += joined.pop(other)
    return groups


def _turns(spectra: Spectra, segments: Iterable[tuple[int, int, int]]) -> Iterator[SandboxTurn]:
    """Yield the turns. Segments of one speaker with a short pause between them are one turn."""
    gap = _LONGEST_GAP / spectra.hop
    turns: list[tuple[int, int, int]] = []
    for first, end, speaker in segments:
        if turns and turns[-1][2] == speaker and first - turns[-1][1] <= gap:
            turns[-1] = turns[-1][0], end, speaker
        else:
            turns.append((first, end, speaker))
    for first, end, speaker in turns:
        yield SandboxTurn(round(first * spectra.hop, 3), round(end * spectra.hop, 3), speaker)


def _pack(sums: VoiceSums) -> bytes:
    return pack_vector(float(number) for number in sums.vector())
