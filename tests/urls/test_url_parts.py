"""Two spellings of one URL are equal after normalization; URLs of two objects stay different."""

import pytest

from pyannote_voiceprint_async.urls.url_identity import url_identity


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("https://e.com/%7Eanna/%61.wav", "https://e.com/~anna/a.wav"),
        ("https://e.com/Jos%c3%a9.wav", "https://e.com/Jos%C3%A9.wav"),
        ("https://e.com/José.wav", "https://e.com/Jos%C3%A9.wav"),
        ("https://e.com/a|b.wav", "https://e.com/a%7Cb.wav"),
        ("https://e.com/a?n=%4a%2fx", "https://e.com/a?n=J%2Fx"),
        ("https://e.com/a?%69d=1", "https://e.com/a?id=1"),
        ("https://e.com/a?X%2DAmz%2DSignature=1", "https://e.com/a"),
        ("https://MÜNCHEN.example/a", "https://xn--mnchen-3ya.example/a"),
        ("https://mu\u0308nchen.example:443/a", "https://xn--mnchen-3ya.example/a"),
        ("https://münchen.example:8443/a", "https://xn--mnchen-3ya.example:8443/a"),
    ],
)
def test_two_spellings_of_a_url_have_one_identity(one, two):
    assert url_identity(one) == url_identity(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("https://e.com/a%2Fb.wav", "https://e.com/a/b.wav"),
        ("https://e.com/a?n=1%26m=2", "https://e.com/a?n=1&m=2"),
        ("https://e.com/a?n=x%2By", "https://e.com/a?n=x+y"),
        ("https://e.com/a%25.wav", "https://e.com/a%.wav"),
        ("https://e.com/A.wav", "https://e.com/a.wav"),
        ("https://e.com/Jose%CC%81.wav", "https://e.com/Jos%C3%A9.wav"),
        ("https://faß.example/a", "https://fass.example/a"),
        ("https://e.com/a?a=1&b=2", "https://e.com/a?b=2&a=1"),
    ],
)
def test_urls_that_may_be_two_objects_have_two_identities(one, two):
    assert url_identity(one) != url_identity(two)
