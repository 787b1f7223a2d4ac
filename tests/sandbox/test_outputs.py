import attrs
import pytest

from pyannote_voiceprint_async.sandbox import SandboxJob, voiceprint_of
from pyannote_voiceprint_async.sandbox.job_registry import JobRegistry
from pyannote_voiceprint_async.sandbox.outputs import output_of

URL = "https://example.com/voice.wav"


@pytest.fixture
def job() -> SandboxJob:
    return JobRegistry((0.0, 0.0), seed=0).accept({"url": URL}, None, 0.0)


@pytest.mark.parametrize("failed_output", ["error", "null", "missing"])
@pytest.mark.parametrize(
    ("fate", "expected"), [("succeeded", {"output": {"voiceprint": voiceprint_of(URL)}}), ("canceled", {})]
)
def test_only_the_output_of_failed_jobs_depends_on_the_setting(job, fate, expected, failed_output):
    assert output_of(attrs.evolve(job, fate=fate), failed_output) == expected


@pytest.mark.parametrize(
    ("failed_output", "expected"),
    [("error", {"output": {"error": "Could not load audio"}}), ("null", {"output": None}), ("missing", {})],
)
def test_a_failed_job_has_the_configured_output(job, failed_output, expected):
    assert output_of(attrs.evolve(job, fate="failed"), failed_output) == expected
