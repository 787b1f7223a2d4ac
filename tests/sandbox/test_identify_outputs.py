"""The output of identification jobs from recordings and submissions: which speaker matches which label."""

import pytest

from pyannote_voiceprint_async.sandbox.diarized_recordings import DiarizedRecording, SandboxTurn
from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.identify_outputs import identify
from pyannote_voiceprint_async.sandbox.voice_vectors import made_up_vector

ANNA, BERT, CLARA, STRANGER = (made_up_vector(name) for name in (b"anna", b"bert", b"clara", b"stranger"))
SPEAKERS = {"anna": ANNA, "bert": BERT, "clara": CLARA}


def recording(*voices):
    """Return a recording in which each voice has one turn of 10 seconds, and the last two turns overlap."""
    turns = [SandboxTurn(10.0 * index, 10.0 * index + 10.0, index) for index in range(len(voices))]
    turns[-2] = SandboxTurn(turns[-2].start, turns[-2].end + 1.0, turns[-2].speaker)
    return DiarizedRecording(10.0 * len(voices), turns, voices)


def matches(voices, **fields):
    """Return the match of each diarized speaker."""
    output = identify(recording(*voices), IdentifyFields(**{"speakers": SPEAKERS, **fields}))
    return [voice["match"] for voice in output["voiceprints"]]


def test_the_output_names_speakers_turns_and_scores():
    output = identify(recording(BERT, STRANGER), IdentifyFields(SPEAKERS, threshold=60))
    assert output["diarization"] == [
        {"speaker": "SPEAKER_00", "start": 0.0, "end": 11.0},
        {"speaker": "SPEAKER_01", "start": 10.0, "end": 20.0},
    ]
    assert output["identification"] == [
        {"speaker": "bert", "start": 0.0, "end": 11.0, "diarizationSpeaker": "SPEAKER_00", "match": "bert"},
        {"speaker": "SPEAKER_01", "start": 10.0, "end": 20.0, "diarizationSpeaker": "SPEAKER_01", "match": None},
    ]
    bert, stranger = output["voiceprints"]
    assert (bert["speaker"], bert["match"], bert["confidence"]["bert"]) == ("SPEAKER_00", "bert", 100.0)
    assert (stranger["speaker"], stranger["match"]) == ("SPEAKER_01", None)
    assert sorted(stranger["confidence"]) == ["anna", "bert", "clara"]
    assert all(0 <= score < 60 for score in stranger["confidence"].values())
    assert sorted(output) == ["diarization", "identification", "voiceprints"]


@pytest.mark.parametrize(
    ("voices", "fields", "expected"),
    [
        ((ANNA, BERT), {}, ["anna", "bert"]),
        ((CLARA, CLARA), {"exclusive_matching": False}, ["clara", "clara"]),
        ((CLARA, CLARA), {"threshold": 60}, ["clara", None]),
        ((STRANGER, STRANGER), {"threshold": 60}, [None, None]),
        ((BERT, ANNA), {"speakers": {"anna": ANNA}}, [None, "anna"]),
    ],
)
def test_a_label_matches_once_unless_matching_is_not_exclusive(voices, fields, expected):
    assert matches(voices, **fields) == expected


def test_without_a_threshold_every_voiceprint_matches_somebody():
    assert None not in matches((STRANGER, ANNA))


def test_exclusive_diarization_has_no_overlap():
    output = identify(recording(ANNA, BERT), IdentifyFields(SPEAKERS, exclusive=True))
    assert [(turn["start"], turn["end"]) for turn in output["exclusiveDiarization"]] == [(0.0, 10.0), (10.0, 20.0)]
    assert [(turn["start"], turn["end"]) for turn in output["diarization"]] == [(0.0, 11.0), (10.0, 20.0)]


def test_confidence_has_one_number_per_frame():
    confidence = identify(recording(ANNA, BERT), IdentifyFields(SPEAKERS, confidence=True))["confidence"]
    assert (len(confidence["score"]) * confidence["resolution"]) == pytest.approx(20.0)


def test_turns_have_the_confidence_of_each_speaker_and_label():
    output = identify(recording(ANNA, BERT), IdentifyFields(SPEAKERS, turn_level_confidence=True))
    assert output["diarization"][0]["confidence"] == {"SPEAKER_00": 95.0, "SPEAKER_01": 5.0}
    assert output["identification"][0]["confidence"] == output["voiceprints"][0]["confidence"]
