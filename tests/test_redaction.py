"""No signature, password or key survives redaction."""

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyannote_voiceprint_async.redaction import redact_text, redact_url

SECRET = "THISISASECRET"
SCHEMES = st.sampled_from(["http", "https", "HTTPS", "media", "s3", "gs", "ftp"])
# Characters that RFC 3986 allows in a URL, or that browsers do not encode.
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
def test_redact_url(url, expected):
    assert redact_url(url) == expected


@given(SCHEMES, HOSTS, VISIBLE, st.sampled_from("?#"), VISIBLE, VISIBLE)
def test_redact_url_removes_every_query(scheme, host, path, sign, before, after):
    url = f"{scheme}://{host}/{path}{sign}{before}{SECRET}{after}"
    assert SECRET not in redact_url(url)


@given(SCHEMES, HOSTS, st.text("abc019-._~%!$&'()*+,;=:@", max_size=10))
def test_redact_url_removes_every_password(scheme, host, before):
    assert SECRET not in redact_url(f"{scheme}://user:{before}{SECRET}@{host}/a.wav")


@given(st.text())
def test_redaction_is_idempotent(text):
    assert redact_url(redact_url(text)) == redact_url(text)
    assert redact_text(redact_text(text)) == redact_text(text)


@given(st.text(max_size=30), SCHEMES, HOSTS, VISIBLE, VISIBLE, VISIBLE, st.text(max_size=30))
def test_redact_text_removes_the_query_of_a_url(before, scheme, host, path, query, more, after):
    """With any text around the URL, and any characters in it."""
    text = f"{before} {scheme}://{host}/{path}?{query}{SECRET}{more} {after}"
    assert SECRET not in redact_text(text)


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
def test_redact_text_removes_the_secret_of_a_url(text):
    assert SECRET not in redact_text(text)


def times(encode, count):
    """Return a function that encodes a text `count` times."""

    def encoded(text):
        for _ in range(count):
            text = encode(text)
        return text

    return encoded


def percent(text):
    return quote(text, safe="")


ENCODINGS = {
    "as it is": str,
    "percent-encoded": percent,
    "percent-encoded twice": times(percent, 2),
    "HTML": lambda text: text.replace("&", "&amp;"),
    "JSON of Go": lambda text: text.replace("&", "\\u0026").replace("=", "\\u003d"),
    "JSON of PHP": lambda text: text.replace("/", "\\/"),
}
NAMES = ["token", "sig", "signature", "X-Amz-Signature", "X-Amz-Security-Token", "X-Goog-Credential", "Key-Pair-Id",
         "access_token", "api_key", "apikey", "password", "client_secret", "Policy", "jwt"]  # fmt: skip
ASSIGNED = ["{}={}", "{} = {}", "{}='{}'", '{}="{}"', '{}="two words {}"', '"{}":"{}"', "'{}': '{}'", "{}: {}",
            '\\"{}\\":\\"{}\\"', "{}%3D{}", "{}=>{}", "{}%253D{}", "a=1&{}={}",
            "a%3D1%26{}%3D{}", "?{}={}", "#{}={}"]  # fmt: skip
QUERIES = ["?{}", "?code={}", "?a=1&code={}", "?X-Amz-Signature={}&x=1", "?a[]=1&code={}"]
PLACES = ["https://h.example/a.wav", "https://h.example/a b.wav", "https://h.example/Ada Lovelace/a b.wav", "media://key",
          "h.example/a.wav", "/bucket/a.wav", "a.wav", "s3://bucket/a.wav", "https://h.example:8443"]  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("place", PLACES)
def test_query_is_removed_with_or_without_a_scheme(place, query, encoding):
    """Also in a URL with spaces, and in a URL that is encoded inside another URL."""
    url = ENCODINGS[encoding](place + query.format(SECRET))
    assert SECRET not in redact_text(f"Could not load {url} (404)")


@pytest.mark.parametrize(
    "query", ["?name=my file&code={}", "?a=1&b=two words&X-Amz-Signature={}", "?a=b c%26code%3D{}"]
)
def test_query_with_spaces_is_removed(query):
    assert SECRET not in redact_text("Could not load https://h.example/a.wav" + query.format(SECRET))


