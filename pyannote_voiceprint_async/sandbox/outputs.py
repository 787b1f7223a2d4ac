"""The output of a finished job, the same in the response to a job read and in a webhook."""

from collections.abc import Mapping
from typing import Any, Literal

from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.identify_outputs import identify
from pyannote_voiceprint_async.sandbox.jobs import SandboxJob
from pyannote_voiceprint_async.sandbox.made_up_recordings import make_up_recording
from pyannote_voiceprint_async.sandbox.speech import is_extra_installed

FailedOutput = Literal["error", "null", "missing"]

_MEASURED = "Sandbox: the labels come from a simple comparison of sounds. The real API may return others."
_MADE_UP = "Sandbox: the turns and labels are made up, because the sandbox did not decode the recording."
_WITHOUT_EXTRA = (
    "Sandbox: the turns and labels are made up, because the sandbox decodes recordings only if the extra [audio] is "
    "installed."
)


def output_of(job: SandboxJob, failed_output: FailedOutput) -> dict[str, Any]:
    """Return the field `output` of a finished job, or no field for a canceled job.

    Args:
        job: A finished job.
        failed_output: Form of the output of a failed job. A scripted error is always shown.
    """
    if job.fate == "succeeded":
        return {"output": _succeeded(job)}
    if job.fate == "canceled" or (failed_output == "missing" and job.script.error is None):
        return {}
    return {"output": None if failed_output == "null" and job.script.error is None else {"error": job.error}}


def _succeeded(job: SandboxJob) -> Mapping[str, Any]:
    if job.script.output is not None:
        return job.script.output
    return {"voiceprint": job.voiceprint} if job.identification is None else _identified(job, job.identification)


def _identified(job: SandboxJob, fields: IdentifyFields) -> dict[str, Any]:
    """Return the output of an identification, with a warning that it is no recognition."""
    speech = None if job.media is None or job.turns is not None else job.media.speech
    if speech is not None:
        return {**identify(speech.recording.with_speakers(fields.max_speakers), fields), "warning": _MEASURED}
    seed = job.url.encode("utf-8", "surrogatepass") if job.media is None else job.media.sha256
    is_undecoded = job.media is not None and job.turns is None and not is_extra_installed()
    warning = _WITHOUT_EXTRA if is_undecoded else _MADE_UP
    return {**identify(make_up_recording(seed, job.audio_seconds, fields, job.turns), fields), "warning": warning}
