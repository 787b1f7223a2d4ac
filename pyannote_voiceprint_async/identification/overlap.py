"""Who speaks at the same time: the seconds that the speakers of two diarizations of one recording share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from pyannote_voiceprint_async.identification_result.turns import IdentifiedTurn

__all__ = ["Overlap", "measure_overlap"]


class Overlap(NamedTuple):
    """How long the speakers of one diarization speak, and how long with each speaker of another one."""

    seconds: dict[str, float]
    """Seconds of speech of each speaker of the first diarization."""
    shared: dict[str, dict[str, float]]
    """Seconds that each of them shares with each speaker of the second one."""

    def best(self, speaker: str) -> tuple[str | None, float]:
        """Return the speaker with whom most of the speech is shared, and the share from 0 to 1."""
        shared = self.shared.get(speaker)
        if not shared:
            return None, 0.0
        found = max(shared, key=lambda other: shared[other])
        return found, shared[found] / self.seconds[speaker]


def measure_overlap(turns: Iterable[IdentifiedTurn], others: Iterable[IdentifiedTurn]) -> Overlap:
    """Return how much of the speech in `turns` each speaker of `others` shares. Turns of one speaker count once."""
    events = [
        (time, step, side, turn.diarization_speaker)
        for side, some in enumerate((turns, others))
        for turn in some
        for time, step in ((turn.start, 1), (turn.end, -1))
    ]
    seconds: dict[str, float] = defaultdict(float)
    shared: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    speaking: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    before = 0.0
    for time, step, side, speaker in sorted(events):
        if time > before:
            for mine in speaking[0]:
                seconds[mine] += time - before
                for other in speaking[1]:
                    shared[mine][other] += time - before
        before = time
        speaking[side][speaker] += step
        if not speaking[side][speaker]:
            del speaking[side][speaker]
    return Overlap(dict(seconds), {speaker: dict(others) for speaker, others in shared.items()})
