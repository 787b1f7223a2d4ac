"""Models keep unknown values of the API, never show secrets, and cannot be changed."""

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async import (
    Job,
    JobCreated,
    JobStatus,
    JobSummary,
    KeyStatus,
    Model,
    Submission,
    Voiceprint,
    VoiceprintOutput,
    VoiceprintRequest,
    VoiceprintResult,
)
from pyannote_voiceprint_async.models import JobPage, MediaUpload

SECRET = "THISISASECRET"
SIGNED = f"https://example.com/voice.wav?X-Amz-Signature={SECRET}"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected", "terminal"),
    [
        ("pending", JobStatus.PENDING, False),
        ("created", JobStatus.CREATED, False),
        ("running", JobStatus.RUNNING, False),
        ("succeeded", JobStatus.SUCCEEDED, True),
        ("failed", JobStatus.FAILED, True),
        ("canceled", JobStatus.CANCELED, True),
        ("cancelled", JobStatus.CANCELED, True),
    ],
)
def test_known_statuses(value, expected, terminal):
    assert JobStatus(value) is expected
    assert JobStatus(value).is_terminal is terminal
    assert str(JobStatus("cancelled")) == "canceled"


@pytest.mark.parametrize("kind", [JobStatus, Model])
@settings(max_examples=50)
@given(value=st.text(min_size=1).filter(lambda text: text != "cancelled"))
def test_open_enumeration_keeps_an_unknown_value(kind, value):
    member = kind(value)
    assert (member, str(member), member.value, f"{member}") == (value, value, value, value)
    assert hash(member) == hash(value)
    assert isinstance(member, kind)
    assert pickle.loads(pickle.dumps(member)) == member  # noqa: S301
    assert copy.deepcopy(member) == member
    assert json.dumps([member]) == json.dumps([value])


def test_unknown_status_is_not_terminal_and_not_cached():
    """A server that sends random statuses must not fill the memory."""
    assert JobStatus("SUCCEEDED").is_terminal is False
    assert [status.value for status in JobStatus] == [
        "pending",
        "created",
        "running",
        "succeeded",
        "failed",
        "canceled",
    ]
    assert [model.value for model in Model] == ["precision-2", "precision-3"]


@pytest.mark.parametrize("value", [None, 5, b"created", ["created"]])
@pytest.mark.parametrize("kind", [JobStatus, Model])
def test_open_enumeration_accepts_text_only(kind, value):
    with pytest.raises(ValueError, match="valid"):
        kind(value)


MODELS = [
    VoiceprintRequest(SIGNED, "precision-3", SIGNED, webhook_status_only=True),
    JobCreated("job-1", JobStatus("new"), "careful", extra={"a": [1]}),
    VoiceprintOutput(SECRET, "careful", "bad", extra={"a": SECRET}),
    Job("job-1", JobStatus.SUCCEEDED, NOW, NOW, VoiceprintOutput(SECRET), extra={"a": SECRET}),
    JobSummary("job-1", JobStatus.FAILED, NOW, extra={"a": SECRET}),
    JobPage((JobSummary("job-1", JobStatus.CREATED),), "next"),
    KeyStatus("OK", "fine", extra={"a": SECRET}),
    MediaUpload(SIGNED),
    Voiceprint(SECRET, "precision-2", "job-1", NOW, ("careful",)),
    Submission(0, SIGNED, JobCreated("job-1")),
    Submission(0, VoiceprintRequest(SIGNED, webhook=SIGNED)),
    VoiceprintResult(0, SIGNED, Voiceprint(SECRET, "precision-2", "job-1")),
    VoiceprintResult(0, VoiceprintRequest(SIGNED)),
    VoiceprintResult(0, SECRET.encode()),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_never_show_a_secret(model):
    """Voiceprints, queries of URLs and unknown fields are hidden."""
    assert SECRET not in repr(model) + str(model) + f"{model}"


MESSAGE = f"Could not load {SIGNED}"


@pytest.mark.parametrize(
    "model",
    [
        JobCreated("job-1", warning=MESSAGE),
        VoiceprintOutput(warning=MESSAGE),
        VoiceprintOutput(error=MESSAGE),
        KeyStatus("OK", MESSAGE),
        Voiceprint("v", "precision-2", "job-1", warnings=(MESSAGE,)),
    ],
    ids=["JobCreated.warning", "output.warning", "output.error", "KeyStatus.message", "Voiceprint.warnings"],
)
def test_models_redact_messages_of_the_server(model):
    assert SECRET not in repr(model)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_pickle_and_copy_and_are_frozen(model):
    assert pickle.loads(pickle.dumps(model)) == model  # noqa: S301
    assert copy.deepcopy(model) == model
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(model, attrs.fields(type(model))[0].name, "x")


def test_repr_of_a_voiceprint_names_its_value_attribute():
    assert repr(Voiceprint("v", "precision-2", "job-1")) == str(Voiceprint("v", "precision-2", "job-1"))
    assert ".value" in repr(Voiceprint("v", "precision-2", "job-1"))


@pytest.mark.parametrize("job_id", ["", None, 5, b"job-1"])
@pytest.mark.parametrize(
    "make",
    [
        JobCreated,
        lambda job_id: Job(job_id, JobStatus.CREATED),
        lambda job_id: JobSummary(job_id, JobStatus.CREATED),
    ],
)
def test_job_needs_a_non_empty_id(make, job_id):
    with pytest.raises(ValueError, match="job_id"):
        make(job_id)


@pytest.mark.parametrize(
    ("output", "expected"),
    [(None, None), (VoiceprintOutput(), None), (VoiceprintOutput("v"), "v"), (VoiceprintOutput(error="bad"), None)],
)
def test_voiceprint_of_a_job(output, expected):
    assert Job("job-1", JobStatus.SUCCEEDED, output=output).voiceprint == expected


MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
VOICEPRINTS = st.builds(
    Voiceprint,
    value=st.text(),
    model=st.text(),
    job_id=st.text(),
    created_at=st.none() | MOMENTS,
    warnings=st.lists(st.text()).map(tuple),
)


@given(VOICEPRINTS)
def test_stored_voiceprint_survives_a_round_trip(voiceprint):
    """Through JSON, with unknown fields ignored."""
    stored = json.loads(json.dumps(voiceprint.to_dict()))
    assert Voiceprint.from_dict(stored) == voiceprint
    assert Voiceprint.from_dict(stored | {"later": 1}) == voiceprint


@pytest.mark.parametrize("missing", ["value", "model", "job_id"])
def test_stored_voiceprint_without_a_required_field_is_a_key_error(missing):
    stored = Voiceprint("v", "precision-2", "job-1").to_dict()
    del stored[missing]
    with pytest.raises(KeyError, match=missing):
        Voiceprint.from_dict(stored)


def test_stored_voiceprint_without_optional_fields():
    stored = {"value": "v", "model": "precision-2", "job_id": "job-1"}
    assert Voiceprint.from_dict(stored) == Voiceprint("v", "precision-2", "job-1")
    assert Voiceprint.from_dict(stored | {"created_at": None, "warnings": []}) == Voiceprint(
        "v", "precision-2", "job-1"
    )
    assert type(Voiceprint("v", str(Model.PRECISION_2), "job-1").to_dict()["model"]) is str


def test_an_unknown_status_cannot_steer_a_terminal():
    status = JobStatus("odd\x1b[31m")
    assert (status.value, repr(status)) == ("odd\x1b[31m", "<JobStatus.odd\\u001b[31m: 'odd\\x1b[31m'>")
