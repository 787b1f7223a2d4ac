"""Parse the bodies of refusals: the reason and the field errors are found in every common shape."""

import json

import attrs
import pytest
from hypothesis import example, given
from json_bodies import BODIES, nested_lists

from pyannote_voiceprint_async.api.refusals import Refusal, parse_refusal
from pyannote_voiceprint_async.errors import FieldError


@given(BODIES)
@example(b"<html>502 Bad Gateway</html>")
@example(b'{"errors":[{"field":null,"message":5}]}')
@example(nested_lists(b"field", 1000))
@example(nested_lists(b"message", 1000))
def test_any_body_parses_as_a_refusal(body):
    """`parse_refusal` never raises, and every text in its result is a str."""
    refusal = parse_refusal(body)
    assert all(isinstance(text, str) and text for text in (refusal.message, refusal.request_id) if text is not None)
    assert all(isinstance(text, str) for error in refusal.errors for text in attrs.astuple(error))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"message": "No", "errors": [{"field": "url", "message": "is bad"}]},
            Refusal("No", None, (FieldError("url", "is bad"),)),
        ),
        ({"requestId": "r", "message": "No"}, Refusal("No", "r")),
        ({"requestId": 5, "message": None, "errors": 5}, Refusal()),
        ({"errors": [None, {"field": "url"}]}, Refusal("url", None, (FieldError("url", ""),))),
        ({"errors": [{"field": 3, "message": None}]}, Refusal("3", None, (FieldError("3", ""),))),
        ({"errors": [{"field": {}, "message": {}}]}, Refusal(None, None, (FieldError("", ""),))),
        ({"request_id": "r", "Message": "No"}, Refusal("No", "r")),
        ([], Refusal()),
    ],
)
def test_documented_refusals_and_wrong_types(body, expected):
    assert parse_refusal(json.dumps(body).encode()) == expected


URL_IS_BAD = (FieldError("url", "is bad"),)


@pytest.mark.parametrize(
    ("body", "message", "errors"),
    [
        # A single sentence
        ({"message": "No credit"}, "No credit", ()),
        ({"detail": "No credit"}, "No credit", ()),
        ({"title": "No credit"}, "No credit", ()),
        ({"error": "No credit"}, "No credit", ()),
        ({"msg": "No credit"}, "No credit", ()),
        ({"reason": "No credit"}, "No credit", ()),
        ({"description": "No credit"}, "No credit", ()),
        ({"Message": "No credit"}, "No credit", ()),
        ({"errorMessage": "No credit"}, "No credit", ()),
        ({"error": {"message": "No credit", "code": 7}}, "No credit", ()),
        ({"error": {"detail": "No credit"}}, "No credit", ()),
        ({"error": {"error": {"message": "No credit"}}}, "No credit", ()),
        ({"detail": {"message": "No credit"}}, "No credit", ()),
        ({"message": {"message": "No credit"}}, "No credit", ()),
        ({"error": "invalid_token", "error_description": "No credit"}, "No credit", ()),
        ({"fault": {"faultstring": "No credit", "detail": {"errorcode": "x"}}}, "No credit", ()),
        ({"error": {"code": "no_credit"}}, "no_credit", ()),
        ({"type": "about:blank", "title": "Refused", "status": 402, "detail": "No credit"}, "No credit", ()),
        ({"message": "", "detail": None, "title": " ", "error": "No credit"}, "No credit", ()),
        ("No credit", "No credit", ()),
        # Lists
        ({"message": ["No credit"]}, "No credit", (FieldError("", "No credit"),)),
        (
            {"errors": ["No credit", "No key"]},
            "No credit; No key",
            (FieldError("", "No credit"), FieldError("", "No key")),
        ),
        ({"error": ["No credit"]}, "No credit", (FieldError("", "No credit"),)),
        ({"detail": ["No credit"]}, "No credit", (FieldError("", "No credit"),)),
        (["No credit"], "No credit", (FieldError("", "No credit"),)),
        ([{"message": "No credit"}], "No credit", (FieldError("", "No credit"),)),
        (
            {"statusCode": 400, "message": ["url is bad"], "error": "Bad Request"},
            "url is bad",
            (FieldError("", "url is bad"),),
        ),
        # Lists with field names
        ({"errors": [{"field": "url", "message": "is bad"}]}, "url: is bad", URL_IS_BAD),
        ({"detail": [{"loc": ["body", "url"], "msg": "is bad", "type": "x"}]}, "url: is bad", URL_IS_BAD),
        ({"detail": [{"loc": ["body"], "msg": "is bad"}]}, "body: is bad", (FieldError("body", "is bad"),)),
        (
            {"detail": [{"loc": ["body", "tags", 0], "msg": "is bad"}]},
            "tags.0: is bad",
            (FieldError("tags.0", "is bad"),),
        ),
        ({"errors": {"url": ["is bad"]}}, "url: is bad", URL_IS_BAD),
        ({"errors": {"url": "is bad"}}, "url: is bad", URL_IS_BAD),
        ({"errors": {"field": "url", "message": "is bad"}}, "is bad", URL_IS_BAD),
        ({"error": {"message": "Bad", "errors": [{"field": "url", "message": "is bad"}]}}, "Bad", URL_IS_BAD),
        ({"title": "Bad", "errors": {"url": ["is bad", "is long"]}}, "Bad", (FieldError("url", "is bad; is long"),)),
        ({"title": "Bad", "invalid-params": [{"name": "url", "reason": "is bad"}]}, "Bad", URL_IS_BAD),
        ({"errors": [{"source": {"pointer": "url"}, "title": "is bad"}]}, "url: is bad", URL_IS_BAD),
        ({"issues": [{"path": ["url"], "message": "is bad"}]}, "url: is bad", URL_IS_BAD),
        # Without a reason
        ({"status": 403, "code": 7, "message": 7, "detail": True, "error": None}, None, ()),
        ({"message": {"a": {"message": "x"}}}, None, ()),
    ],
)
def test_reason_is_found_in_every_common_shape(body, message, errors):
    assert parse_refusal(json.dumps(body).encode()) == Refusal(message, None, errors)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b"<html><head><title>\n 403 Forbidden &amp; gone\n</title></head><body>x",
            Refusal("403 Forbidden & gone", is_page=True),
        ),
        (b'\xef\xbb\xbf \r\n<!DOCTYPE html><TITLE lang="de">Gesperrt</TITLE>', Refusal("Gesperrt", is_page=True)),
        (b"<html><body><h1>502</h1></body></html>", Refusal(is_page=True)),
        (b"<title>" * 1000, Refusal(is_page=True)),
        (b"<title></title>", Refusal(is_page=True)),
        (b"<title> </title>", Refusal(is_page=True)),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", Refusal(is_page=True)),
        (b"upstream connect error\n", Refusal("upstream connect error", is_page=True)),
        ("Überlastet".encode("latin-1"), Refusal("\ufffdberlastet", is_page=True)),
        (b"", Refusal()),
        (b" \n", Refusal()),
        (b'{"message": "cut o', Refusal()),
        (b"[" * 100_000, Refusal()),
        (b"\x1f\x8b\x08 gzip", Refusal()),
    ],
)
def test_pages_are_distinguished_from_incomplete_json(body, expected):
    assert parse_refusal(body) == expected
