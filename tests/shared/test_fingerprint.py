"""Whether two calls with one key make the same request."""

import pytest

from pyannote_voiceprint_async import IdentificationRequest, VoiceprintRequest
from pyannote_voiceprint_async.shared import fingerprint as module
from pyannote_voiceprint_async.shared.fingerprint import difference, fingerprint

URL = "https://files.example.org/a.wav?id=1"
SIGNED = "https://bucket.s3.amazonaws.com/a.wav?X-Amz-Signature={}&X-Amz-Credential=c&X-Amz-Algorithm=a"
SPEAKERS = {"Ann": "value of Ann"}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (VoiceprintRequest(URL), VoiceprintRequest(URL, webhook="https://example.org/hook"), None),
        (VoiceprintRequest(SIGNED.format(1)), VoiceprintRequest(SIGNED.format(2)), None),
        (VoiceprintRequest(URL), VoiceprintRequest(URL.replace("1", "2")), "audio"),
        (VoiceprintRequest(URL), VoiceprintRequest(URL, "precision-3"), "model"),
        (VoiceprintRequest(URL), IdentificationRequest(URL, SPEAKERS), "operation"),
        (IdentificationRequest(URL, SPEAKERS), IdentificationRequest(URL, {"Bob": "b"}), "speakers or options"),
    ],
)
def test_the_first_difference_of_two_requests(one, other, expected):
    assert difference(fingerprint(one), fingerprint(other)) == expected


def test_local_audio_is_compared_by_its_digest():
    one, other = VoiceprintRequest("media://one"), VoiceprintRequest("media://other")
    assert difference(fingerprint(one, "digest"), fingerprint(other, "digest")) is None
    assert difference(fingerprint(one, "digest"), fingerprint(one, "another")) == "audio"


@pytest.mark.parametrize("is_upgrade", [True, False])
def test_a_repeated_url_is_the_same_audio_in_a_version_with_other_signers(monkeypatch, is_upgrade):
    """A process of another version may have stored the key, before an upgrade or in the same fleet."""
    request = VoiceprintRequest(SIGNED.format(1))
    known = fingerprint(request)
    monkeypatch.setattr(module, "url_identity", str)  # a version that does not know the signer
    unknown = fingerprint(request)
    pair = (unknown, known) if is_upgrade else (known, unknown)
    assert difference(*pair) is None
    assert difference(known, fingerprint(VoiceprintRequest(URL))) == "audio"


def test_no_part_of_a_url_is_in_a_fingerprint():
    assert "example" not in fingerprint(VoiceprintRequest(URL))
