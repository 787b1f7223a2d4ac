"""Bytes to models: strict where money hangs on it, lenient elsewhere."""

import json
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyannote_voiceprint_async import (
    JobCreated,
    JobStatus,
    JobSummary,
    KeyStatus,
    Model,
    VoiceprintJob,
    VoiceprintOutput,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.api.codec import decode, encode, find_job_id
from pyannote_voiceprint_async.api.refusals import Refusal, parse_refusal
from pyannote_voiceprint_async.errors import FieldError
from pyannote_voiceprint_async.models import JobPage, MediaUpload

URL = "https://example.com/voice.wav"
FAILED = JobSummary("1", JobStatus.FAILED)
LISTED = {"id": "1", "status": "failed", "type": "diarize", "source": "api", "model": "precision-3", "quantity": 20.5,
          "reason": "why", "completedAt": "2026-01-02T03:04:05Z"}  # fmt: skip
DIARIZED = JobSummary("1", JobStatus.FAILED, None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "diarize", "precision-3",
                      "api", "why", 20.5)  # fmt: skip
MODELS = [JobCreated, VoiceprintJob, VoiceprintOutput, JobSummary, JobPage, KeyStatus, MediaUpload]
# Those of which something must be there.
DEMANDING = [model for model in MODELS if model is not VoiceprintOutput]
VALUES = st.sampled_from(
    [None, True, 0, -1, 1.5, 10**30, "", "1", "created", "9999-99-99", [], [[]], [None], {}, {"id": 1}]
)
NAMES = ["jobId", "id", "status", "createdAt", "updatedAt", "output", "voiceprint", "warning", "error", "items",
         "nextCursor", "message", "url", "errors", "field", "requestId"]  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES)
LIKE_AN_ANSWER = st.dictionaries(st.sampled_from(NAMES), VALUES | OBJECTS | st.lists(VALUES | OBJECTS, max_size=3))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4),
    max_leaves=12,
)


def a_well(name, depth):
    """Lists in lists, where a field, or a field of a list's first entry, is expected."""
    well = b"[" * depth + b"]" * depth
    return b'{"jobId":"1","id":"1","status":"created","%b":%b,"errors":[{"%b":%b}]}' % (name, well, name, well)


BODIES = (
    st.binary(max_size=100)
    | (VALUES | LIKE_AN_ANSWER | ANY_JSON).map(lambda raw: json.dumps(raw).encode())
    | st.builds(a_well, st.sampled_from([name.encode() for name in NAMES]), st.integers(1, 1100))
)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (VoiceprintRequest(URL), {"url": URL, "model": "precision-2"}),
        (VoiceprintRequest(URL, Model("precision-9")), {"url": URL, "model": "precision-9"}),
        (
            VoiceprintRequest(URL, webhook_status_only=True),
            {"url": URL, "model": "precision-2", "webhookStatusOnly": True},
        ),
        (VoiceprintRequest(URL, "m", "https://a/"), {"url": URL, "model": "m", "webhook": "https://a/"}),
    ],
)
def test_a_request_leaves_out_what_is_not_set(request_, expected):
    """`model` is always sent; nothing else is, unless it was said, and never as null."""
    assert json.loads(encode(request_)) == expected


