"""The response of each operation."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from pyannote_voiceprint_async.sandbox.api_state import ApiState
from pyannote_voiceprint_async.sandbox.clock import isoformat
from pyannote_voiceprint_async.sandbox.identify_fields import IdentifyFields
from pyannote_voiceprint_async.sandbox.identify_validation import parse_identify_body
from pyannote_voiceprint_async.sandbox.jobs import STATUSES
from pyannote_voiceprint_async.sandbox.outputs import output_of
from pyannote_voiceprint_async.sandbox.requests import SandboxRequest
from pyannote_voiceprint_async.sandbox.responses import (
    SandboxResponse,
    error,
    json_response,
    large_json_response,
    validation_error,
)
from pyannote_voiceprint_async.sandbox.validation import InvalidBody, parse_body

_PAGE_LIMIT = re.compile(r"[1-9][0-9]?|100")


def process(api: ApiState, request: SandboxRequest) -> SandboxResponse:
    """Check the API key and the rate limit, run the request's operation, and return its response."""
    refusal = api.admit(request)
    if refusal is not None:
        return refusal
    try:
        return _HANDLERS[request.operation.name](api, request)
    except InvalidBody as exc:
        return validation_error(exc.errors)


def _test_key(_api: ApiState, _request: SandboxRequest) -> SandboxResponse:
    return json_response(200, {"status": "OK", "message": "API key is valid"})


def _create_media_input(api: ApiState, request: SandboxRequest) -> SandboxResponse:
    fields = parse_body(request.body, api.media_rules)
    return json_response(201, {"url": request.base_url + api.media.presign(fields["url"], api.now())})


def _submit_voiceprint(api: ApiState, request: SandboxRequest) -> SandboxResponse:
    return _accept(api, request, parse_body(request.body, api.voiceprint_rules))


def _submit_identification(api: ApiState, request: SandboxRequest) -> SandboxResponse:
    fields = parse_identify_body(request.body, api.identify_rules)
    return _accept(api, request, fields, IdentifyFields.parse(fields))


def _accept(
    api: ApiState, request: SandboxRequest, fields: Mapping[str, Any], identification: IdentifyFields | None = None
) -> SandboxResponse:
    """Create the job of a valid submission and return the response, or a 402 without credit."""
    if not api.has_credit():
        return error(402, "Subscription is required")
    now = api.now()
    fault = api.webhooks.choose_fault() if "webhook" in fields else None
    media = api.media.find(fields["url"], now)
    script = api.scripts.choose(request.operation.name, fields["url"])
    job = api.jobs.accept(fields, media, now, fault, identification=identification, script=script)
    api.store.add_job(job)
    created = json_response(200, {"jobId": job.id, "status": job.status(now)})
    return attrs.evolve(created, send_after=api.webhooks.schedule(job), job_id=job.id)


def _read_job(api: ApiState, request: SandboxRequest) -> SandboxResponse:
    job = api.jobs.get(request.argument)
    if job is None:
        return error(404, "Job not found")
    now = api.now()
    status, since = job.stage(now)
    fields = {
        "jobId": job.id,
        "status": status,
        "createdAt": isoformat(job.created_at),
        "updatedAt": None if status == "pending" else isoformat(since),
    }
    if not job.finished_at <= now < job.finished_at + api.settings.output_seconds:
        return json_response(200, fields)
    if job.identification is None:
        return json_response(200, fields | output_of(job, api.settings.failed_output))
    return large_json_response(lambda: fields | output_of(job, api.settings.failed_output))


def _list_jobs(api: ApiState, request: SandboxRequest) -> SandboxResponse:
    query = request.query
    limit, cursor, status = query.get("limit", "10"), query.get("cursor"), query.get("status")
    messages = {
        "limit": "" if _PAGE_LIMIT.fullmatch(limit) else "limit must be a number from 1 to 100",
        "cursor": "" if cursor is None or api.jobs.get(cursor) else "cursor is not the nextCursor of a page",
        "status": "" if status is None or status in STATUSES else f"status must be one of {', '.join(STATUSES)}",
    }
    errors = [{"field": field, "message": message} for field, message in messages.items() if message]
    if errors:
        return validation_error(errors)
    now = api.now()
    jobs, more = api.jobs.page(int(limit), cursor, status, now)
    items = [job.to_summary(now) for job in jobs]
    return json_response(200, {"items": items, "nextCursor": jobs[-1].id if more else None})


_HANDLERS: Mapping[str, Callable[[ApiState, SandboxRequest], SandboxResponse]] = {
    "test": _test_key,
    "media": _create_media_input,
    "voiceprint": _submit_voiceprint,
    "identify": _submit_identification,
    "job": _read_job,
    "jobs": _list_jobs,
}