@pytest.mark.parametrize("form", ASSIGNED)
@pytest.mark.parametrize("secret", [SECRET, "5ec7e7", "a/b+c==", "abc.DEF-123_x~"])
def test_value_of_a_secret_parameter_is_removed(form, secret):
    """In every notation, and with its name in any case."""
    for name in NAMES:
        for named in (name, name.upper(), name.lower()):
            assert secret not in redact_text(f"Refused: {form.format(named, secret)} is wrong")


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"Bearer {SECRET} is not valid",
        f"authorization: Basic {SECRET}==",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"Cookie: session={SECRET}",
        f"X-Api-Key: {SECRET}",
        f"proxy user:{SECRET}@proxy.example:3128 refused",
        f"proxy user:{SECRET}?x@proxy.example:3128 refused",
        f"https://h.example/10:30?a@{SECRET}",
        f"h.example/10:30?a@{SECRET}",
        f"h.example/10:30%3Fa@{SECRET}",
        f"https%3A%2F%2Fuser%3A{SECRET}%40h.example%2Fa.wav",
        f"Unknown key sk_{SECRET}",
        f"Unknown key sk-{SECRET}.",
        "Unknown token eyJhbGciOiJIUzI1NiJ9.THISISASECRET.THISISASECRET",
    ],
)
def test_credential_is_removed(text):
    assert SECRET not in redact_text(text)


LIKE_A_SECRET = st.text("abcXYZ0189-_.~+/", min_size=8, max_size=40).filter(
    lambda text: any(character.isdigit() for character in text) and text[0].isalnum()
)
AROUND = st.text(st.characters(exclude_characters="…"), max_size=30)


@given(
    before=AROUND,
    after=AROUND,
    secret=LIKE_A_SECRET,
    place=st.sampled_from(PLACES),
    query=st.sampled_from(QUERIES),
    encoding=st.sampled_from(sorted(ENCODINGS)),
)
def test_presigned_url_in_any_text_is_redacted(before, after, secret, place, query, encoding):
    url = ENCODINGS[encoding](place + query.format(secret))
    redacted = redact_text(f"{before} {url} {after}")
    assert secret not in redacted.replace(before, "").replace(after, "")


@given(
    before=AROUND,
    after=AROUND,
    secret=LIKE_A_SECRET,
    name=st.sampled_from(NAMES),
    form=st.sampled_from(ASSIGNED),
)
def test_secret_parameter_in_any_text_is_redacted(before, after, secret, name, form):
    redacted = redact_text(f"{before} {form.format(name, secret)} {after}")
    assert secret not in redacted.replace(before, "").replace(after, "")


@given(st.text(max_size=50), st.text(min_size=4, max_size=50), st.text(max_size=50))
@example("", "/000", "")
def test_known_key_is_removed_in_every_spelling(before, key, after):
    for written in (key, quote(key, safe=""), key.replace("/", "\\/")):
        assert written not in redact_text(f"{before}{written}{after}", key)


@given(st.text(max_size=50), st.text(min_size=4, max_size=50), st.text(max_size=50))
def test_known_key_is_removed(before, key, after):
    assert key not in redact_text(f"{before}{key}{after}", key)


@pytest.mark.parametrize("length", [0, 499, 500, 501, 10**6])
def test_long_text_is_cut(length):
    redacted = redact_text("a" * length)
    assert len(redacted) == min(length, 500)
    assert redacted.endswith("…") == (length > 500)


@pytest.mark.parametrize(
    "text",
    [
        "The file a.wav (3.5 s) is too short: 50 % of 7 s?",
        "Invalid token: expired. Signature: missing.",
        "Invalid signature: verification failed, see the documentation",
        "Bearer token is missing; Basic authentication required",
        "The key may not do this: ask your administrator",
        "url: must be a URL; model: must be one of precision-2, precision-3",
        "Rate limit of team 7: 100 requests in 60 s (used: 100)",
        "Could not load audio from https://h.example/Ada Lovelace/a.wav: 404 Not Found",
        "Error code=500 & status=failed",
    ],
)
def test_text_without_a_secret_is_kept(text):
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "piece",
    ["q", "a.", "a:", "&a", "://", "?", "key", "token ", "token:'", "sk-", "%25", "%3A%2F%2F", "Bearer ", "a=&"],
)
def test_redaction_of_repetitive_text_is_fast(piece):
    """A pattern with catastrophic backtracking would run into the timeout of the test."""
    for _ in range(20):
        redact_text(piece * 2000)
