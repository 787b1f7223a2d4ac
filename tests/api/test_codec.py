"""Models to JSON and back: required fields are strict, all other fields lenient."""

import json
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_bodies import ANY_JSON, BODIES

from pyannote_voiceprint_async import (
    Job,
    JobCreated,
    JobStatus,
    JobSummary,
    KeyStatus,
    Model,
    VoiceprintOutput,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.api.codec import decode, encode, find_job_id, is_identification
from pyannote_voiceprint_async.models import JobPage, JobStatusPage, MediaUpload

URL = "https://example.com/voice.wav"
FAILED = JobSummary("1", JobStatus.FAILED)
LISTED = {"id": "1", "status": "failed", "type": "diarize", "source": "api", "model": "precision-3", "quantity": 20.5,
          "reason": "why", "completedAt": "2026-01-02T03:04:05Z"}  # fmt: skip
DIARIZED = JobSummary("1", JobStatus.FAILED, None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "diarize", "precision-3",
                      "api", "why", 20.5)  # fmt: skip
MODELS = [JobCreated, Job, VoiceprintOutput, JobSummary, JobPage, KeyStatus, MediaUpload]
# Models with a required field, or that must at least be an object.
STRICT = [model for model in MODELS if model is not VoiceprintOutput]


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
def test_request_omits_defaults_except_the_model(request_, expected):
    """Fields are never sent as null."""
    assert json.loads(encode(request_)) == expected


@given(st.text(min_size=1), st.text(min_size=1), st.none() | st.text(), st.booleans())
def test_request_keeps_its_values(url, model, webhook, status_only):
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
        (JobCreated, {"jobId": "1", "extra": {"new": 1}}, JobCreated("1", extra={"extra": {"new": 1}})),
        (Job, {"jobId": "1", "status": "cancelled"}, Job("1", JobStatus.CANCELED)),
        (
            Job,
            {
                "jobId": "1",
                "status": "succeeded",
                "createdAt": "2026-01-02T03:04:05Z",
                "updatedAt": None,
                "output": {"voiceprint": "v"},
            },
            Job("1", JobStatus.SUCCEEDED, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None, VoiceprintOutput("v")),
        ),
        (Job, {"jobId": "1", "status": "failed", "output": None}, Job("1", JobStatus.FAILED)),
        (Job, {"jobId": "1", "status": "failed", "output": "bad"}, Job("1", JobStatus.FAILED)),
        (Job, {"jobId": "1", "status": "failed", "output": []}, Job("1", JobStatus.FAILED)),
        (
            Job,
            {"jobId": "1", "status": "failed", "output": {"error": "bad", "voiceprint": 5, "more": 1}},
            Job("1", JobStatus.FAILED, output=VoiceprintOutput(error="bad", extra={"more": 1})),
        ),
        (
            Job,
            {"jobId": "1", "status": "created", "createdAt": "yesterday", "updatedAt": 5},
            Job("1", JobStatus.CREATED),
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
        (JobStatusPage, {"items": [LISTED], "nextCursor": "n"}, JobStatusPage({"1": JobStatus.FAILED}, "n")),
        (JobStatusPage, {"items": [{"jobId": "1", "status": "failed"}]}, JobStatusPage({"1": JobStatus.FAILED})),
        (JobStatusPage, {"items": [None, 5, "x", {}, {"id": ""}, {"id": 5}], "nextCursor": 5}, JobStatusPage({})),
        (KeyStatus, {}, KeyStatus()),
        (KeyStatus, {"status": "OK", "message": None, "team": "t"}, KeyStatus("OK", extra={"team": "t"})),
        (MediaUpload, {"url": URL, "more": 1}, MediaUpload(URL)),
    ],
)
def test_decode(kind, body, expected):
    """A missing, null or mistyped field gets its default; unknown fields are kept; bad jobs of a page are skipped."""
    assert decode(kind, json.dumps(body).encode()) == expected


@pytest.mark.parametrize("status", [None, 5, ""])
def test_page_with_a_job_without_a_status(status):
    body = json.dumps({"items": [{"id": "1", "status": status}, {"id": "2", "status": "failed"}]}).encode()
    assert decode(JobPage, body).items[-1] == JobSummary("2", JobStatus.FAILED)
    statuses = decode(JobStatusPage, body).items
    assert (statuses["1"].is_terminal, statuses["2"]) == (False, JobStatus.FAILED)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JobPage, {}),
        (JobPage, {"items": None}),
        (JobPage, {"items": 5}),
        (JobPage, {"items": "none"}),
        (JobPage, {"data": []}),
        (JobStatusPage, {}),
        (JobStatusPage, {"items": None}),
        (JobStatusPage, {"items": {"1": "failed"}}),
        (JobCreated, {}),
        (JobCreated, {"jobId": None}),
        (JobCreated, {"jobId": ""}),
        (JobCreated, {"jobId": 17}),
        (JobCreated, {"jobId": ["1"]}),
        (JobCreated, {"id": "1"}),
        (Job, {"status": "created"}),
        (Job, {"jobId": "1"}),
        (Job, {"jobId": "1", "status": None}),
        (MediaUpload, {}),
        (MediaUpload, {"url": None}),
        (MediaUpload, {"url": ""}),
        (JobCreated, []),
        (JobCreated, "job-1"),
        (JobCreated, None),
        (JobCreated, 17),
    ],
)
def test_body_without_a_required_field_is_a_value_error(kind, body):
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
def test_every_time_has_a_time_zone(text, expected):
    """The API documents UTC. A time without a zone cannot be compared with one that has a zone."""
    job = decode(Job, json.dumps({"jobId": "1", "status": "created", "createdAt": text}).encode())
    assert job.created_at == expected


