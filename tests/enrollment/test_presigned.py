"""Which object a presigned URL stands for, and when it dies."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment.presigned import url_expires_at, url_identity

OBJECT = "https://bucket.s3.eu-west-1.amazonaws.com/team/Anna%20M.wav"
AMAZON = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260131%2Feu-west-1%2Fs3%2Faws4_request"
    "&X-Amz-Date={date}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature={signature}"
)
GOOGLE = (
    "X-Goog-Algorithm=GOOG4&X-Goog-Credential=a%40b&X-Goog-Date={date}&X-Goog-Expires=3600&X-Goog-Signature={signature}"
)
S3 = "AWSAccessKeyId=AKIA&Signature={signature}&Expires=1769817600"
OLD_GOOGLE = "GoogleAccessId=a%40b&Expires=1769817600&Signature={signature}"
CANNED = "Expires=1769817600&Signature={signature}&Key-Pair-Id=K2"
AZURE = "sp=r&st=2026-01-30T00:00:00Z&se=2026-01-31T00:00:00Z&spr=https&sv=2022-11-02&sr=b&sig={signature}"
SIGNATURES = [AMAZON, AMAZON.lower(), GOOGLE, S3, OLD_GOOGLE, CANNED, AZURE]

JAN_31 = 1769817600.0  # 2026-01-31T00:00:00Z


def policy(end):
    statement = {"Resource": "https://e.com/a", "Condition": {"DateLessThan": {"AWS:EpochTime": end}}}
    said = base64.b64encode(json.dumps({"Statement": [statement]}).encode()).decode()
    return said.translate(str.maketrans("+=/", "-_~"))


@pytest.mark.parametrize("signing", SIGNATURES)
def test_what_is_presigned_anew_stays_what_it_was(signing):
    one = f"{OBJECT}?{signing.format(date='20260131T000000Z', signature='a%2Bb')}"
    two = f"{OBJECT}?{signing.format(date='20260201T080000Z', signature='c')}"
    assert (url_identity(one), url_identity(two)) == (OBJECT, OBJECT)


@pytest.mark.parametrize("signing", SIGNATURES)
def test_parameters_that_do_not_sign_tell_objects_apart(signing):
    signing = signing.format(date="20260131T000000Z", signature="a")
    assert url_identity(f"{OBJECT}?versionId=1&{signing}&id=%37&flag") == f"{OBJECT}?versionId=1&id=%37&flag"


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        # What is left alone.
        ("https://example.com", "https://example.com"),
        ("https://example.com/A/b.wav", "https://example.com/A/b.wav"),
        ("https://example.com/get?sp=1", "https://example.com/get?sp=1"),
        ("https://example.com/get?sig=1&sp=1", "https://example.com/get?sig=1&sp=1"),
        ("https://example.com/get?Expires=7", "https://example.com/get?Expires=7"),
        ("https://example.com/get?Signature=7&Expires=7", "https://example.com/get?Signature=7&Expires=7"),
        ("https://example.com/get?Policy=7", "https://example.com/get?Policy=7"),
        ("https://example.com/get?b=2&a=1&&b=2", "https://example.com/get?b=2&a=1&&b=2"),
        ("https://example.com/get?a=1?b=%2f", "https://example.com/get?a=1?b=%2f"),
        ("media://Team/Anna.wav", "media://Team/Anna.wav"),
        ("s3://Bucket/key?versionId=1#x", "s3://Bucket/key?versionId=1#x"),
        ("anna", "anna"),
        ("", ""),
        # What is said in one way.
        ("HTTPS://Example.COM/A", "https://example.com/A"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:443/a", "http://example.com:443/a"),
        ("http://[::1]:80/a", "http://[::1]/a"),
        ("https://user:pass@word@Example.com/a?id=1", "https://user@example.com/a?id=1"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("https://example.com/a#part?id=1", "https://example.com/a"),
        ("https://example.com/a?id=1#part", "https://example.com/a?id=1"),
        ("https://example.com/a?", "https://example.com/a"),
        # Signatures with other parts than usual.
        ("https://e.com/a?sig=x&si=policy&sr=b", "https://e.com/a"),
        ("https://e.com/a?sv=2022-11-02&sig=x&snapshot=2026", "https://e.com/a?snapshot=2026"),
        ("https://e.com/a?Policy=p&Signature=s&Key-Pair-Id=k&v=2", "https://e.com/a?v=2"),
    ],
)
def test_identities(url, identity):
    assert url_identity(url) == identity


@pytest.mark.parametrize(
    ("query", "end"),
    [
        ("X-Amz-Date=20260130T230000Z&X-Amz-Expires=3600&X-Amz-Signature=a", JAN_31),
        ("id=7&x-amz-expires=3600&x-amz-date=20260130T230000Z", JAN_31),
        ("X-Goog-Date=20260130T230000Z&X-Goog-Expires=3600", JAN_31),
        ("se=2026-01-31T00%3A00%3A00Z&sig=a", JAN_31),
        ("se=2026-01-31T00:00Z&sig=a", JAN_31),
        ("se=2026-01-31T01:00:00.0000000%2B01:00&sig=a", JAN_31),
        ("se=2026-01-31&sig=a", JAN_31),
        (S3, JAN_31),
        (OLD_GOOGLE, JAN_31),
        (CANNED, JAN_31),
        (f"Policy={policy(1769817600)}&Signature=a&Key-Pair-Id=k", JAN_31),
        (f"Policy={quote(policy(1769817600))}&Signature=a&Key-Pair-Id=k", JAN_31),
        ("X-Amz-Date=19700101T000000Z&X-Amz-Expires=0", 0.0),
        # Not presigned, or not to be read.
        ("id=7", None),
        ("Expires=1769817600", None),
        ("se=2026-01-31", None),
        ("se=soon&sig=a", None),
        ("X-Amz-Date=20260130T230000Z", None),
        ("X-Amz-Expires=3600", None),
        ("X-Amz-Date=yesterday&X-Amz-Expires=3600", None),
        ("X-Amz-Date=20260130T230000Z&X-Amz-Expires=-1", None),
        ("X-Amz-Date=20260130T230000Z&X-Amz-Expires=\u0663", None),
        ("Expires=1e400&Signature=a", None),
        (f"Expires={'9' * 5000}&Signature=a", None),
        ("Policy=%&Signature=a", None),
        ("Policy=ae&Signature=a", None),
        (f"Policy={policy('soon')}&Signature=a", None),
    ],
)
def test_when_a_url_dies(query, end):
    assert url_expires_at(f"{OBJECT}?{query}") == end


def test_a_url_without_query_never_dies():
    assert (url_expires_at(OBJECT), url_expires_at(f"{OBJECT}#?Expires=1&Signature=2"), url_expires_at("")) == (
        None,
    ) * 3


PIECES = st.sampled_from(
    ["http", "https", "HTTPS", "://", "/", "?", "&", "#", "@", ":", ":80", "[", "]", "=", "%", "e.com", "Expires",
     "sig", "se", "sv", "Signature", "Policy", "Key-Pair-Id", "X-Amz-Date", "X-Amz-Expires", "X-Goog-Date",
     "0001-01-01", "9999-12-31T23:59:59-23:59", "20260131T000000Z", "\ud800", "\0", "é", "7"]
)  # fmt: skip


@given(st.text() | st.lists(PIECES).map("".join))
@example("https://e.com/?sig=1&se=0001-01-01T00:00:00%2B23:59")
@example("https://e.com/?X-Amz-Date=99991231T235959Z&X-Amz-Expires=99999999999")
def test_whatever_is_given_nothing_is_raised(url):
    assert isinstance(url_identity(url), str)
    assert isinstance(url_expires_at(url), float | None)


NAMES = st.sampled_from(["id", "v", "sp", "sig", "se", "expires", "signature", "key-pair-id", "x-amz-id"])
QUERIES = st.lists(st.tuples(NAMES, st.sampled_from(["", "1", "2"]))).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)


@given(QUERIES)
def test_an_identity_is_its_own_identity(query):
    identity = url_identity(f"https://example.com/a?{query}")
    assert url_identity(identity) == identity


@given(QUERIES, QUERIES, st.sampled_from(SIGNATURES))
def test_signing_never_makes_two_objects_one(one, two, signing):
    """`id` and `v` belong to no signature: whoever differs in them differs."""
    assert (told_apart(one) == told_apart(two)) or (
        url_identity(f"{OBJECT}?{one}&{signing}") != url_identity(f"{OBJECT}?{two}&{signing}")
    )


def told_apart(query):
    return [piece for piece in query.split("&") if piece.startswith(("id=", "v="))]
