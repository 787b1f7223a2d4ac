"""What each operation answers once a request has passed the key check and the rate limit."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from pyannote_voiceprint_async.sandbox.api_state import ApiState
from pyannote_voiceprint_async.sandbox.clock import isoformat
from pyannote_voiceprint_async.sandbox.jobs import STATUSES, Job
from pyannote_voiceprint_async.sandbox.operations import SandboxRequest
from pyannote_voiceprint_async.sandbox.outputs import output_of
from pyannote_voiceprint_async.sandbox.responses import SandboxResponse, error, invalid, json_response
from pyannote_voiceprint_async.sandbox.validation import InvalidBody, check

_LIMIT = re.compile(r"[1-9][0-9]?|100")


def answer(api: ApiState, call: SandboxRequest) -> SandboxResponse:
    """Check the key, then the rate limit, then let the operation check body and credit."""
    refusal = api.admit(call)
    if refusal is not None:
        return refusal
    try:
        return _HANDLERS[call.operation.name](api, call)
    except InvalidBody as exc:
        return invalid(exc.errors)


def _test(_api: ApiState, _call: SandboxRequest) -> SandboxResponse:
    return json_response(200, {"status": "OK", "message": "API key is valid"})


def _media_input(api: ApiState, call: SandboxRequest) -> SandboxResponse:
    request = check(call.body, api.media_rules)
    return json_response(201, {"url": call.base_url + api.media.presign(request["url"], api.now())})


def _voiceprint(api: ApiState, call: SandboxRequest) -> SandboxResponse:
    request = check(call.body, api.voiceprint_rules)
    if not api.has_credit():
        return error(402, "Subscription is required")
    now = api.now()
    fault = api.webhooks.choose_fault() if "webhook" in request else None
    job = api.jobs.accept(request, api.media.find(request["url"], now), now, fault)
    api.store.add_job(job)
    created = json_response(200, {"jobId": job.id, "status": job.status(now)})
    return attrs.evolve(created, after=api.webhooks.schedule(job))


def _job(api: ApiState, call: SandboxRequest) -> SandboxResponse:
    job = api.jobs.get(call.argument)
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
    return json_response(200, fields | _output(api, job, now))


def _output(api: ApiState, job: Job, now: float) -> dict[str, Any]:
    """The field `output`, or nothing where a job has none (any more)."""
    if not job.finished_at <= now < job.finished_at + api.settings.output_seconds:
        return {}
    return output_of(job, api.settings.failed_output)


def _jobs(api: ApiState, call: SandboxRequest) -> SandboxResponse:
    limit, cursor, status = call.query.get("limit", "10"), call.query.get("cursor"), call.query.get("status")
    complaints = {
        "limit": "" if _LIMIT.fullmatch(limit) else "limit must be a number from 1 to 100",
        "cursor": "" if cursor is None or api.jobs.get(cursor) else "cursor is not one that was given out",
        "status": "" if status is None or status in STATUSES else f"status must be one of {', '.join(STATUSES)}",
    }
    errors = [{"field": field, "message": message} for field, message in complaints.items() if message]
    if errors:
        raise InvalidBody(errors)
    now = api.now()
    jobs, more = api.jobs.page(int(limit), cursor, status, now)
    items = [job.to_summary(now) for job in jobs]
    return json_response(200, {"items": items, "nextCursor": jobs[-1].id if more else None})


_HANDLERS: Mapping[str, Callable[[ApiState, SandboxRequest], SandboxResponse]] = {
    "test": _test,
    "media": _media_input,
    "voiceprint": _voiceprint,
    "job": _job,
    "jobs": _jobs,
}
