"""Measure how long the speakers of two diarizations of one recording speak at the same time."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import NamedTuple, TypeAlias

from pyannote_voiceprint_async.identification_result.time_order import in_order
from pyannote_voiceprint_async.identification_result.turns import IdentifiedTurn

__all__ = ["Overlap", "measure_overlap"]

_Event: TypeAlias = tuple[float, int, int, str]
"""A turn begins (1) or ends (-1): the time, this step, the diarization (0 or 1), and the speaker."""


class Overlap(NamedTuple):
    """How long the speakers of one diarization speak, and how long with each speaker of another one."""

    seconds: dict[str, float]
    """Seconds of speech of each speaker of the first diarization."""
    shared: dict[str, dict[str, float]]
    """Seconds that each speaker of the first diarization shares with each speaker of the second one."""

    def best(self, speaker: str) -> tuple[str | None, float]:
        """Return the speaker of the second diarization with the longest overlap, and the share of the overlap.

        Args:
            speaker: a speaker of the first diarization. A share of 1 means that all of its speech is overlapped.
        """
        shared = self.shared.get(speaker)
        if not shared:
            return None, 0.0
        found = max(shared, key=lambda other: shared[other])
        return found, shared[found] / self.seconds[speaker]


_time: Callable[[_Event], float] = itemgetter(0)
_start, _end = attrgetter("start"), attrgetter("end")


def measure_overlap(turns: Sequence[IdentifiedTurn], others: Sequence[IdentifiedTurn]) -> Overlap:
    """Return for how long each speaker of `turns` speaks, also together with each speaker of `others`.

    Overlapping turns of one speaker count once.
    """
    events = heapq.merge(
        *(
            _events(some, get_time, step, side)
            for side, some in enumerate((turns, others))
            for step, get_time in ((1, _start), (-1, _end))
        ),
        key=_time,
    )
    seconds: dict[str, float] = defaultdict(float)
    shared: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    speaking: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    before = 0.0
    for time, step, side, speaker in events:
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


def _events(
    turns: Sequence[IdentifiedTurn], get_time: Callable[[IdentifiedTurn], float], step: int, side: int
) -> Iterator[_Event]:
    """Yield the events one by one: freeing a list of all of them would block the event loop."""
    return ((get_time(turn), step, side, turn.diarization_speaker) for turn in in_order(turns, get_time))
