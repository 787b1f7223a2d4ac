"""The output of a finished job, the same in the response to a job read and in a webhook."""

from collections.abc import Mapping
from typing import Any, Literal

from pyannote_voiceprint_async.sandbox.identify_outputs import identify
from pyannote_voiceprint_async.sandbox.jobs import Job

FailedOutput = Literal["error", "null", "missing"]

_FAILED_OUTPUTS: Mapping[FailedOutput, dict[str, Any]] = {
    "error": {"output": {"error": "Could not load audio"}},
    "null": {"output": None},
    "missing": {},
}


def output_of(job: Job, failed_output: FailedOutput) -> dict[str, Any]:
    """Return the field `output` of a finished job, or no field for a canceled job.

    Args:
        job: A finished job.
        failed_output: Form of the output of a failed job.
    """
    if job.fate == "succeeded":
        return {"output": _succeeded(job)}
    return _FAILED_OUTPUTS[failed_output] if job.fate == "failed" else {}


def _succeeded(job: Job) -> dict[str, Any]:
    if job.identification is None:
        return {"voiceprint": job.voiceprint}
    return identify(job.recording, job.identification)
