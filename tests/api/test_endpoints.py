"""The table of operations."""

import pytest

from pyannote_voiceprint_async.api.endpoints import GET_JOB, VOICEPRINT
from pyannote_voiceprint_async.api.responses import ApiResponse, parse_response
from pyannote_voiceprint_async.errors import NotFoundError


def test_the_name_of_an_operation_shows_no_placeholder():
    """The name is written for users: it shows an ellipsis where the path has the id of a job."""
    assert (VOICEPRINT.name, GET_JOB.name) == ("POST /v1/voiceprint", "GET /v1/jobs/…")


def test_an_error_names_the_operation():
    """The message of a refusal begins with the name of the operation."""
    with pytest.raises(NotFoundError, match=r"^GET /v1/jobs/… returned status 404 \(no such job\)\."):
        parse_response(GET_JOB, ApiResponse(404, {}, [b'{"message": "no such job"}']), wall=0.0, key="key")
