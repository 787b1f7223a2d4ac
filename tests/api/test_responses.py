"""What an answer means: from (operation, status, headers, body, flaw) to a model or an error."""

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
from pyannote_voiceprint_async.api.responses import (
    ApiResponse,
    BodyFlaw,
    RequestOutcome,
    error_flags,
    next_step,
    outcome_of_status,
    parse_response,
)
from pyannote_voiceprint_async.models import JobCreated, JobPage, MediaUpload, VoiceprintJob

KEY = "sk-1234567890abcdef"
WALL = 1_800_000_000.0
ENDPOINTS = [TEST_KEY, MEDIA_INPUT, VOICEPRINT, GET_JOB, LIST_JOBS]
REPEATABLE = [TEST_KEY, MEDIA_INPUT, GET_JOB, LIST_JOBS]


def reading(
    endpoint: Endpoint,
    status: int,
    body: object = b"",
    headers: dict[str, str] | None = None,
    flaw: BodyFlaw | None = None,
    key: str = KEY,
) -> object:
    """Read an answer; give its model or its error. A body that is no bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        return parse_response(endpoint, ApiResponse(status, CIMultiDict(headers or {}), raw, flaw), wall=WALL, key=key)
    except VoiceprintError as error:
        return error


def flags(error: VoiceprintError) -> tuple[bool, bool]:
    return error.retryable, error.outcome_unknown


# What every status means

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
def test_the_table_of_statuses(status, headers, error, repeatable, submission):
    """Each status has one class of the tree, and answers its two questions for each kind of operation."""
    for endpoint in ENDPOINTS:
        result = reading(endpoint, status, {"message": "no", "jobId": "job-1"}, headers)
        assert type(result) is error
        assert flags(result) == (repeatable if endpoint.repeatable else submission)
        assert result.status == status


def test_account_errors_can_be_caught_as_one():
    """They end a bulk run; a wrong request does not."""
    assert [isinstance(reading(VOICEPRINT, status), AccountError) for status in (401, 402, 403, 400, 404, 429)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("fate", "repeatable", "submission"),
    [
        (RequestOutcome.NEVER_SENT, RETRYABLE, RETRYABLE),
        (RequestOutcome.RETRY_LATER, RETRYABLE, RETRYABLE),
        (RequestOutcome.UNKNOWN, RETRYABLE, UNKNOWN),
        (RequestOutcome.REFUSED, NEITHER, NEITHER),
    ],
)
def test_the_table_of_fates(fate, repeatable, submission):
    """Retryable, and outcome unknown, for each thing that can become of a request."""
    assert tuple(error_flags(fate, repeatable=True).values()) == repeatable
    assert tuple(error_flags(fate, repeatable=False).values()) == submission
    assert list(error_flags(fate, repeatable=False)) == ["retryable", "outcome_unknown"]


def test_the_sentence_warns_of_paying_twice_where_that_can_happen_only():
    """It is what a person reads before they press the button again."""
    warned = {
        (fate, repeatable): "paid twice" in next_step(fate, repeatable=repeatable)
        for fate in (RequestOutcome.NEVER_SENT, RequestOutcome.UNKNOWN)
        for repeatable in (True, False)
    }
    assert [which for which, warns in warned.items() if warns] == [(RequestOutcome.UNKNOWN, False)]
    assert "paid twice" in str(reading(VOICEPRINT, 502))
    assert "paid twice" not in str(reading(GET_JOB, 502)) + str(reading(VOICEPRINT, 400))


# What the body of a refusal says


def test_everything_that_is_known_of_a_refusal_is_in_its_error():
    body = {
        "message": "The request is wrong",
        "requestId": "req-1",
        "errors": [{"field": "url", "message": "is missing"}, {"field": "webhook", "message": "must be https"}],
    }
    error = reading(VOICEPRINT, 400, body, {"Retry-After": "7", "X-Request-Id": "r"})
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
def test_a_refusals_body_of_any_shape_is_read_as_far_as_it_goes(status, body, message, errors):
    """The status stands, whatever the body is."""
    result = reading(VOICEPRINT, status, body)
    assert result.status == status
    assert result.message == message
    if status == 500:
        assert type(result) is ServerError
        assert "502 Bad Gateway" not in str(result)
    else:
        assert type(result) is InvalidRequestError
        assert result.errors == errors


def test_no_reason_is_given_twice():
    """A list without a sentence of its own is both the message and the errors."""
    error = reading(VOICEPRINT, 422, {"detail": [{"loc": ["body", "url"], "msg": "is bad"}]})
    assert (error.message, error.errors) == ("url: is bad", (FieldError("url", "is bad"),))
    assert "(url: is bad)" in str(error)


PAGE = b"<html><head><title>Access denied</title></head></html>"


@pytest.mark.parametrize("endpoint", [VOICEPRINT, GET_JOB])
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [PAGE, b"Access denied"])
def test_a_page_instead_of_json_came_from_a_gateway(endpoint, status, body):
    """The key was not checked, so nobody should replace it; and the person must know which program refused."""
    headers = {"Server": "squid/5.7", "Via": "1.1 proxy.corp.example", "Content-Type": "text/html"}
    error = reading(endpoint, status, body, headers)
    assert type(error) is UnexpectedResponseError
    assert flags(error) == NEITHER
    assert (error.status, error.message) == (status, "Access denied")
    assert error.headers["via"] == "1.1 proxy.corp.example"
    for shown_text in (str(status), "gateway", "Server: squid/5.7", "Via: 1.1 proxy.corp.example", "Access denied"):
        assert shown_text in str(error)
    assert "PYANNOTEAI_API_KEY" not in str(error)


def test_a_gateway_that_does_not_name_itself():
    error = reading(VOICEPRINT, 403, b"<html></html>")
    assert "does not name itself" in str(error)
    assert error.message is None


def test_a_gateway_shows_neither_the_key_nor_a_signature():
    via = f"1.1 {KEY} https://proxy.example/?{SIGNATURE}"
    page = f"<title>No {KEY} at https://host.example/?{SIGNATURE}</title>".encode()
    error = reading(VOICEPRINT, 401, page, {"Via": via})
    assert KEY not in shown(error)
    assert SIGNATURE not in shown(error)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"mess', b"[", b"null", b"\x00", {"message": "No"}, {"error": "No"}])
@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (403, PermissionDeniedError)])
def test_json_even_half_of_it_and_nothing_are_the_word_of_the_api(status, kind, body):
    assert type(reading(VOICEPRINT, status, body, {"Server": "nginx", "Content-Type": "text/html"})) is kind


@pytest.mark.parametrize("status", [400, 402, 404, 422, 429, 500, 502, 503])
def test_a_page_with_another_status_keeps_its_class(status):
    assert type(reading(VOICEPRINT, status, PAGE)) is type(reading(VOICEPRINT, status))
    assert "Access denied" in str(reading(VOICEPRINT, status, PAGE))


@pytest.mark.parametrize("flaw", BodyFlaw)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_refusal_whose_body_is_not_whole_is_still_a_refusal(status, flaw):
    """The status came first, and says enough."""
    whole, broken = reading(VOICEPRINT, status), reading(VOICEPRINT, status, b'{"message": "n', flaw=flaw)
    assert type(broken) is type(whole)
    assert flags(broken) == flags(whole)


@pytest.mark.parametrize(
    ("headers", "told"),
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
def test_the_told_wait_is_in_the_error(status, headers, told):
    assert reading(TEST_KEY, status, headers=headers).retry_after == told


# What a success says

JOB = {"jobId": "job-1", "status": "created"}


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 226, 299])
@pytest.mark.parametrize(
    ("endpoint", "body", "model"),
    [
        (VOICEPRINT, JOB, JobCreated("job-1", JobStatus.CREATED)),
        (VOICEPRINT, JOB | {"warning": "short"}, JobCreated("job-1", JobStatus.CREATED, "short")),
        (VOICEPRINT, JOB | {"new": [1]}, JobCreated("job-1", JobStatus.CREATED, extra={"new": [1]})),
        (VOICEPRINT, {"jobId": "job-1", "status": "queued"}, JobCreated("job-1", JobStatus("queued"))),
        (GET_JOB, {"jobId": "job-1", "status": "running"}, VoiceprintJob("job-1", JobStatus.RUNNING)),
        (LIST_JOBS, {"items": [], "nextCursor": None}, JobPage(())),
        (TEST_KEY, {"status": "OK", "message": "valid"}, KeyStatus("OK", "valid")),
        (MEDIA_INPUT, {"url": "https://s.example/a?sig=1"}, MediaUpload("https://s.example/a?sig=1")),
    ],
)
def test_any_2xx_is_a_success(endpoint, status, body, model):
    """And the content type is nobody's business."""
    for headers in ({}, {"Content-Type": "application/json"}, {"Content-Type": "text/html"}):
        assert reading(endpoint, status, body, headers) == model


