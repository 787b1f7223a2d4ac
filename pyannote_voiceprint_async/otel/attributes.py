"""The attributes that spans and metrics share."""

from __future__ import annotations

__all__ = ["ERROR_TYPE", "JOB_ID", "JOB_STATUS", "OPERATION", "endpoint_attributes"]

OPERATION = "pyannoteai.operation"
JOB_ID = "pyannoteai.job.id"
JOB_STATUS = "pyannoteai.job.status"
ERROR_TYPE = "error.type"


def endpoint_attributes(endpoint: str) -> dict[str, str]:
    """Return the attributes of an operation of the API, such as `POST /v1/voiceprint`."""
    method, _, path = endpoint.partition(" ")
    return {"http.request.method": method, "url.template": path}
