"""No signature, no password and no key survives masking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.masking import mask_text, mask_url

SECRET = "THISISASECRET"
SCHEMES = st.sampled_from(["http", "https", "HTTPS", "media", "s3", "gs", "ftp"])
# What may stand in an URL as it is (RFC 3986), and what browsers leave in it.
VISIBLE = st.text("abcXYZ019-._~%!$&'()*+,;=:@/", max_size=20)
HOSTS = st.sampled_from(["example.com", "127.0.0.1:9000", "[::1]", "bücher.example", "a"])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/a.wav", "https://example.com/a.wav"),
        ("https://example.com/a.wav?X-Amz-Signature=1", "https://example.com/a.wav?…"),
        ("https://example.com/a.wav#token", "https://example.com/a.wav?…"),
        ("https://example.com/a.wav?a=1#b?c", "https://example.com/a.wav?…"),
        ("https://example.com?a=1", "https://example.com?…"),
        ("https://user:password@example.com/a.wav", "https://…@example.com/a.wav"),
        ("https://user:p@ss@example.com/", "https://…@example.com/"),
        ("https://example.com/a@b.wav", "https://example.com/a@b.wav"),
        ("media://team/voice.wav", "media://team/voice.wav"),
        ("s3://key:secret@bucket/a?versionId=1", "s3://…@bucket/a?…"),
        ("", ""),
        ("nonsense", "nonsense"),
        ("?", "?…"),
        ("/local/path?query\nmore", "/local/path?…"),
    ],
)
def test_a_masked_url(url, expected):
    assert mask_url(url) == expected


@given(SCHEMES, HOSTS, VISIBLE, st.sampled_from("?#"), VISIBLE, VISIBLE)
def test_no_query_survives(scheme, host, path, sign, before, after):
    url = f"{scheme}://{host}/{path}{sign}{before}{SECRET}{after}"
    assert SECRET not in mask_url(url)


@given(SCHEMES, HOSTS, st.text("abc019-._~%!$&'()*+,;=:@", max_size=10))
def test_no_password_survives(scheme, host, before):
    assert SECRET not in mask_url(f"{scheme}://user:{before}{SECRET}@{host}/a.wav")


@given(st.text())
def test_masking_twice_is_masking_once(text):
    assert mask_url(mask_url(text)) == mask_url(text)
    assert mask_text(mask_text(text)) == mask_text(text)


@given(st.text(max_size=30), SCHEMES, HOSTS, VISIBLE, VISIBLE, VISIBLE, st.text(max_size=30))
def test_no_query_survives_in_a_text(before, scheme, host, path, query, more, after):
    """Whatever stands around the URL, and whatever may stand in it."""
    text = f"{before} {scheme}://{host}/{path}?{query}{SECRET}{more} {after}"
    assert SECRET not in mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        f"Could not load https://example.com/a.wav?sig={SECRET}",
        f"Could not load 'https://example.com/a.wav?sig={SECRET}'.",
        f'{{"url":"https://example.com/a.wav?sig={SECRET}"}}',
        f"<https://example.com/a.wav?sig={SECRET}>",
        f"(see https://example.com/a.wav?sig={SECRET})",
        f"HTTPS://EXAMPLE.COM/?{SECRET}",
        f"https://a.example/?x={SECRET},https://b.example/?y={SECRET}",
        f"https://user:{SECRET}@example.com/a.wav",
        f"https://example.com/o'brien.wav?X-Amz-Signature={SECRET}",
        f"https://example.com/a.wav?name=o'brien&X-Amz-Signature={SECRET}",
        f"https:\\/\\/example.com\\/a.wav?X-Amz-Signature={SECRET}",
    ],
    ids=["plain", "quoted", "JSON", "angled", "in parentheses", "upper case", "two", "password",
         "apostrophe in the path", "apostrophe in the query", "escaped as PHP and Java do"],
)  # fmt: skip
def test_no_secret_of_a_url_survives_in_a_text(text):
    assert SECRET not in mask_text(text)


@given(st.text(max_size=50), st.text(min_size=4, max_size=50), st.text(max_size=50))
def test_no_key_survives(before, key, after):
    assert key not in mask_text(f"{before}{key}{after}", key)


@pytest.mark.parametrize("length", [0, 499, 500, 501, 10**6])
def test_a_quoted_text_is_short(length):
    masked = mask_text("a" * length)
    assert len(masked) == min(length, 500)
    assert masked.endswith("…") == (length > 500)


def test_what_is_no_secret_is_kept():
    assert (
        mask_text("The file a.wav (3.5 s) is too short: 50 % of 7 s?")
        == "The file a.wav (3.5 s) is too short: 50 % of 7 s?"
    )
