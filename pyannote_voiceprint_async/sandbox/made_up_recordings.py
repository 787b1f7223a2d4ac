"""Conversations that are made up, for recordings that the sandbox cannot measure."""

from collections.abc import Iterator, Sequence
from random import Random

from pyannote_voiceprint_async.sandbox.diarized_recordings import DiarizedRecording, SandboxTurn
from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.voice_vectors import made_up_vector

_TURN_SECONDS = (1.5, 6.0)

# The pause before a turn, as a share of the turn. A negative pause is an overlap.
_PAUSE_SHARES = (-0.1, 0.2)

_MADE_UP_SPEAKERS = (2, 4)


def make_up_recording(
    seed: bytes, seconds: float, fields: IdentifyFields, count: int | None = None
) -> DiarizedRecording:
    """Return a conversation of some of the submitted speakers. The same arguments return the same conversation.

    Args:
        seed: Identifies the recording.
        seconds: Length of the recording.
        fields: The submission. Strangers speak if it has fewer voiceprints than the recording needs speakers.
        count: Number of turns; `None` fills the recording with turns of a few seconds.
    """
    random = Random(seed)
    lengths = list(_turn_lengths(random, seconds)) if count is None else [seconds / count] * count
    wanted = min(max(random.randint(*_MADE_UP_SPEAKERS), fields.min_speakers), fields.max_speakers, len(lengths))
    voices = random.sample(list(fields.speakers.values()), min(wanted, len(fields.speakers)))
    voices += [made_up_vector(b"stranger %d " % index + seed) for index in range(wanted - len(voices))]
    return DiarizedRecording(seconds, list(_turns(random, lengths, wanted)), voices)


def _turn_lengths(random: Random, seconds: float) -> Iterator[float]:
    """Yield lengths of turns in seconds that fill the recording."""
    while seconds > 0:
        length = min(seconds, random.uniform(*_TURN_SECONDS))
        yield length
        seconds -= length


def _turns(random: Random, lengths: Sequence[float], speakers: int) -> Iterator[SandboxTurn]:
    """Yield one turn per length. Each speaker has one of the first turns, and no speaker has two turns in a row."""
    at, speaker = 0.0, -1
    for index, length in enumerate(lengths):
        speaker = index if index < speakers else (speaker + random.randint(1, max(1, speakers - 1))) % speakers
        # Only different speakers can overlap.
        shortest_pause = _PAUSE_SHARES[0] if speakers > 1 else 0.0
        start = max(0.0, at + length * random.uniform(shortest_pause, _PAUSE_SHARES[1]))
        at += length
        yield SandboxTurn(round(start, 3), round(at, 3), speaker)
