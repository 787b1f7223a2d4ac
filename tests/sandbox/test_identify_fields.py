import pytest

from pyannote_voiceprint_async.sandbox.identify_fields import MOST_SPEAKERS, IdentifyFields
from pyannote_voiceprint_async.sandbox.voiceprints import vector_of

BODY = {"url": "https://x", "voiceprints": [{"label": "anna", "voiceprint": "dm9pY2U="}]}
DEFAULTS = IdentifyFields({"anna": vector_of("dm9pY2U=")})
NULLS = dict.fromkeys(("numSpeakers", "minSpeakers", "maxSpeakers", "turnLevelConfidence", "model"))


@pytest.mark.parametrize("fields", [{}, {"matching": {}}, {"matching": {"exclusive": None, "threshold": None}}, NULLS])
def test_missing_and_null_fields_have_the_defaults_of_the_api(fields):
    assert IdentifyFields.parse({**BODY, **fields}) == DEFAULTS


def test_all_fields_are_read():
    fields = {"exclusive": True, "confidence": True, "turnLevelConfidence": True}
    parsed = IdentifyFields.parse({**BODY, **fields, "matching": {"exclusive": False, "threshold": 60}})
    assert (parsed.exclusive, parsed.confidence, parsed.turn_level_confidence) == (True, True, True)
    assert (parsed.exclusive_matching, parsed.threshold) == (False, 60)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"minSpeakers": 2}, (2, MOST_SPEAKERS)),
        ({"maxSpeakers": 3.0}, (1, 3)),
        ({"minSpeakers": 2, "maxSpeakers": 3}, (2, 3)),
        ({"numSpeakers": 4, "minSpeakers": 1, "maxSpeakers": 9}, (4, 4)),
        ({"numSpeakers": 1e308}, (MOST_SPEAKERS, MOST_SPEAKERS)),
    ],
)
def test_the_number_of_speakers_is_fixed_or_a_range(fields, expected):
    parsed = IdentifyFields.parse({**BODY, **fields})
    assert (parsed.min_speakers, parsed.max_speakers) == expected


def test_precision_3_has_no_frame_confidence():
    assert not IdentifyFields.parse({**BODY, "model": "precision-3", "confidence": True}).confidence
