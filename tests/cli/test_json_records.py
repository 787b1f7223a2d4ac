"""The status of JSON records with an error."""

import pytest

from pyannote_voiceprint_async.cli.json_records import record_status
from pyannote_voiceprint_async.errors import (
    ApiConnectionError,
    AuthenticationError,
    JobCanceledError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    MediaError,
)


@pytest.mark.parametrize(
    ("error", "submitted", "expected"),
    [
        (JobFailedError("", job_id="j"), True, "failed"),
        (JobExpiredError("", job_id="j"), True, "failed"),
        (JobCanceledError("", job_id="j"), True, "canceled"),
        (JobTimeoutError("", job_id="j"), True, "submitted"),
        (AuthenticationError("", job_id="j"), True, "submitted"),
        (AuthenticationError(""), False, "failed"),
        (MediaError(""), False, "failed"),
        (ApiConnectionError("", outcome_unknown=True), False, "unknown"),
        (ApiConnectionError("", retryable=True), False, "failed"),
    ],
)
def test_the_status_of_a_record_with_an_error(error, submitted, expected):
    assert record_status(error, submitted=submitted) == expected
