"""Who speaks when in a recording, as the sandbox measured it or made it up."""

from collections.abc import Sequence
from functools import partial

import attrs

from pyannote_voiceprint_async.sandbox.voice_vectors import similarity


@attrs.frozen
class SandboxTurn:
    """Uninterrupted speech of one speaker."""

    start: float
    """Seconds from the start of the recording."""
    end: float
    """Seconds from the start of the recording."""
    speaker: int
    """Index of the speaker in `DiarizedRecording.voices`."""


@attrs.frozen
class DiarizedRecording:
    """The turns of a recording, and the vector of each speaker's voice."""

    seconds: float
    """Length of the recording."""
    turns: Sequence[SandboxTurn]
    """Ordered by their start."""
    voices: Sequence[bytes]

    def with_speakers(self, most: int) -> "DiarizedRecording":
        """Return the recording with at most this many speakers: the ones who speak least are joined to similar ones."""
        seconds = [0.0] * len(self.voices)
        for turn in self.turns:
            seconds[turn.speaker] += turn.end - turn.start
        kept = sorted(sorted(range(len(seconds)), key=seconds.__getitem__, reverse=True)[:most])
        speakers = [max(kept, key=partial(self._similarity, voice)) for voice in range(len(self.voices))]
        turns = [attrs.evolve(turn, speaker=kept.index(speakers[turn.speaker])) for turn in self.turns]
        return DiarizedRecording(self.seconds, turns, [self.voices[index] for index in kept])

    def _similarity(self, one: int, other: int) -> float:
        return similarity(self.voices[one], self.voices[other])