@given(st.text(min_size=1), st.text(min_size=1), st.none() | st.text(), st.booleans())
def test_a_request_arrives_as_it_was_meant(url, model, webhook, status_only):
    sent = json.loads(encode(VoiceprintRequest(url, model, webhook, status_only)))
    assert (sent["url"], sent["model"], sent.get("webhook"), sent.get("webhookStatusOnly", False)) == (
        url, model, webhook, status_only,
    )  # fmt: skip
    assert None not in sent.values()


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (JobCreated, {"jobId": "1", "status": "created"}, JobCreated("1")),
        (JobCreated, {"jobId": "1"}, JobCreated("1")),
        (JobCreated, {"jobId": "1", "status": None, "warning": None}, JobCreated("1")),
        (JobCreated, {"jobId": "1", "status": 5, "warning": {}}, JobCreated("1")),
        (JobCreated, {"jobId": "1", "status": "queued"}, JobCreated("1", JobStatus("queued"))),
        (JobCreated, {"jobId": "1", "warning": "w", "new": [1]}, JobCreated("1", warning="w", extra={"new": [1]})),
        (JobCreated, {"jobId": "1", "job_id": "2"}, JobCreated("1", extra={"job_id": "2"})),
        (VoiceprintJob, {"jobId": "1", "status": "cancelled"}, VoiceprintJob("1", JobStatus.CANCELED)),
        (
            VoiceprintJob,
            {
                "jobId": "1",
                "status": "succeeded",
                "createdAt": "2026-01-02T03:04:05Z",
                "updatedAt": None,
                "output": {"voiceprint": "v"},
            },
            VoiceprintJob(
                "1", JobStatus.SUCCEEDED, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None, VoiceprintOutput("v")
            ),
        ),
        (VoiceprintJob, {"jobId": "1", "status": "failed", "output": None}, VoiceprintJob("1", JobStatus.FAILED)),
        (VoiceprintJob, {"jobId": "1", "status": "failed", "output": "bad"}, VoiceprintJob("1", JobStatus.FAILED)),
        (VoiceprintJob, {"jobId": "1", "status": "failed", "output": []}, VoiceprintJob("1", JobStatus.FAILED)),
        (
            VoiceprintJob,
            {"jobId": "1", "status": "failed", "output": {"error": "bad", "voiceprint": 5, "more": 1}},
            VoiceprintJob("1", JobStatus.FAILED, output=VoiceprintOutput(error="bad", extra={"more": 1})),
        ),
        (
            VoiceprintJob,
            {"jobId": "1", "status": "created", "createdAt": "yesterday", "updatedAt": 5},
            VoiceprintJob("1", JobStatus.CREATED),
        ),
        (JobPage, {"items": [], "nextCursor": None}, JobPage(())),
        (JobPage, {"items": [], "nextCursor": 5}, JobPage(())),
        (
            JobPage,
            {"items": [{"jobId": "1", "status": "failed"}]},
            JobPage((attrs.evolve(FAILED, extra={"jobId": "1"}),)),
        ),
        (
            JobPage,
            {"items": [{"id": "1", "status": "created", "new": 1}], "nextCursor": "n"},
            JobPage((JobSummary("1", JobStatus.CREATED, extra={"new": 1}),), "n"),
        ),
        (JobPage, {"items": [LISTED]}, JobPage((DIARIZED,))),
        (JobPage, {"items": [dict.fromkeys(LISTED, False) | {"id": "1", "status": "failed"}]}, JobPage((FAILED,))),
        (JobPage, {"items": [{"id": "1", "status": "failed", "quantity": True}]}, JobPage((FAILED,))),
        (JobPage, {"items": [None, 5, "x", {}, {"id": ""}, {"id": "1", "status": "failed"}]}, JobPage((FAILED,))),
        (JobPage, {"items": [{"id": 5, "status": "failed"}, {"id": "1", "status": "failed"}]}, JobPage((FAILED,))),
        (KeyStatus, {}, KeyStatus()),
        (KeyStatus, {"status": "OK", "message": None, "team": "t"}, KeyStatus("OK", extra={"team": "t"})),
        (MediaUpload, {"url": URL, "more": 1}, MediaUpload(URL)),
    ],
)
def test_answers(kind, body, expected):
    """Null, missing or of another type is the default; what is unknown is kept; one bad job spoils no page."""
    assert decode(kind, json.dumps(body).encode()) == expected


