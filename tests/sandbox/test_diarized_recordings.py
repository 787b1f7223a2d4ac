import pytest

from pyannote_voiceprint_async.sandbox.diarized_recordings import DiarizedRecording, SandboxTurn
from pyannote_voiceprint_async.sandbox.voice_vectors import pack_vector


def voice(x: float, y: float) -> bytes:
    return pack_vector([x, y] + [0.0] * 46)


# The third voice speaks least, and is similar to the second one.
RECORDING = DiarizedRecording(
    10.0,
    [SandboxTurn(0.0, 4.0, 0), SandboxTurn(4.0, 5.0, 2), SandboxTurn(5.0, 10.0, 1)],
    [voice(1.0, 0.0), voice(0.0, 1.0), voice(0.1, 0.9)],
)


@pytest.mark.parametrize(("most", "speakers"), [(50, [0, 2, 1]), (3, [0, 2, 1]), (2, [0, 1, 1]), (1, [0, 0, 0])])
def test_the_ones_who_speak_least_are_joined_to_similar_speakers(most, speakers):
    joined = RECORDING.with_speakers(most)
    assert [turn.speaker for turn in joined.turns] == speakers
    assert len(joined.voices) == min(most, 3)
    assert [(turn.start, turn.end) for turn in joined.turns] == [(turn.start, turn.end) for turn in RECORDING.turns]


def test_the_remaining_speaker_is_the_one_who_speaks_most():
    assert RECORDING.with_speakers(1).voices == [voice(0.0, 1.0)]