@given(st.sampled_from(MODELS), BODIES)
def test_any_body_is_a_model_or_a_value_error(kind, body):
    """`decode` raises nothing else, and every field of a model has a value of its type."""
    try:
        model = decode(kind, body)
    except ValueError:
        return
    assert isinstance(model, kind)
    assert "" not in [getattr(model, "job_id", None), getattr(model, "url", None)]
    assert wrong_types(model) == []


def wrong_types(model):
    """Return the fields of a model, and of its inner models, whose values have another type."""
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
# Values of unknown fields.
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
EXTRA = st.dictionaries(TEXT.map("new {}".format), PLAIN | st.text() | st.lists(PLAIN, max_size=2), max_size=2)


def some(kind, required=(), **optional):
    """Return a strategy for models of a class, in which optional fields may have their defaults."""
    fields = {name: strategy | st.none() for name, strategy in optional.items()}
    return st.builds(lambda values: kind(**{k: v for k, v in values.items() if v is not None}),
                     st.fixed_dictionaries(dict(required) | fields))  # fmt: skip


OUTPUTS = some(VoiceprintOutput, voiceprint=TEXT, warning=TEXT, error=TEXT, extra=EXTRA)
QUANTITIES = st.integers(0, 2**53) | st.floats(0, 1e6)
SUMMARIES = some(JobSummary, {"job_id": TEXT}, status=STATUSES, created_at=MOMENTS, completed_at=MOMENTS, type=TEXT,
                 model=TEXT, source=TEXT, reason=TEXT, quantity=QUANTITIES, extra=EXTRA)  # fmt: skip
RESPONSES = st.one_of(
    some(JobCreated, {"job_id": TEXT}, status=STATUSES, warning=TEXT, extra=EXTRA),
    some(Job, {"job_id": TEXT, "status": STATUSES}, created_at=MOMENTS, updated_at=MOMENTS, output=OUTPUTS,
         extra=EXTRA),
    some(JobPage, {"items": st.lists(SUMMARIES, max_size=3).map(tuple)}, next_cursor=TEXT),
    some(KeyStatus, status=TEXT, message=TEXT, extra=EXTRA),
    some(MediaUpload, {"url": TEXT}),
    OUTPUTS,
    SUMMARIES,
)  # fmt: skip
JSON_NAMES = {
    "created_at": "createdAt",
    "completed_at": "completedAt",
    "updated_at": "updatedAt",
    "next_cursor": "nextCursor",
}


def to_json(value):
    """Return a model as the API sends it: with the names of the API, and null for None."""
    if isinstance(value, tuple):
        return [to_json(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if not attrs.has(type(value)):
        return value
    names = JSON_NAMES | {"job_id": "id" if isinstance(value, JobSummary) else "jobId"}
    fields = {name: to_json(getattr(value, name)) for name in attrs.fields_dict(type(value)) if name != "extra"}
    return {names.get(name, name): field for name, field in fields.items()} | dict(getattr(value, "extra", {}))


@given(RESPONSES)
def test_every_model_survives_a_round_trip(model):
    assert decode(type(model), json.dumps(to_json(model)).encode()) == model


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}x", b"null", b"NaN", b"\xff\xfe{}", b"\xef\xbb\xbf{}",
        b"[" * 100_000, b'{"items":' * 5000, b'{"jobId":"\\ud800"}', b"{'jobId':'1'}", b'{"jobId":"1",}', b"\x00",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", STRICT)
def test_body_that_is_not_a_json_object_is_a_value_error(kind, body):
    with pytest.raises(ValueError):
        decode(kind, body)


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
def test_job_id_in_a_broken_response(body, expected):
    """An incomplete id is not returned."""
    assert find_job_id(body) == expected


@given(st.text("abcXYZ019-_.:", min_size=1, max_size=200), st.integers(0, 100))
def test_job_id_in_a_response_that_breaks_off_after_it(job_id, cut):
    whole = json.dumps({"jobId": job_id, "status": "created", "warning": "w" * 100}).encode()
    end = whole.index(job_id.encode(), 10) + len(job_id) + 1
    assert find_job_id(whole[: end + cut]) == job_id


@given(st.binary(max_size=50), st.binary(max_size=50) | ANY_JSON.map(lambda raw: json.dumps(raw).encode()), BODIES)
def test_job_id_in_random_bytes_is_text_or_none(before, given_id, after):
    """The id is used in a path and in log lines, so it must be encodable."""
    found = find_job_id(before + b'"jobId":' + given_id + after)
    assert found is None or (found and found.encode())


@attrs.frozen
class Plain:
    """A model with fields of the plain types of JSON, which a new field of the API may have."""

    count: int | None = None
    share: float | None = None
    is_new: bool | None = None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"count": 3, "share": 0.5, "isNew": False}, Plain(3, 0.5, is_new=False)),
        ({"share": 1}, Plain(share=1)),
        ({"count": None, "share": None, "isNew": None}, Plain()),
        ({"count": True, "share": "0.5", "isNew": "false"}, Plain()),
        ({"count": 3.5, "share": True, "isNew": 1}, Plain()),
    ],
)
def test_a_new_field_of_a_plain_type_needs_no_hook(body, expected):
    """A value of the type is kept, and any other value is the default: it is never converted."""
    assert decode(Plain, json.dumps(body).encode()) == expected


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_job_id_that_is_no_text_is_a_value_error(number):
    with pytest.raises(ValueError):
        decode(JobCreated, b'{"jobId":%b}' % number)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"identification": []}, True),
        ({"voiceprints": []}, True),
        ({"diarization": []}, False),
        ({"voiceprint": "v"}, False),
        ({"identification": None, "error": "bad"}, False),
        ({}, False),
    ],
)
def test_the_kind_of_an_output(raw, expected):
    assert is_identification(raw) is expected
