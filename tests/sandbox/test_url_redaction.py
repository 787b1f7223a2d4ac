import pytest

from pyannote_voiceprint_async.sandbox.url_redaction import redact_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://e.com/a.wav", "https://e.com/a.wav"),
        ("https://e.com/a.wav?X-Amz-Signature=secret", "https://e.com/a.wav?…"),
        ("https://e.com/a.wav#secret", "https://e.com/a.wav?…"),
        ("https://user:password@e.com/a.wav?b=c", "https://…@e.com/a.wav?…"),
        ("https://e.com/@a//b@c.wav", "https://e.com/@a//b@c.wav"),
        ("media://voice.wav", "media://voice.wav"),
        ("", ""),
    ],
)
def test_user_query_and_fragment_are_removed(url, expected):
    assert redact_url(url) == expected