@pytest.mark.parametrize(
    "body",
    [
        # the fields beside it
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
        # the wrong shape around it
        b'[{"jobId": "job-1"}]',
        b'{"data": {"jobId": "job-1"}}',
        b'{"jobId": null, "job": {"jobId": "job-1"}}',
        # twice
        b'{"jobId": "job-1", "jobId": "job-1"}',
        b'{"jobId": "job-1", "jobId": null}',
        b'{"jobId": null, "jobId": "job-1"}',
        b'{"jobId": "", "jobId": "job-1"}',
        # bytes that are no UTF-8, or more than that
        b'{"jobId": "job-1", "warning": "\xe9t\xe9"}',
        b'\xef\xbb\xbf{"jobId": "job-1"}',
        b'\x00\x00{"jobId": "job-1"}\x00',
        b'{"jobId": "job-1", "warning": "\xed\xa0\x80"}',
        b'{"jobId": "job-1", "warning": "\\ud800"}',
    ],
)
@pytest.mark.parametrize("flaw", [None, *BodyFlaw])
def test_a_submission_that_tells_a_job_id_is_a_success_whatever_else_is_wrong(body, flaw):
    """The job is accepted and will be billed: its id is what must not be lost."""
    result = reading(VOICEPRINT, 200, body, flaw=flaw)
    assert type(result) is JobCreated
    assert result.job_id == "job-1"


