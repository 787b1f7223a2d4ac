"""Outputs of identifications, in every form that the API is known to send."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.api.codec import decode, parse_json
from pyannote_voiceprint_async.api.identification_codec import free_lists, read_identification
from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.identification_result.turns import (
    DiarizedTurn,
    FrameConfidence,
    IdentifiedTurn,
    SpeakerScores,
)
from pyannote_voiceprint_async.models import Job, JobStatus, VoiceprintOutput

TURN = {"speaker": "Ann", "start": 0.5, "end": 2, "diarizationSpeaker": "SPEAKER_00", "match": "Ann"}


def test_a_whole_output():
    raw = {
        "diarization": [{"speaker": "SPEAKER_00", "start": 0.5, "end": 2, "confidence": {"SPEAKER_00": 97.5}}],
        "exclusiveDiarization": [{"speaker": "SPEAKER_00", "start": 0.5, "end": 1.5}],
        "confidence": {"score": [99, 98.5], "resolution": 0.02},
        "identification": [TURN],
        "voiceprints": [{"speaker": "SPEAKER_00", "match": "Ann", "confidence": {"Ann": 88, "Bob": 12.5}}],
        "warning": "noisy",
        "error": "none",
        "later": 1,
    }
    assert read_identification(raw) == IdentificationOutput(
        diarization=(DiarizedTurn("SPEAKER_00", 0.5, 2, {"SPEAKER_00": 97.5}),),
        exclusive_diarization=(DiarizedTurn("SPEAKER_00", 0.5, 1.5),),
        confidence=FrameConfidence((99, 98.5), 0.02),
        identification=(IdentifiedTurn("Ann", 0.5, 2, "SPEAKER_00", "Ann"),),
        voiceprints=(SpeakerScores("SPEAKER_00", "Ann", {"Ann": 88, "Bob": 12.5}),),
        warning="noisy",
        error="none",
        extra={"later": 1},
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"match": None, "speaker": "SPEAKER_00"}, IdentifiedTurn("SPEAKER_00", 0.5, 2, "SPEAKER_00")),
        ({"speaker": None}, IdentifiedTurn("Ann", 0.5, 2, "SPEAKER_00", "Ann")),
        ({"speaker": None, "match": None}, IdentifiedTurn("SPEAKER_00", 0.5, 2, "SPEAKER_00")),
        ({"diarizationSpeaker": None}, IdentifiedTurn("Ann", 0.5, 2, "Ann", "Ann")),
        ({"match": 5}, IdentifiedTurn("Ann", 0.5, 2, "SPEAKER_00")),
        ({"confidence": 80}, IdentifiedTurn("Ann", 0.5, 2, "SPEAKER_00", "Ann", 80)),
        ({"confidence": {"a": 1, "b": None}}, IdentifiedTurn("Ann", 0.5, 2, "SPEAKER_00", "Ann", {"a": 1})),
        ({"confidence": {}}, IdentifiedTurn("Ann", 0.5, 2, "SPEAKER_00", "Ann")),
        ({"later": 1}, IdentifiedTurn("Ann", 0.5, 2, "SPEAKER_00", "Ann")),
        ({"end": 0.5}, IdentifiedTurn("Ann", 0.5, 0.5, "SPEAKER_00", "Ann")),
    ],
)
def test_a_turn_in_odd_forms(changes, expected):
    output = read_identification({"identification": [TURN | changes]})
    assert (output.identification, output.unreadable) == ((expected,), 0)


@pytest.mark.parametrize(
    "turn",
    [
        None, 5, [], "x", {}, TURN | {"start": None}, TURN | {"end": "2"}, TURN | {"end": True}, TURN | {"end": 0.4},
        TURN | {"start": -1}, TURN | dict.fromkeys(["speaker", "match", "diarizationSpeaker"]),
    ],
)  # fmt: skip
def test_a_turn_without_a_time_or_a_speaker_is_counted(turn):
    output = read_identification({"identification": [turn, TURN], "diarization": [turn, TURN]})
    assert (len(output.identification), len(output.diarization), output.unreadable) == (1, 1, 2)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"speaker": "S"}, SpeakerScores("S")),
        ({"speaker": "S", "match": None, "confidence": None}, SpeakerScores("S")),
        ({"diarizationSpeaker": "S", "confidence": []}, SpeakerScores("S")),
        ({"speaker": "S", "confidence": {"a": 5, "b": "6", "c": True}}, SpeakerScores("S", None, {"a": 5})),
    ],
)
def test_scores_in_odd_forms(entry, expected):
    assert read_identification({"voiceprints": [entry]}).voiceprints == (expected,)


@pytest.mark.parametrize("confidence", [None, [], {}, {"score": 5, "resolution": 1}, {"score": [], "resolution": True}])
def test_a_confidence_that_cannot_be_read_is_missing(confidence):
    assert read_identification({"confidence": confidence}).confidence is None


def test_a_frame_without_a_number_keeps_its_place():
    output = read_identification({"confidence": {"score": [1, None, 3], "resolution": 1}})
    assert output.confidence == FrameConfidence((1, 0.0, 3), 1)


def test_names_share_one_string():
    """A parser makes new strings for each turn: those of a day would take a hundred megabytes."""
    turns = parse_json(b'{"diarization":[%b]}' % b",".join([b'{"speaker":"SPEAKER_00","start":0,"end":1}'] * 2))
    first, second = read_identification(turns).diarization
    assert first.speaker is second.speaker


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["speaker", "start", "end", "match", "confidence", "score"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
FIELDS = ("diarization", "exclusiveDiarization", "confidence", "identification", "voiceprints", "warning", "error")


@given(st.dictionaries(st.sampled_from(FIELDS), JUNK))
def test_nothing_in_an_output_raises(raw):
    assert isinstance(read_identification(raw), IdentificationOutput)


def test_read_lists_are_freed():
    raw = {"identification": [TURN] * 12_000, "voiceprints": None, "later": [1]}
    output = read_identification(raw)
    free_lists(raw)
    assert raw == {"identification": [], "voiceprints": None, "later": [1]}
    assert (len(output.identification), output.extra) == (12_000, {"later": [1]})


def test_a_job_has_the_output_of_its_kind():
    body = b'{"jobId":"1","status":"succeeded","output":%b}'
    identified = decode(Job, body % b'{"identification":[],"voiceprints":[]}')
    assert identified == Job("1", JobStatus.SUCCEEDED, output=IdentificationOutput())
    assert (identified.has_result, identified.voiceprint) == (True, None)
    diarized = decode(Job, body % b'{"diarization":[]}')
    assert diarized.output == VoiceprintOutput(extra={"diarization": []})
    assert decode(Job, body % b'{"voiceprint":"v"}').output == VoiceprintOutput("v")


@pytest.mark.parametrize("kind", [b'"diarization":[]', b'"identification":[]'])
def test_the_frames_of_a_day_are_numbers(kind):
    """The parser makes an array of them; the output of another kind of job has the list of the API."""
    scores = [number % 100 for number in range(200_000)]
    output = b'{%b,"confidence":{"score":%b,"resolution":0.02}}' % (kind, orjson.dumps(scores))
    found = decode(Job, b'{"jobId":"1","status":"succeeded","output":%b}' % output).output
    if isinstance(found, IdentificationOutput):
        assert found.confidence == FrameConfidence(scores, 0.02)
    else:
        assert found.extra["confidence"] == {"score": scores, "resolution": 0.02}


@pytest.mark.parametrize("filler", [0, 300_000], ids=["small", "large"])
def test_numbers_that_json_does_not_have_are_null(filler):
    """Python's own encoder writes them. The other scores of a paid job stay readable."""
    scores = b'{"Ann":80,"Bob":NaN,"Cleo":-Infinity,"Dan":1e999}'
    output = b'{"later":"%b","voiceprints":[{"speaker":"S","match":NaN,"confidence":%b}]}' % (b"x" * filler, scores)
    found = decode(Job, b'{"jobId":"1","status":"succeeded","output":%b}' % output).output
    assert found.voiceprints == (SpeakerScores("S", None, {"Ann": 80}),)


@pytest.mark.parametrize("number", [1e10, -1e10, 1.7e308])
def test_numbers_without_a_meaning_are_left_out(number):
    """Their sums and differences would become infinite."""
    scores = [{"speaker": "S", "confidence": {"Ann": 80, "Bob": number}}]
    output = read_identification({"identification": [TURN | {"end": number}, TURN], "voiceprints": scores})
    assert (len(output.identification), output.unreadable) == (1, 1)
    assert output.voiceprints[0].confidence == {"Ann": 80}
