"""Identities by the rules of version 0.1, which ledgers of that version hold hashes of."""

import pytest

from pyannote_voiceprint_async.enrollment.manifest.legacy_identity import legacy_identity


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("https://e.com/%7ea.wav", "https://e.com/%7ea.wav"),
        ("HTTPS://E.com:443/a?X-Amz-Foo=1&id=%37", "https://e.com/a?id=%37"),
        ("https://p.supabase.co/a.wav?token=x", "https://p.supabase.co/a.wav?token=x"),
        ("https://u:p@e.com/a?sig=x&sv=1", "https://u@e.com/a"),
        ("media://a", "media://a"),
    ],
)
def test_legacy_identity(url, identity):
    assert legacy_identity(url) == identity
