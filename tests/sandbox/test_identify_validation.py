"""The rules of `POST /v1/identify`, one table per kind of field."""

import json

import pytest

from pyannote_voiceprint_async.sandbox.identify_validation import identify_rules, parse_identify_body
from pyannote_voiceprint_async.sandbox.validation import InvalidBody

VOICE = {"label": "anna", "voiceprint": "dm9pY2U="}
GOOD = {"url": "https://example.com/meeting.wav", "voiceprints": [VOICE]}


def invalid_fields(payload):
    """Return the names of the fields that the rules refuse."""
    try:
        parse_identify_body(json.dumps(payload).encode(), identify_rules("any"))
    except InvalidBody as exc:
        return [error["field"] for error in exc.errors]
    return []


def test_url_and_voiceprints_are_required():
    assert invalid_fields({}) == ["url", "voiceprints"]
    assert invalid_fields(GOOD) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ["voiceprints"]),
        ({"anna": "dm9pY2U="}, ["voiceprints"]),
        ("dm9pY2U=", ["voiceprints"]),
        ([], ["voiceprints"]),
        ([VOICE] * 50, []),
        ([VOICE] * 51, ["voiceprints"]),
        ([VOICE, "dm9pY2U="], ["voiceprints.1.label", "voiceprints.1.voiceprint"]),
        ([VOICE, None], ["voiceprints.1.label", "voiceprints.1.voiceprint"]),
        ([{"label": "anna"}], ["voiceprints.0.voiceprint"]),
        ([{"voiceprint": "x"}, VOICE, {**VOICE, "label": 7}], ["voiceprints.0.label", "voiceprints.2.label"]),
        ([{**VOICE, "more": 1}], []),
    ],
)
def test_the_list_of_voiceprints(value, expected):
    assert invalid_fields({**GOOD, "voiceprints": value}) == expected


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("", []),
        ("ä" * 100, []),
        ("\U0001f600" * 100, []),
        ("a" * 101, ["voiceprints.0.label"]),
        ("speaker_1", ["voiceprints.0.label"]),
        ("SPEAKER_00", ["voiceprints.0.label"]),
        ("Speaker_x", ["voiceprints.0.label"]),
        ("speaker", []),
        ("a speaker_1", []),
        ("anna\nspeaker_1", []),
        (None, ["voiceprints.0.label"]),
    ],
)
def test_a_label_has_at_most_100_characters_and_no_reserved_prefix(label, expected):
    assert invalid_fields({**GOOD, "voiceprints": [{**VOICE, "label": label}]}) == expected


@pytest.mark.parametrize(
    ("voiceprint", "expected"),
    [
        ("", []),
        ("a" * 20_000, []),
        ("a" * 20_001, ["voiceprints.0.voiceprint"]),
        (b"a".hex(), []),
        (["a"], ["voiceprints.0.voiceprint"]),
    ],
)
def test_a_voiceprint_has_at_most_20000_characters(voiceprint, expected):
    assert invalid_fields({**GOOD, "voiceprints": [{**VOICE, "voiceprint": voiceprint}]}) == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        *(
            (name, value, [])
            for name in ("numSpeakers", "minSpeakers", "maxSpeakers")
            for value in (1, 2.0, 1e308, None)
        ),
        *(
            (name, value, [name])
            for name in ("numSpeakers", "minSpeakers", "maxSpeakers")
            for value in (0, 0.9, -1, "2", True, float("nan"), [2])
        ),
        *((name, value, []) for name in ("vadSensitivity", "crosstalkSensitivity") for value in (-5, 0, 0.5, 5.0)),
        *(
            (name, value, [name])
            for name in ("vadSensitivity", "crosstalkSensitivity")
            for value in (-5.1, 5.1, float("inf"), float("nan"), "0", None, False)
        ),
        ("matching", {}, []),
        ("matching", {"exclusive": None, "threshold": None}, []),
        ("matching", {"exclusive": False, "threshold": 100}, []),
        ("matching", {"exclusive": 1, "threshold": 0}, ["matching.exclusive"]),
        ("matching", {"threshold": -0.1}, ["matching.threshold"]),
        ("matching", {"exclusive": "yes", "threshold": 100.1}, ["matching.exclusive", "matching.threshold"]),
        ("matching", {"threshold": float("nan")}, ["matching.threshold"]),
        ("matching", None, ["matching"]),
        ("matching", [], ["matching"]),
        ("turnLevelConfidence", True, []),
        ("turnLevelConfidence", None, []),
        ("turnLevelConfidence", "true", ["turnLevelConfidence"]),
        ("exclusive", True, []),
        ("exclusive", None, ["exclusive"]),
        ("exclusive", 1, ["exclusive"]),
        ("confidence", False, []),
        ("confidence", None, ["confidence"]),
        ("model", "precision-3", []),
        ("model", "precision-1", ["model"]),
        ("webhook", "http://example.com/hook", ["webhook"]),
        ("webhookStatusOnly", "no", ["webhookStatusOnly"]),
        ("url", "voice.wav", ["url"]),
        ("somethingNew", {"any": "thing"}, []),
    ],
)
def test_other_fields(field, value, expected):
    assert invalid_fields({**GOOD, field: value}) == expected


@pytest.mark.parametrize(
    ("fewest", "most", "expected"),
    [(2, 2, []), (1, 3, []), (3, 2, ["minSpeakers"]), (3, None, []), (None, 2, [])],
)
def test_the_fewest_speakers_are_not_more_than_the_most(fewest, most, expected):
    assert invalid_fields({**GOOD, "minSpeakers": fewest, "maxSpeakers": most}) == expected


def test_all_errors_are_reported_at_once():
    payload = {"url": 1, "voiceprints": [{"label": 1}], "matching": {"threshold": 101}, "confidence": 2}
    assert invalid_fields(payload) == [
        "url", "voiceprints.0.label", "voiceprints.0.voiceprint", "matching.threshold", "confidence",
    ]  # fmt: skip
