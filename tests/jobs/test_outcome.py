"""What a terminal job means for its wait."""

from datetime import UTC, datetime

import pytest

from pyannote_voiceprint_async import (
    DiarizedTurn,
    IdentificationOutput,
    Job,
    JobCanceledError,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobStatus,
    VoiceprintOutput,
)
from pyannote_voiceprint_async.jobs.outcome import (
    is_output_deleted,
    require_identification,
    require_success,
    require_voiceprint,
)

NOW = 1_750_000_000.0
DAY = 24 * 3600.0


def job(status="succeeded", output=None, age=0.0):
    changed = None if age is None else datetime.fromtimestamp(NOW - age, UTC)
    return Job("job-1", JobStatus(status), None, changed, output)


@pytest.mark.parametrize(
    ("terminal", "error", "message"),
    [
        (job("failed", VoiceprintOutput(error="Could not load audio")), JobFailedError, "Could not load audio"),
        (job("failed"), JobFailedError, None),
        (job("canceled"), JobCanceledError, None),
        (job(age=DAY), JobExpiredError, None),
        (job(age=None), JobExpiredError, None),
    ],
    ids=["failed", "failed without a reason", "canceled", "output deleted", "without a date"],
)
def test_a_job_without_a_result_raises_an_error_with_its_id(terminal, error, message):
    with pytest.raises(error) as caught:
        require_success(terminal, NOW)
    assert (caught.value.job_id, caught.value.message) == ("job-1", message)


def test_a_job_with_an_output_has_succeeded_however_old_it_is():
    terminal = job(output=VoiceprintOutput("voice"), age=10 * DAY)
    assert require_success(terminal, NOW) is terminal


@pytest.mark.parametrize(("age", "expected"), [(0.0, False), (DAY - 61.0, False), (DAY - 60.0, True), (None, True)])
def test_an_output_is_assumed_deleted_a_minute_early(age, expected):
    """The clocks of the server and of this machine may differ."""
    assert is_output_deleted(job(age=age), NOW) is expected


@pytest.mark.parametrize(
    ("output", "error"),
    [(None, JobExpiredError), (VoiceprintOutput(extra={"diarization": []}), JobError)],
    ids=["no output", "another kind of output"],
)
def test_a_job_without_a_voiceprint_raises_an_error(output, error):
    with pytest.raises(error) as caught:
        require_voiceprint(job(output=output))
    assert (type(caught.value), caught.value.job_id) == (error, "job-1")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (IdentificationOutput(warning="short"), IdentificationOutput(warning="short")),
        (VoiceprintOutput(warning="short"), IdentificationOutput(warning="short")),
        (
            VoiceprintOutput(extra={"diarization": [{"speaker": "S", "start": 0, "end": 1}], "later": 1}),
            IdentificationOutput((DiarizedTurn("S", 0, 1),), extra={"later": 1}),
        ),
    ],
)
def test_an_identification_may_lack_every_list(output, expected):
    assert require_identification(Job("job-1", JobStatus.SUCCEEDED, output=output)) == expected


@pytest.mark.parametrize(("output", "error"), [(None, JobExpiredError), (VoiceprintOutput("v"), JobError)])
def test_a_job_of_another_kind_is_no_identification(output, error):
    with pytest.raises(error) as caught:
        require_identification(Job("job-1", JobStatus.SUCCEEDED, output=output))
    assert (type(caught.value), caught.value.job_id) == (error, "job-1")


def test_an_identification_is_no_voiceprint():
    with pytest.raises(JobError, match="holds no voiceprint"):
        require_voiceprint(Job("job-1", JobStatus.SUCCEEDED, output=IdentificationOutput()))
