"""What a job that has ended gives, in an answer as in a webhook."""

from collections.abc import Mapping
from typing import Any, Literal

from pyannote_voiceprint_async.sandbox.jobs import Job

FailedOutput = Literal["error", "null", "missing"]

_FAILED_OUTPUTS: Mapping[FailedOutput, dict[str, Any]] = {
    "error": {"output": {"error": "Could not load audio"}},
    "null": {"output": None},
    "missing": {},
}


def output_of(job: Job, failed_output: FailedOutput) -> dict[str, Any]:
    """The field `output`, or nothing where a job that ends this way has none."""
    if job.fate == "succeeded":
        return {"output": {"voiceprint": job.voiceprint}}
    return _FAILED_OUTPUTS[failed_output] if job.fate == "failed" else {}