@pytest.mark.parametrize("status", [None, 5, ""])
def test_a_job_in_a_page_without_a_status_spoils_no_page(status):
    page = decode(
        JobPage, json.dumps({"items": [{"id": "1", "status": status}, {"id": "2", "status": "failed"}]}).encode()
    )
    assert page.items[-1] == JobSummary("2", JobStatus.FAILED)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JobPage, {}),
        (JobPage, {"items": None}),
        (JobPage, {"items": 5}),
        (JobPage, {"items": "none"}),
        (JobPage, {"data": []}),
        (JobCreated, {}),
        (JobCreated, {"jobId": None}),
        (JobCreated, {"jobId": ""}),
        (JobCreated, {"jobId": 17}),
        (JobCreated, {"jobId": ["1"]}),
        (JobCreated, {"id": "1"}),
        (VoiceprintJob, {"status": "created"}),
        (VoiceprintJob, {"jobId": "1"}),
        (VoiceprintJob, {"jobId": "1", "status": None}),
        (MediaUpload, {}),
        (MediaUpload, {"url": None}),
        (MediaUpload, {"url": ""}),
        (JobCreated, []),
        (JobCreated, "job-1"),
        (JobCreated, None),
        (JobCreated, 17),
    ],
)
def test_answers_that_cannot_be_read(kind, body):
    with pytest.raises(ValueError):
        decode(kind, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.678Z", datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_moments_can_be_compared(text, expected):
    """They are documented as UTC; one without a zone could not even be subtracted from another."""
    job = decode(VoiceprintJob, json.dumps({"jobId": "1", "status": "created", "createdAt": text}).encode())
    assert job.created_at == expected


@given(st.sampled_from(MODELS), BODIES)
def test_any_bytes_are_a_model_or_a_value_error(kind, body):
    """Never another exception, and what is read always has what it cannot be without."""
    try:
        model = decode(kind, body)
    except ValueError:
        return
    assert isinstance(model, kind)
    assert "" not in [getattr(model, "job_id", None), getattr(model, "url", None)]
    assert wrong_types(model) == []


def wrong_types(model):
    """The fields of a model, and of models in it, whose values are not what the field says."""
    wrong = []
    for field in attrs.fields(type(model)):
        value = getattr(model, field.name)
        inner = value if isinstance(value, tuple) else (value,)
        wrong += [name for one in inner if attrs.has(type(one)) for name in wrong_types(one)]
        wrong += [field.name] * (not isinstance(value, TYPES[field.name]))
        wrong += [field.name] * (isinstance(value, datetime) and value.tzinfo is None)
    return wrong


TYPES = {
    **dict.fromkeys(["job_id", "url", "message"], str),
    **dict.fromkeys(["voiceprint", "warning", "error", "next_cursor", "type", "model", "source", "reason"], str | None),
    **dict.fromkeys(["created_at", "updated_at", "completed_at"], datetime | None),
    "quantity": int | float | None,
    "status": str,
    "output": VoiceprintOutput | None,
    "items": tuple,
    "extra": dict,
}

TEXT = st.text(min_size=1)
STATUSES = st.sampled_from(JobStatus) | TEXT.map(JobStatus)
MOMENTS = st.datetimes(timezones=st.just(UTC))
# What no model knows.
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
EXTRA = st.dictionaries(TEXT.map("new {}".format), PLAIN | st.text() | st.lists(PLAIN, max_size=2), max_size=2)


def some(kind, required=(), **optional):
    """Models of a kind, with defaults for what is None."""
    fields = {name: strategy | st.none() for name, strategy in optional.items()}
    return st.builds(lambda values: kind(**{k: v for k, v in values.items() if v is not None}),
                     st.fixed_dictionaries(dict(required) | fields))  # fmt: skip


OUTPUTS = some(VoiceprintOutput, voiceprint=TEXT, warning=TEXT, error=TEXT, extra=EXTRA)
QUANTITIES = st.integers(0, 2**53) | st.floats(0, 1e6)
SUMMARIES = some(JobSummary, {"job_id": TEXT}, status=STATUSES, created_at=MOMENTS, completed_at=MOMENTS, type=TEXT,
                 model=TEXT, source=TEXT, reason=TEXT, quantity=QUANTITIES, extra=EXTRA)  # fmt: skip
ANSWERS = st.one_of(
    some(JobCreated, {"job_id": TEXT}, status=STATUSES, warning=TEXT, extra=EXTRA),
    some(VoiceprintJob, {"job_id": TEXT, "status": STATUSES}, created_at=MOMENTS, updated_at=MOMENTS, output=OUTPUTS,
         extra=EXTRA),
    some(JobPage, {"items": st.lists(SUMMARIES, max_size=3).map(tuple)}, next_cursor=TEXT),
    some(KeyStatus, status=TEXT, message=TEXT, extra=EXTRA),
    some(MediaUpload, {"url": TEXT}),
    OUTPUTS,
    SUMMARIES,
)  # fmt: skip
WIRE = {
    "created_at": "createdAt",
    "completed_at": "completedAt",
    "updated_at": "updatedAt",
    "next_cursor": "nextCursor",
}


def told(value):
    """How the API tells of a model: in its own names, and with null where there is nothing."""
    if isinstance(value, tuple):
        return [told(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if not attrs.has(type(value)):
        return value
    names = WIRE | {"job_id": "id" if isinstance(value, JobSummary) else "jobId"}
    fields = {name: told(getattr(value, name)) for name in attrs.fields_dict(type(value)) if name != "extra"}
    return {names.get(name, name): field for name, field in fields.items()} | dict(getattr(value, "extra", {}))


@given(ANSWERS)
def test_what_the_api_tells_of_a_model_is_read_as_that_model(model):
    assert decode(type(model), json.dumps(told(model)).encode()) == model


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}x", b"null", b"NaN", b'{"jobId":NaN}', b'{"jobId":Infinity}', b"\xff\xfe{}", b"\xef\xbb\xbf{}",
        b"[" * 100_000, b'{"items":' * 5000, b'{"jobId":"\\ud800"}', b"{'jobId':'1'}", b'{"jobId":"1",}', b"\x00",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", DEMANDING)
def test_bytes_that_are_no_json_object(kind, body):
    with pytest.raises(ValueError):
        decode(kind, body)


@given(BODIES)
@example(b"<html>502 Bad Gateway</html>")
@example(b'{"errors":[{"field":null,"message":5}]}')
@example(a_well(b"field", 1000))
@example(a_well(b"message", 1000))
def test_any_bytes_are_a_refusal(body):
    """There is no answer to a failed request that is a failure of its own."""
    refusal = parse_refusal(body)
    assert all(isinstance(text, str) and text for text in (refusal.message, refusal.request_id) if text is not None)
    assert all(isinstance(text, str) for wrong in refusal.errors for text in attrs.astuple(wrong))


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
def test_refusals(body, expected):
    assert parse_refusal(json.dumps(body).encode()) == expected


URL_IS_BAD = (FieldError("url", "is bad"),)


@pytest.mark.parametrize(
    ("body", "message", "errors"),
    [
        # One sentence
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
        # Lists that name fields
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
        # No reason
        ({"status": 403, "code": 7, "message": 7, "detail": True, "error": None}, None, ()),
        ({"message": {"a": {"message": "x"}}}, None, ()),
    ],
)
def test_the_reason_of_a_refusal_is_found_in_every_common_shape(body, message, errors):
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
def test_a_page_is_told_apart_from_json_that_broke_off(body, expected):
    assert parse_refusal(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"jobId":"job-1","sta', "job-1"),
        (b'{"status":"created", "jobId" : "bd7e97c9-0742-4a19"', "bd7e97c9-0742-4a19"),
        (b'\xff\xfe"jobId":"1"', "1"),
        (b'{"jobId":"job-', None),
        (b'{"jobId":""', None),
        (b'{"jobId":17', None),
        (b'{"jobId":null', None),
        (b'{"id":"job-1"', None),
        (b'{"jobId":"a\\"b/c"', 'a"b/c'),
        (b'{"jobId":"' + b"a" * 1001 + b'"', None),
        (b"", None),
    ],
)
def test_the_job_id_in_a_broken_answer(body, expected):
    """Half an id is none."""
    assert find_job_id(body) == expected


@given(st.text("abcXYZ019-_.:", min_size=1, max_size=200), st.integers(0, 100))
def test_the_job_id_of_any_answer_that_breaks_off_later(job_id, cut):
    whole = json.dumps({"jobId": job_id, "status": "created", "warning": "w" * 100}).encode()
    end = whole.index(job_id.encode(), 10) + len(job_id) + 1
    assert find_job_id(whole[: end + cut]) == job_id


@given(st.binary(max_size=50), st.binary(max_size=50) | ANY_JSON.map(lambda raw: json.dumps(raw).encode()), BODIES)
def test_a_job_id_in_any_bytes_is_text_or_none(before, given_id, after):
    """It stands in a path and in a log later on, so it must be text that can be written."""
    found = find_job_id(before + b'"jobId":' + given_id + after)
    assert found is None or (found and found.encode())