@pytest.mark.parametrize(
    "job_id",
    ["0b9a6a2e-54b5-4a8c-9b2b-2f6a2e1f3c4d", "65f1c0ffee", "a_b.c:d", "job 1", "работа-1", 'a"b', "a/b", "a\\b"],
)
def test_any_string_that_is_not_empty_is_a_job_id(job_id):
    """It is the API's to choose."""
    assert reading(VOICEPRINT, 200, {"jobId": job_id}) == JobCreated(job_id)
    assert reading(VOICEPRINT, 200, json.dumps({"jobId": job_id}, ensure_ascii=False).encode()) == JobCreated(job_id)


@pytest.mark.parametrize("job_id", ["a/b", "a+b==", "job 1", "работа-1", "{x}", 'a"b', "j" * 300])
def test_any_job_id_is_found_in_a_broken_answer(job_id):
    """An id that the API may choose in a whole answer, it may choose in a broken one."""
    told = json.dumps({"jobId": job_id}, ensure_ascii=False)[:-1].encode()
    assert reading(VOICEPRINT, 200, told + b', "warning": NaN}') == JobCreated(job_id)


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
        b'{"jobId": "job-',  # half an id is none
        b'{"jobId": "job-1',
        b'{"jobId"',
        b'{"message": "\\"jobId\\": \\"job-1\\""}',  # words about an id
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("flaw", [None, *BodyFlaw])
def test_a_submission_without_a_job_id_may_have_been_accepted(body, flaw):
    """Nobody knows: it is neither a success nor to be sent again."""
    result = reading(VOICEPRINT, 200, body, {"X-Request-Id": "r"}, flaw=flaw)
    assert type(result) is (ApiTimeoutError if flaw is BodyFlaw.STALLED else UnexpectedResponseError)
    assert flags(result) == UNKNOWN
    assert (result.status, result.headers) == (200, {"x-request-id": "r"})
    assert "paid twice" in str(result)


@pytest.mark.parametrize("endpoint", REPEATABLE)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[1]", b"<html></html>", b'{"jobId": "job-1", "status": "run', b"\xff"]
)
@pytest.mark.parametrize("flaw", [None, *BodyFlaw])
def test_anything_else_that_cannot_be_read_may_be_asked_for_again(endpoint, body, flaw):
    result = reading(endpoint, 200, body, flaw=flaw)
    assert type(result) is (ApiTimeoutError if flaw is BodyFlaw.STALLED else UnexpectedResponseError)
    assert flags(result) == RETRYABLE


def test_a_body_that_is_not_whole_is_not_read_as_one():
    """What broke off and happens to be JSON is asked for again: it is not known what it would have said."""
    for flaw in BodyFlaw:
        result = reading(GET_JOB, 200, {"jobId": "job-1", "status": "succeeded"}, flaw=flaw)
        assert isinstance(result, ApiConnectionError if flaw is BodyFlaw.STALLED else UnexpectedResponseError)


# Secrets

SIGNATURE = "code=5ec7e7"  # of no name by which it could be known
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
    """Everything that a log may show of an error."""
    return "\n".join([str(error), repr(error), *traceback.format_exception(error)])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", [100, 200, 307, 400, 404, 500])
