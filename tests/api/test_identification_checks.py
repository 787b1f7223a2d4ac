"""What is refused before an identification is sent."""

import math

import pytest

from pyannote_voiceprint_async import InvalidRequestError
from pyannote_voiceprint_async.api.request_checks import check_request
from pyannote_voiceprint_async.models import IdentificationRequest, Matching, Voiceprint

URL = "https://example.com/talk.wav"
FINE = {"Ann": "value"}
SECRET = "VOICEPRINT-SECRET"


def voiceprint(model: str) -> Voiceprint:
    return Voiceprint(SECRET, model, "job-1")


@pytest.mark.parametrize(
    "request_",
    [
        IdentificationRequest(URL, FINE),
        IdentificationRequest("media://talk.wav", {"x" * 100: "v" * 20_000, "Speaker 1": "v"}),
        IdentificationRequest(URL, {str(number): "v" for number in range(50)}),
        IdentificationRequest(URL, {"Ann": voiceprint("precision-3"), "Bob": "v"}, "precision-3"),
        IdentificationRequest(URL, FINE, matching=Matching(100, exclusive=False)),
        IdentificationRequest(URL, FINE, num_speakers=1, min_speakers=2, max_speakers=2),
        IdentificationRequest(URL, FINE, vad_sensitivity=-5.0, crosstalk_sensitivity=5),
    ],
)
def test_valid_requests(request_):
    check_request(request_)


def errors(voiceprints=FINE, url=URL, **fields):
    with pytest.raises(InvalidRequestError) as caught:
        check_request(IdentificationRequest(url, voiceprints, **fields))
    assert SECRET not in str(caught.value)
    return [(error.field, error.message) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("voiceprints", "field", "message"),
    [
        ({}, "voiceprints", "must be 1 to 50 voiceprints, not 0"),
        (
            {str(number): "v" for number in range(51)},
            "voiceprints",
            "must be 1 to 50 voiceprints, not 51; identification.identify_among() makes one job for each 50",
        ),
        ([SECRET], "voiceprints", "must be a mapping of labels to voiceprints, not list"),
        (SECRET, "voiceprints", "must be a mapping of labels to voiceprints, not str"),
        (None, "voiceprints", "must be a mapping of labels to voiceprints, not NoneType"),
        ({"": "v"}, "voiceprints[0].label", "must not be empty"),
        ({5: "v"}, "voiceprints[0].label", "must be a str, not int"),
        ({"x" * 101: "v"}, "voiceprints[0].label", "must be at most 100 characters long, not 101"),
        ({"\ud800": "v"}, "voiceprints[0].label", "must not have lone surrogates"),
        ({"Ann": ""}, "voiceprints[0].voiceprint", "must not be empty"),
        (
            {"Ann": "v", "Bob": "v" * 20_001},
            "voiceprints[1].voiceprint",
            "must be at most 20000 characters long, not 20001",
        ),
        ({"Ann": b"v"}, "voiceprints[0].voiceprint", "must be a Voiceprint, or its value as str, not bytes"),
        ({"Ann": None}, "voiceprints[0].voiceprint", "must be a Voiceprint, or its value as str, not NoneType"),
        ({"Ann": [SECRET]}, "voiceprints[0].voiceprint", "must be a Voiceprint, or its value as str, not list"),
        ({"Ann": "\udfff"}, "voiceprints[0].voiceprint", "must not have lone surrogates"),
    ],
)
def test_invalid_voiceprints(voiceprints, field, message):
    assert errors(voiceprints) == [(field, message)]


@pytest.mark.parametrize("label", ["speaker_00", "SPEAKER_", "Speaker_Ann"])
def test_labels_of_the_diarization_are_reserved(label):
    assert errors({label: "v"}) == [
        ("voiceprints[0].label", "must not begin with 'speaker_', which names the speakers of the diarization")
    ]


def test_the_models_of_all_voiceprints_must_be_that_of_the_request():
    made = "must be the model of all voiceprints; the voiceprints were made with precision-2, precision-3, and the"
    both = {"Ann": voiceprint("precision-2"), "Bob": voiceprint("precision-3")}
    assert errors(both) == [("model", f"{made} request names precision-2")]
    assert errors({"Ann": voiceprint("precision-2")}, model="precision-3")[0][0] == "model"


@pytest.mark.parametrize("number", [-0.1, 100.1, math.nan, math.inf, "5", True, None])
def test_invalid_thresholds(number):
    assert [field for field, _ in errors(matching=Matching(number))] == ["matching.threshold"]


@pytest.mark.parametrize("number", [-5.1, 5.1, math.nan, "0", False])
def test_invalid_sensitivities(number):
    found = errors(vad_sensitivity=number, crosstalk_sensitivity=number)
    assert [field for field, _ in found] == ["vadSensitivity", "crosstalkSensitivity"]


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True])
def test_invalid_numbers_of_speakers(number):
    found = errors(num_speakers=number, min_speakers=number, max_speakers=number)
    assert [field for field, _ in found] == ["numSpeakers", "minSpeakers", "maxSpeakers"]


def test_the_least_number_of_speakers_must_not_be_the_larger_one():
    assert errors(min_speakers=3, max_speakers=2) == [("minSpeakers", "must not be above maxSpeakers (3 > 2)")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"exclusive": 1, "confidence": None, "turn_level_confidence": "yes"},
            ["exclusive", "confidence", "turnLevelConfidence"],
        ),
        ({"matching": {"threshold": 5}}, ["matching"]),
        ({"matching": Matching(exclusive=None)}, ["matching.exclusive"]),
        ({"url": "talk.wav", "webhook": "http://example.com"}, ["url", "webhook"]),
    ],
)
def test_invalid_fields_of_other_kinds(fields, expected):
    assert [field for field, _ in errors(**fields)] == expected
