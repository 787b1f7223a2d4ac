import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.sandbox import SandboxJob
from pyannote_voiceprint_async.sandbox.job_registry import JobRegistry
from pyannote_voiceprint_async.sandbox.jobs import STATUSES

START = 1_800_000_000.0


def accept(seconds=10.0) -> SandboxJob:
    """Return an accepted job of this duration."""
    return JobRegistry((seconds, seconds), seed=0).accept({"url": "https://example.com"}, None, START)


@pytest.mark.parametrize(
    ("age", "stage"),
    [
        (0.0, ("pending", 0.0)),
        (0.9, ("pending", 0.0)),
        (1.0, ("created", 1.0)),
        (2.9, ("created", 1.0)),
        (3.0, ("running", 3.0)),
        (9.9, ("running", 3.0)),
        (10.0, ("succeeded", 10.0)),
        (1e6, ("succeeded", 10.0)),
    ],
)
def test_the_status_depends_on_the_age(age, stage):
    status, since = accept().stage(START + age)
    assert (status, since - START) == stage


@given(st.floats(0.0, 100.0), st.lists(st.floats(0.0, 200.0), min_size=2))
def test_the_status_never_goes_back(seconds, ages):
    job = accept(seconds)
    statuses = [STATUSES.index(job.status(START + age)) for age in sorted(ages)]
    assert statuses == sorted(statuses)


def test_a_job_without_duration_is_finished_at_once():
    assert accept(0.0).status(START) == "succeeded"
