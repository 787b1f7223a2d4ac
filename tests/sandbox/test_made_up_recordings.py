from itertools import pairwise

import pytest

from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.made_up_recordings import make_up_recording
from pyannote_voiceprint_async.sandbox.voice_vectors import made_up_vector

SPEAKERS = {name: made_up_vector(name.encode()) for name in ("anna", "bert", "clara")}


@pytest.mark.parametrize("seed", [b"one", b"two", b"three"])
@pytest.mark.parametrize(
    ("fields", "speakers"),
    [
        ({}, {2, 3, 4}),
        ({"min_speakers": 6, "max_speakers": 6}, {6}),
        ({"max_speakers": 1}, {1}),
        ({"min_speakers": 3, "max_speakers": 3}, {3}),
    ],
)
def test_a_made_up_recording_is_a_conversation_of_the_requested_speakers(seed, fields, speakers):
    fields = IdentifyFields(SPEAKERS, **fields)
    made_up = make_up_recording(seed, 60.0, fields)
    assert make_up_recording(seed, 60.0, fields) == made_up
    assert {len(made_up.voices), len({turn.speaker for turn in made_up.turns})} <= speakers
    assert set(SPEAKERS.values()).intersection(made_up.voices)
    assert made_up.turns[0].start >= 0.0
    assert made_up.turns[-1].end == 60.0
    assert all(turn.start < turn.end for turn in made_up.turns)
    assert all(one.start < other.start for one, other in pairwise(made_up.turns))


def test_a_made_up_recording_has_the_requested_number_of_turns():
    made_up = make_up_recording(b"long", 24 * 3600.0, IdentifyFields(SPEAKERS), 100_000)
    assert (len(made_up.turns), made_up.turns[-1].end) == (100_000, 24 * 3600.0)
