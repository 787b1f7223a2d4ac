"""Parse responses: from (operation, status, headers, body, flaw) to a model or an error."""

import json
import math
import pickle
import traceback

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from pyannote_voiceprint_async import (
    AccountError,
    ApiConnectionError,
    ApiStatusError,
    ApiTimeoutError,
    AuthenticationError,
    FieldError,
    InvalidRequestError,
    JobStatus,
    KeyStatus,
    NotFoundError,
    PermissionDeniedError,
    ProxyError,
    RateLimitError,
    ServerError,
    SubscriptionRequiredError,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.api.endpoints import GET_JOB, LIST_JOBS, MEDIA_INPUT, TEST_KEY, VOICEPRINT, Endpoint
from pyannote_voiceprint_async.api.responses import ApiResponse, BodyFlaw, parse_response
from pyannote_voiceprint_async.models import Job, JobCreated, JobPage, MediaUpload

KEY = "sk-1234567890abcdef"
WALL = 1_800_000_000.0
ENDPOINTS = [TEST_KEY, MEDIA_INPUT, VOICEPRINT, GET_JOB, LIST_JOBS]
REPEATABLE = [TEST_KEY, MEDIA_INPUT, GET_JOB, LIST_JOBS]


def parse(
    endpoint: Endpoint,
    status: int,
    body: object = b"",
    headers: dict[str, str] | None = None,
    flaw: BodyFlaw | None = None,
    key: str = KEY,
) -> object:
    """Return the model or the error of a response. A body that is not bytes is encoded as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        return parse_response(
            endpoint, ApiResponse(status, CIMultiDict(headers or {}), [raw], flaw), wall=WALL, key=key
        )
    except VoiceprintError as error:
        return error


def flags(error: VoiceprintError) -> tuple[bool, bool]:
    return error.retryable, error.outcome_unknown


# Statuses

NEITHER = (False, False)
RETRYABLE = (True, False)
UNKNOWN = (False, True)

STATUSES = [
    # status, headers, error, flags of a repeatable operation, flags of a submission
    (0, {}, UnexpectedResponseError, RETRYABLE, UNKNOWN),
    (100, {}, UnexpectedResponseError, RETRYABLE, UNKNOWN),
    (199, {}, UnexpectedResponseError, RETRYABLE, UNKNOWN),
    (300, {}, UnexpectedResponseError, NEITHER, NEITHER),
    (301, {"Location": "https://elsewhere.example/"}, UnexpectedResponseError, NEITHER, NEITHER),
    (304, {}, UnexpectedResponseError, NEITHER, NEITHER),
    (307, {}, UnexpectedResponseError, NEITHER, NEITHER),
    (399, {}, UnexpectedResponseError, NEITHER, NEITHER),
    (400, {}, InvalidRequestError, NEITHER, NEITHER),
    (401, {}, AuthenticationError, NEITHER, NEITHER),
    (402, {}, SubscriptionRequiredError, NEITHER, NEITHER),
    (403, {}, PermissionDeniedError, NEITHER, NEITHER),
    (404, {}, NotFoundError, NEITHER, NEITHER),
    (404, {"Retry-After": "5"}, NotFoundError, NEITHER, NEITHER),
    (405, {}, ApiStatusError, NEITHER, NEITHER),
    (407, {}, ProxyError, NEITHER, NEITHER),
    (407, {"Retry-After": "5"}, ProxyError, NEITHER, NEITHER),
    (408, {}, ApiStatusError, RETRYABLE, UNKNOWN),
    (408, {"Retry-After": "5"}, ApiStatusError, RETRYABLE, UNKNOWN),
    (409, {}, ApiStatusError, NEITHER, NEITHER),
    (418, {}, ApiStatusError, NEITHER, NEITHER),
    (422, {}, InvalidRequestError, NEITHER, NEITHER),
    (429, {}, RateLimitError, RETRYABLE, RETRYABLE),
    (429, {"Retry-After": "5"}, RateLimitError, RETRYABLE, RETRYABLE),
    (499, {}, ApiStatusError, NEITHER, NEITHER),
    *[(status, {}, ServerError, RETRYABLE, UNKNOWN) for status in range(500, 600)],
    (500, {"Retry-After": "5"}, ServerError, RETRYABLE, UNKNOWN),
    (502, {"Retry-After": "5"}, ServerError, RETRYABLE, UNKNOWN),
    (503, {"Retry-After": "5"}, ServerError, RETRYABLE, RETRYABLE),
    (503, {"Retry-After": "0"}, ServerError, RETRYABLE, RETRYABLE),
    (503, {"Retry-After": "Fri, 15 Jan 2027 08:00:05 GMT"}, ServerError, RETRYABLE, RETRYABLE),
    (503, {"Retry-After": "soon"}, ServerError, RETRYABLE, UNKNOWN),
    (503, {"Retry-After": ""}, ServerError, RETRYABLE, UNKNOWN),
    (503, {"X-RateLimit-Reset": "5"}, ServerError, RETRYABLE, UNKNOWN),
    (600, {}, UnexpectedResponseError, RETRYABLE, UNKNOWN),
    (999, {}, UnexpectedResponseError, RETRYABLE, UNKNOWN),
]


@pytest.mark.parametrize(("status", "headers", "error", "repeatable", "submission"), STATUSES)
def test_error_class_and_flags_of_each_status(status, headers, error, repeatable, submission):
    for endpoint in ENDPOINTS:
        result = parse(endpoint, status, {"message": "no", "jobId": "job-1"}, headers)
        assert type(result) is error
        assert flags(result) == (repeatable if endpoint.repeatable else submission)
        assert result.status == status


def test_account_errors_share_a_base_class():
    """An account error ends a bulk run, an invalid request does not."""
    assert [isinstance(parse(VOICEPRINT, status), AccountError) for status in (401, 402, 403, 400, 404, 429)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_only_a_submission_with_unknown_outcome_warns_of_double_payment():
    assert "billed twice" in str(parse(VOICEPRINT, 502))
    assert "billed twice" not in str(parse(GET_JOB, 502)) + str(parse(VOICEPRINT, 400))


# Refusals


def test_error_holds_every_detail_of_a_refusal():
    body = {
        "message": "The request is wrong",
        "requestId": "req-1",
        "errors": [{"field": "url", "message": "is missing"}, {"field": "webhook", "message": "must be https"}],
    }
    error = parse(VOICEPRINT, 400, body, {"Retry-After": "7", "X-Request-Id": "r"})
    assert error.message == "The request is wrong"
    assert error.request_id == "req-1"
    assert error.errors == (FieldError("url", "is missing"), FieldError("webhook", "must be https"))
    assert error.retry_after == 7.0
    assert error.headers == {"retry-after": "7", "x-request-id": "r"}
    assert error.job_id is None
    for shown in ("400", "The request is wrong", "url: is missing", "webhook: must be https", "POST /v1/voiceprint"):
        assert shown in str(error)


@pytest.mark.parametrize(
    ("body", "message", "errors"),
    [
        (b"", None, ()),
        (b"<html><body><h1>502 Bad Gateway</h1></body></html>", None, ()),
        (b"\xff\xfe\x00garbage", None, ()),
        (b'{"message": "cut o', None, ()),
        (b'{"message": NaN}', None, ()),
        (b"[" * 100_000, None, ()),
        (None, None, ()),
        ([], None, ()),
        (["message"], "message", (FieldError("", "message"),)),
        ("just text", "just text", ()),
        (5, None, ()),
        ({}, None, ()),
        ({"message": None}, None, ()),
        ({"message": ""}, None, ()),
        ({"message": 5}, None, ()),
        ({"message": {"a": "b"}}, None, ()),
        ({"message": "no", "errors": None}, "no", ()),
        ({"message": "no", "errors": "text"}, "no", ()),
        ({"message": "no", "errors": 5}, "no", ()),
        ({"message": "no", "errors": {"field": "url", "message": "wrong"}}, "no", (FieldError("url", "wrong"),)),
        ({"message": "no", "errors": []}, "no", ()),
        ({"message": "no", "errors": [None, 5, "text", [], [["field", "url"]]]}, "no", (FieldError("", "text"),)),
        ({"message": "no", "errors": [{}]}, "no", (FieldError("", ""),)),
        ({"message": "no", "errors": [{"field": "url"}, 5]}, "no", (FieldError("url", ""),)),
        ({"message": "no", "errors": [{"field": 3, "message": 4}]}, "no", (FieldError("3", "4"),)),
    ],
)
@pytest.mark.parametrize("status", [400, 422, 500])
def test_status_decides_whatever_the_body_of_a_refusal_is(status, body, message, errors):
    result = parse(VOICEPRINT, status, body)
    assert result.status == status
    assert result.message == message
    if status == 500:
        assert type(result) is ServerError
        assert "502 Bad Gateway" not in str(result)
    else:
        assert type(result) is InvalidRequestError
        assert result.errors == errors


def test_message_does_not_repeat_field_errors():
    """A list without a sentence becomes both the message and the errors."""
    error = parse(VOICEPRINT, 422, {"detail": [{"loc": ["body", "url"], "msg": "is bad"}]})
    assert (error.message, error.errors) == ("url: is bad", (FieldError("url", "is bad"),))
    assert "(url: is bad)" in str(error)


PAGE = b"<html><head><title>Access denied</title></head></html>"


@pytest.mark.parametrize("endpoint", [VOICEPRINT, GET_JOB])
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [PAGE, b"Access denied"])
def test_page_with_401_or_403_is_from_a_gateway(endpoint, status, body):
    """The error must not blame the API key, and must name the gateway."""
    headers = {"Server": "squid/5.7", "Via": "1.1 proxy.corp.example", "Content-Type": "text/html"}
    error = parse(endpoint, status, body, headers)
    assert type(error) is UnexpectedResponseError
    assert flags(error) == NEITHER
    assert (error.status, error.message) == (status, "Access denied")
    assert error.headers["via"] == "1.1 proxy.corp.example"
    for shown_text in (str(status), "gateway", "Server: squid/5.7", "Via: 1.1 proxy.corp.example", "Access denied"):
        assert shown_text in str(error)
    assert "PYANNOTEAI_API_KEY" not in str(error)


def test_gateway_without_a_name():
    error = parse(VOICEPRINT, 403, b"<html></html>")
    assert "does not name itself" in str(error)
    assert error.message is None


def test_gateway_error_redacts_key_and_signature():
    via = f"1.1 {KEY} https://proxy.example/?{SIGNATURE}"
    page = f"<title>No {KEY} at https://host.example/?{SIGNATURE}</title>".encode()
    error = parse(VOICEPRINT, 401, page, {"Via": via})
    assert KEY not in shown(error)
    assert SIGNATURE not in shown(error)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"mess', b"[", b"null", b"\x00", {"message": "No"}, {"error": "No"}])
@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (403, PermissionDeniedError)])
def test_json_incomplete_json_and_an_empty_body_are_from_the_api(status, kind, body):
    assert type(parse(VOICEPRINT, status, body, {"Server": "nginx", "Content-Type": "text/html"})) is kind


@pytest.mark.parametrize("status", [400, 402, 404, 422, 429, 500, 502, 503])
def test_page_with_another_status_keeps_its_error_class(status):
    assert type(parse(VOICEPRINT, status, PAGE)) is type(parse(VOICEPRINT, status))
    assert "Access denied" in str(parse(VOICEPRINT, status, PAGE))


@pytest.mark.parametrize("flaw", BodyFlaw)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_refusal_with_an_incomplete_body_is_still_a_refusal(status, flaw):
    """The status arrived before the body."""
    whole, broken = parse(VOICEPRINT, status), parse(VOICEPRINT, status, b'{"message": "n', flaw=flaw)
    assert type(broken) is type(whole)
    assert flags(broken) == flags(whole)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "5"}, 5.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"X-RateLimit-Reset": "30"}, 30.0),
        ({"X-RateLimit-Reset": str(WALL + 30)}, 30.0),
        ({"X-RateLimit-Reset": str(WALL + 30), "Date": "Fri, 15 Jan 2027 08:00:10 GMT"}, 20.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_error_holds_the_wait_that_the_server_requested(status, headers, wait):
    assert parse(TEST_KEY, status, headers=headers).retry_after == wait


# Successes

JOB = {"jobId": "job-1", "status": "created"}


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 226, 299])
@pytest.mark.parametrize(
    ("endpoint", "body", "model"),
    [
        (VOICEPRINT, JOB, JobCreated("job-1", JobStatus.CREATED)),
        (VOICEPRINT, JOB | {"warning": "short"}, JobCreated("job-1", JobStatus.CREATED, "short")),
        (VOICEPRINT, JOB | {"new": [1]}, JobCreated("job-1", JobStatus.CREATED, extra={"new": [1]})),
        (VOICEPRINT, {"jobId": "job-1", "status": "queued"}, JobCreated("job-1", JobStatus("queued"))),
        (GET_JOB, {"jobId": "job-1", "status": "running"}, Job("job-1", JobStatus.RUNNING)),
        (LIST_JOBS, {"items": [], "nextCursor": None}, JobPage(())),
        (TEST_KEY, {"status": "OK", "message": "valid"}, KeyStatus("OK", "valid")),
        (MEDIA_INPUT, {"url": "https://s.example/a?sig=1"}, MediaUpload("https://s.example/a?sig=1")),
    ],
)
def test_any_2xx_is_a_success(endpoint, status, body, model):
    """The content type does not matter."""
    for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/html"}):
        assert parse(endpoint, status, body, headers) == model


@pytest.mark.parametrize(
    "body",
    [
        # other fields
        b'{"jobId": "job-1"}',
        b'{"jobId": "job-1", "status": null, "warning": null}',
        b'{"jobId": "job-1", "status": 5, "warning": {"text": "short"}}',
        b'{"jobId": "job-1", "status": [], "warning": false}',
        b'{"jobId": "job-1", "status": "", "warning": ""}',
        b'{"status": "failed", "message": "internal", "jobId": "job-1"}',
        # broken JSON
        b'{"jobId": "job-1", "status": "crea',
        b'{"jobId": "job-1"',
        b'{"jobId" : "job-1",}',
        b'{"jobId"\n:\t"job-1"} and more',
        b'{"jobId": "job-1"}{"jobId": "job-1"}',
        b'{"jobId": "job-1", "warning": NaN}',
        b'{"jobId": "job-1", "warning": Infinity}',
        b'{"jobId": "job-1", "warning": 1e999}',
        b'{"jobId": "job-1", "warning": ' + b"[" * 100_000,
        b'{"jobId": "job-1", "n": ' + b"9" * 10_000 + b"}",
        b")]}'\n" + b'{"jobId": "job-1"}',
        # an unexpected shape
        b'[{"jobId": "job-1"}]',
        b'{"data": {"jobId": "job-1"}}',
        b'{"jobId": null, "job": {"jobId": "job-1"}}',
        # twice
        b'{"jobId": "job-1", "jobId": "job-1"}',
        b'{"jobId": "job-1", "jobId": null}',
        b'{"jobId": null, "jobId": "job-1"}',
        b'{"jobId": "", "jobId": "job-1"}',
        # invalid UTF-8, and bytes around the JSON
        b'{"jobId": "job-1", "warning": "\xe9t\xe9"}',
        b'\xef\xbb\xbf{"jobId": "job-1"}',
        b'\x00\x00{"jobId": "job-1"}\x00',
        b'{"jobId": "job-1", "warning": "\xed\xa0\x80"}',
        b'{"jobId": "job-1", "warning": "\\ud800"}',
    ],
)
@pytest.mark.parametrize("flaw", [None, *BodyFlaw])
def test_submission_with_a_job_id_is_a_success_whatever_else_is_wrong(body, flaw):
    """The job is accepted and will be billed, so its id must not be lost."""
    result = parse(VOICEPRINT, 200, body, flaw=flaw)
    assert type(result) is JobCreated
    assert result.job_id == "job-1"


@pytest.mark.parametrize(
    "job_id",
    ["0b9a6a2e-54b5-4a8c-9b2b-2f6a2e1f3c4d", "65f1c0ffee", "a_b.c:d", "job 1", "работа-1", 'a"b', "a/b", "a\\b"],
)
def test_any_non_empty_string_is_a_job_id(job_id):
    assert parse(VOICEPRINT, 200, {"jobId": job_id}) == JobCreated(job_id)
    assert parse(VOICEPRINT, 200, json.dumps({"jobId": job_id}, ensure_ascii=False).encode()) == JobCreated(job_id)


@pytest.mark.parametrize("job_id", ["a/b", "a+b==", "job 1", "работа-1", "{x}", 'a"b', "j" * 300])
def test_any_job_id_is_found_in_a_broken_response(job_id):
    """The same ids are valid in a broken response as in a complete one."""
    broken = json.dumps({"jobId": job_id}, ensure_ascii=False)[:-1].encode()
    assert parse(VOICEPRINT, 200, broken + b', "warning": NaN}') == JobCreated(job_id)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'"job-1"',
        b"<html><body>Welcome</body></html>",
        b'{"jobId": null}',
        b'{"jobId": ""}',
        b'{"jobId": 5}',
        b'{"jobId": ["job-1"]}',
        b'{"jobId": {"id": "job-1"}}',
        b'{"jobId": true}',
        b'{"status": "created"}',
        b'{"jobId": "job-',  # an incomplete id
        b'{"jobId": "job-1',
        b'{"jobId"',
        b'{"message": "\\"jobId\\": \\"job-1\\""}',  # a sentence about an id
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("flaw", [None, *BodyFlaw])
def test_submission_without_a_job_id_has_an_unknown_outcome(body, flaw):
    """It is neither a success nor safe to repeat."""
    result = parse(VOICEPRINT, 200, body, {"X-Request-Id": "r"}, flaw=flaw)
    assert type(result) is (ApiTimeoutError if flaw is BodyFlaw.STALLED else UnexpectedResponseError)
    assert flags(result) == UNKNOWN
    assert (result.status, result.headers) == (200, {"x-request-id": "r"})
    assert "billed twice" in str(result)


@pytest.mark.parametrize("endpoint", REPEATABLE)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[1]", b"<html></html>", b'{"jobId": "job-1", "status": "run', b"\xff"]
)
@pytest.mark.parametrize("flaw", [None, *BodyFlaw])
def test_unreadable_response_to_another_operation_is_retryable(endpoint, body, flaw):
    result = parse(endpoint, 200, body, flaw=flaw)
    assert type(result) is (ApiTimeoutError if flaw is BodyFlaw.STALLED else UnexpectedResponseError)
    assert flags(result) == RETRYABLE


def test_incomplete_body_is_never_parsed():
    """A body that breaks off may be valid JSON by chance."""
    for flaw in BodyFlaw:
        result = parse(GET_JOB, 200, {"jobId": "job-1", "status": "succeeded"}, flaw=flaw)
        assert isinstance(result, ApiConnectionError if flaw is BodyFlaw.STALLED else UnexpectedResponseError)


# Secrets

SIGNATURE = "code=5ec7e7"  # a parameter whose name does not show that it is secret
PASSWORD = "pa55word"
SIGNED = f"https://bucket.s3.example/a.wav?{SIGNATURE}&x=1"
PLACES = {
    "message": lambda text: {"message": text},
    "field": lambda text: {"errors": [{"field": text, "message": "wrong"}]},
    "field's message": lambda text: {"errors": [{"field": "url", "message": text}]},
    "field's message, nested": lambda text: {"errors": [{"field": "url", "message": {"value": [text]}}]},
    "request id": lambda text: {"requestId": text},
    "text": lambda text: text,
    "job": lambda text: {"jobId": None, "output": {"voiceprint": text}},
    "HTML": lambda text: f"<p>{text}</p>".encode(),
}


def shown(error: VoiceprintError) -> str:
    """Return everything that a log can show of an error."""
    return "\n".join([str(error), repr(error), *traceback.format_exception(error)])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", [100, 200, 307, 400, 404, 500])
def test_no_error_shows_the_key_or_the_query_of_a_url(status, place):
    """Neither in a body that can be parsed nor in one that cannot."""
    sentence = f"Could not fetch {SIGNED} with Bearer {KEY} (user: https://me:{KEY}@host.example/#{SIGNATURE})."
    headers = {"Location": SIGNED, "X-Key": KEY}
    error = parse(VOICEPRINT, status, PLACES[place](sentence), headers)
    assert KEY not in shown(error)
    assert SIGNATURE not in shown(error)
    assert error.__context__ is None


@pytest.mark.parametrize("around", ["{}", "'{}'", '"{}"', "<{}>", "({})", "[{}]", "a={},", "{}\n", "url:{}"])
@pytest.mark.parametrize(
    "url",
    [
        SIGNED,
        SIGNED.replace("https", "HTTPS"),
        SIGNED.replace("https", "http"),
        f"media://key?{SIGNATURE}",
        f"https://h.example?{SIGNATURE}",
        f"https://h.example/a#{SIGNATURE}",
        f"https://h.example/a?a[]=1|2&{SIGNATURE}",
        f"https://h.example/a?next=https://h.example/b?{SIGNATURE}",
        f"https://me:{PASSWORD}@h.example/a?{SIGNATURE}",
    ],
)
def test_message_is_quoted_without_the_queries_of_its_urls(url, around):
    """The rest of the sentence is kept for the user."""
    error = parse(VOICEPRINT, 400, {"message": f"Could not fetch {around.format(url)}"})
    assert error.message.startswith("Could not fetch")
    assert "h.example" in error.message or "bucket.s3.example" in error.message or "media://key" in error.message
    assert SIGNATURE not in error.message + shown(error)
    assert PASSWORD not in error.message + shown(error)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (TEST_KEY, {"status": "OK", "message": f"The key {KEY} is valid"}),
        (VOICEPRINT, {"jobId": "job-1", "warning": f"{KEY} is about to expire"}),
        (GET_JOB, {"jobId": "job-1", "status": "succeeded", "output": {"voiceprint": "x", "warning": f"By {KEY}"}}),
        (GET_JOB, {"jobId": "job-1", "status": "failed", "output": {"error": f"Refused with Bearer {KEY}"}}),
    ],
)
def test_no_model_shows_a_key_that_the_api_repeats(endpoint, body):
    """The key is redacted in `repr()` and in each text field."""
    model = parse(endpoint, 200, body)
    assert type(model) is endpoint.model
    shown_texts = [str(value) for value in attrs.asdict(model).values()]
    assert [text for text in [repr(model), *shown_texts] if KEY in text] == []


def test_voiceprint_and_ids_are_never_redacted():
    """They are paid for. A real key is never so short that they could contain it."""
    body = {"jobId": "job-k", "status": "succeeded", "output": {"voiceprint": "k"}}
    job = parse(GET_JOB, 200, body, key="k")
    assert (job.job_id, job.status, job.voiceprint) == ("job-k", "succeeded", "k")


def test_apostrophe_does_not_end_a_url():
    """RFC 3986 allows an apostrophe in a query."""
    error = parse(VOICEPRINT, 400, {"message": f"Could not fetch https://h.example/a?name=it's&{SIGNATURE}"})
    assert SIGNATURE not in error.message + shown(error)


def test_no_part_of_the_key_is_left_where_a_message_is_cut():
    """Redacted queries shift the position of the cut."""
    for length in range(4100):
        error = parse(VOICEPRINT, 400, {"message": f"https://h.example/?{'q' * length} {KEY}"})
        assert KEY[:8] not in str(error)


def test_long_message_is_cut_after_redaction():
    error = parse(VOICEPRINT, 400, {"message": "word " * 200_000})
    assert len(str(error)) < 2000
    straddling = "x" * 490 + " " + KEY + SIGNED
    for start in range(30):
        error = parse(VOICEPRINT, 400, {"message": straddling[start:]})
        assert KEY[:8] not in shown(error)


# Any response

WORDS = st.sampled_from(
    [
        "jobId",
        "id",
        "status",
        "message",
        "errors",
        "field",
        "items",
        "nextCursor",
        "output",
        "warning",
        "requestId",
        "url",
    ]
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=10),
        WORDS,
        st.just("2026-01-01T00:00:00Z"),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=6)),
    max_leaves=12,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw random bytes, or JSON with names of the API, complete, cut off or with a few changed bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=60))
    raw = bytearray(json.dumps(draw(VALUES)).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 2))):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    return bytes(raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw)


HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "X-RateLimit-Reset", "X-RateLimit-Limit", "Date", "Location", "Set-Cookie"]),
    st.one_of(st.text(st.characters(codec=None), max_size=20), st.integers().map(str), st.floats().map(str)),
    max_size=4,
)


@settings(deadline=None, max_examples=600)
@given(
    endpoint=st.sampled_from(ENDPOINTS),
    status=st.one_of(
        st.integers(200, 299),
        st.sampled_from([400, 408, 422, 429, 500, 503]),
        st.integers(100, 999),
        st.integers(-1, 9999),
    ),
    body=bodies(),
    headers=HEADERS,
    flaw=st.one_of(st.none(), st.sampled_from(BodyFlaw)),
)
@example(endpoint=VOICEPRINT, status=503, body=b"", headers={"Retry-After": "-1"}, flaw=None)
def test_any_response_is_a_model_or_an_error_with_consistent_flags(endpoint, status, body, headers, flaw):
    """Nothing else is raised, and every error survives pickling."""
    result = parse(endpoint, status, body, headers, flaw)
    if not isinstance(result, VoiceprintError):
        assert type(result) is endpoint.model
        assert 200 <= status <= 299
        return
    assert not (result.retryable and result.outcome_unknown)
    assert not (result.outcome_unknown and endpoint.repeatable)
    assert result.status == status
    if status == 407:
        assert type(result) is ProxyError
    elif status not in {401, 403}:  # a page with such a status is from a gateway
        assert isinstance(result, ApiStatusError) is (400 <= status <= 599)
    assert result.retry_after is None or (math.isfinite(result.retry_after) and result.retry_after > 0)
    assert result.__context__ is None
    again = pickle.loads(pickle.dumps(result))  # noqa: S301 - just made
    assert (type(again), again.args, vars(again)) == (type(result), result.args, vars(result))


@settings(deadline=None, max_examples=150)
@given(
    job_id=st.text(st.sampled_from("abcXYZ0189-_."), min_size=1, max_size=40),
    before=st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=8)), max_size=3),
    after=st.binary(max_size=40).filter(lambda raw: b"jobId" not in raw),
    flaw=st.one_of(st.none(), st.sampled_from(BodyFlaw)),
)
def test_submission_that_breaks_off_after_its_job_id_keeps_the_id(job_id, before, after, flaw):
    before.pop("jobId", None)
    whole = json.dumps(before | {"jobId": job_id}).encode()
    result = parse(VOICEPRINT, 200, whole[:-1] + after, flaw=flaw)
    assert result.job_id == job_id


@pytest.mark.parametrize(
    "error",
    [
        parse(VOICEPRINT, 400, {"message": "no", "requestId": "r", "errors": [{"field": "url", "message": "m"}]}),
        parse(GET_JOB, 429, {"message": "slow down"}, {"Retry-After": "5"}),
        parse(VOICEPRINT, 200, b"", flaw=BodyFlaw.STALLED),
        parse(VOICEPRINT, 307, b"", {"Location": "/"}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_pickle_with_all_details(error):
    """Worker processes return errors by pickle."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - just made
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.status == error.status is not None


@pytest.mark.parametrize("status", [304, 400, 404, 409, 422, 500, 502, 999])
def test_the_error_of_a_submission_keeps_the_job_id_of_the_response(status):
    """The job may exist and be billed, whatever the status says."""
    body = {"jobId": "job-1", "message": "No"}
    assert (parse(VOICEPRINT, status, body).job_id, parse(GET_JOB, status, body).job_id) == ("job-1", None)


@pytest.mark.parametrize("status", [200, 302, 401, 407, 409, 500, 999])
def test_headers_of_an_error_show_neither_the_key_nor_a_signature(status):
    headers = {"X-Echo": f"Bearer {KEY}", "Location": "https://storage.example/a?X-Amz-Signature=5ec7e7"}
    shown = parse(VOICEPRINT, status, b"", headers).headers
    assert shown == {"x-echo": "Bearer …", "location": "https://storage.example/a?…"}
