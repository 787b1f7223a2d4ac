import json

import pytest

from pyannote_voiceprint_async.sandbox.validation import InvalidBody, media_rules, parse_body, voiceprint_rules

GOOD = {"url": "https://example.com/voice.wav"}


def invalid_fields(payload, rules):
    """Return the names of the fields that the rules refuse."""
    try:
        parse_body(json.dumps(payload).encode(), rules)
    except InvalidBody as exc:
        return [error["field"] for error in exc.errors]
    return []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/voice.wav",
        "http://example.com",
        "HTTPS://EXAMPLE.COM/A?b=c#d",
        "https://user@example.com:8443/x",
        "https://[::1]/voice.wav",
        "https://example.com/stimme-ü.wav",
        "media://voice.wav",
        "media://team/voice_1-2.wav",
    ],
)
def test_valid_urls_of_a_submission(url):
    assert invalid_fields({"url": url}, voiceprint_rules("any")) == []


@pytest.mark.parametrize(
    "url",
    [
        None,
        1,
        ["https://example.com"],
        "",
        "voice.wav",
        "/etc/passwd",
        "s3://bucket/key",
        "ftp://example.com/x",
        "data:audio/wav;base64,AAAA",
        "https://",
        "https:///path",
        "https://[::1/x",
        "https://:80/x",
        "https://example.com/a b",
        "https://example.com/\n",
        "media://",
        "media://ü",
        "media://a b",
        "media:voice",
        "media://" + "a" * 248,
    ],
)
def test_invalid_urls_of_a_submission(url):
    assert invalid_fields({"url": url}, voiceprint_rules("any")) == ["url"]


def test_the_url_is_required():
    assert invalid_fields({}, voiceprint_rules("any")) == ["url"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("model", None, []),
        ("model", "precision-2", []),
        ("model", "precision-3", []),
        ("model", "precision-1", ["model"]),
        ("model", ["precision-2"], ["model"]),
        ("webhook", "https://example.com/hook", []),
        ("webhook", "http://127.0.0.1:8000/hook", []),
        ("webhook", "http://[::1]/hook", []),
        ("webhook", "http://localhost/hook", []),
        ("webhook", "http://example.com/hook", ["webhook"]),
        ("webhook", "media://hook", ["webhook"]),
        ("webhook", "hook", ["webhook"]),
        ("webhook", None, ["webhook"]),
        ("webhookStatusOnly", True, []),
        ("webhookStatusOnly", 1, ["webhookStatusOnly"]),
        ("webhookStatusOnly", "true", ["webhookStatusOnly"]),
        ("somethingNew", {"any": "thing"}, []),
    ],
)
def test_other_fields_of_a_submission(field, value, expected):
    assert invalid_fields({**GOOD, field: value}, voiceprint_rules("any")) == expected


def test_all_errors_are_reported_at_once():
    payload = {"url": 1, "model": 2, "webhook": 3, "webhookStatusOnly": 4}
    assert invalid_fields(payload, voiceprint_rules("any")) == ["url", "model", "webhook", "webhookStatusOnly"]


@pytest.mark.parametrize(
    ("url", "any_key", "flat_key"),
    [
        ("media://voice-1.wav", [], []),
        ("media://team/voice.wav", [], ["url"]),
        ("media://voice_1.wav", [], ["url"]),
        ("media://" + "a" * 247, [], []),
        ("media://" + "a" * 248, ["url"], ["url"]),
        ("media://voice.wav\n", ["url"], ["url"]),
        ("https://example.com", ["url"], ["url"]),
    ],
)
def test_media_keys_in_both_interpretations(url, any_key, flat_key):
    """Sources contradict each other about slashes and underscores in media keys."""
    assert invalid_fields({"url": url}, media_rules("any")) == any_key
    assert invalid_fields({"url": url}, media_rules("flat")) == flat_key


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"url=x", b"[" * 100_000, b"[]", b'"url"', b"null"])
def test_a_body_that_is_not_a_json_object_is_invalid(body):
    with pytest.raises(InvalidBody) as caught:
        parse_body(body, media_rules("any"))
    assert [error["field"] for error in caught.value.errors] == ["body"]