def test_no_error_shows_the_key_or_the_query_of_an_url(status, place):
    """Wherever the server repeats it, for a body that can be read as well as for one that cannot."""
    said = f"Could not fetch {SIGNED} with Bearer {KEY} (user: https://me:{KEY}@host.example/#{SIGNATURE})."
    headers = {"Location": SIGNED, "X-Key": KEY}
    error = reading(VOICEPRINT, status, PLACES[place](said), headers)
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
def test_the_servers_message_is_quoted_without_the_queries_of_its_urls(url, around):
    """The rest of the sentence stays, for the person who must act on it."""
    error = reading(VOICEPRINT, 400, {"message": f"Could not fetch {around.format(url)}"})
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
def test_no_model_shows_the_key_that_the_api_repeats(endpoint, body):
    """Neither as a whole nor in the text that a program logs."""
    model = reading(endpoint, 200, body)
    assert type(model) is endpoint.model
    shown_texts = [str(value) for value in attrs.asdict(model).values()]
    assert [text for text in [repr(model), *shown_texts] if KEY in text] == []


def test_a_voiceprint_and_ids_are_kept_as_they_are_even_with_the_key_in_them():
    """They are paid for. No real key is so short."""
    body = {"jobId": "job-k", "status": "succeeded", "output": {"voiceprint": "k"}}
    job = reading(GET_JOB, 200, body, key="k")
    assert (job.job_id, job.status, job.voiceprint) == ("job-k", "succeeded", "k")


def test_an_apostrophe_does_not_end_an_url():
    """It may stand in a query as it is (RFC 3986), so it is no quotation mark that ends one."""
    error = reading(VOICEPRINT, 400, {"message": f"Could not fetch https://h.example/a?name=it's&{SIGNATURE}"})
    assert SIGNATURE not in error.message + shown(error)


def test_no_part_of_the_key_is_left_where_a_message_is_cut():
    """Wherever that is: queries, which are long, are taken out of it as well."""
    for length in range(4100):
        error = reading(VOICEPRINT, 400, {"message": f"https://h.example/?{'q' * length} {KEY}"})
        assert KEY[:8] not in str(error)


def test_a_message_of_any_length_is_quoted_in_part():
    """A megabyte of words is no sentence; and what is cut away is cut after the secrets are taken out."""
    error = reading(VOICEPRINT, 400, {"message": "word " * 200_000})
    assert len(str(error)) < 2000
    straddling = "x" * 490 + " " + KEY + SIGNED
    for start in range(30):
        error = reading(VOICEPRINT, 400, {"message": straddling[start:]})
        assert KEY[:8] not in shown(error)


# Whatever comes

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
    """Bytes; JSON that speaks of the API's things; such JSON cut off or with a few bytes changed."""
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
def test_an_answer_of_any_kind_is_a_model_or_an_error_that_is_whole(endpoint, status, body, headers, flaw):
    """Nothing else is raised; the two flags agree with each other; and the error survives a pickle."""
    result = reading(endpoint, status, body, headers, flaw)
    if not isinstance(result, VoiceprintError):
        assert type(result) is endpoint.model
        assert 200 <= status <= 299
        return
    assert not (result.retryable and result.outcome_unknown)
    assert not (result.outcome_unknown and endpoint.repeatable)
    assert result.status == status
    if status == 407:
        assert type(result) is ProxyError
    elif status not in {401, 403}:  # a page with one of these came from a gateway
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
def test_a_submission_cut_or_broken_after_its_job_id_keeps_the_id(job_id, before, after, flaw):
    """Whatever stands before it, and however the rest came."""
    before.pop("jobId", None)
    whole = json.dumps(before | {"jobId": job_id}).encode()
    result = reading(VOICEPRINT, 200, whole[:-1] + after, flaw=flaw)
    assert result.job_id == job_id


@pytest.mark.parametrize(
    "error",
    [
        reading(VOICEPRINT, 400, {"message": "no", "requestId": "r", "errors": [{"field": "url", "message": "m"}]}),
        reading(GET_JOB, 429, {"message": "slow down"}, {"Retry-After": "5"}),
        reading(VOICEPRINT, 200, b"", flaw=BodyFlaw.STALLED),
        reading(VOICEPRINT, 307, b"", {"Location": "/"}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_pickle_with_everything_that_is_known(error):
    """Worker processes send them home."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - just made
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.status == error.status is not None


def test_a_fate_is_given_to_every_status():
    """No status is left undecided, and nothing but a refusal for good is safe to call one."""
    fates = {status: outcome_of_status(status, {}) for status in range(-1, 1000)}
    assert {status for status, fate in fates.items() if fate is RequestOutcome.REFUSED} == set(range(300, 500)) - {
        408,
        429,
    }
    assert {status for status, fate in fates.items() if fate is RequestOutcome.RETRY_LATER} == {429}
    assert {fate for status, fate in fates.items() if not 300 <= status <= 499} == {RequestOutcome.UNKNOWN}
