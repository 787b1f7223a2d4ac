"""The API's operations as one table, and what each one answers once a request may pass."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from pyannote_voiceprint_async.sandbox.answers import Answer, error, json_answer
from pyannote_voiceprint_async.sandbox.clock import isoformat
from pyannote_voiceprint_async.sandbox.jobs import STATUSES, Job
from pyannote_voiceprint_async.sandbox.outputs import output_of
from pyannote_voiceprint_async.sandbox.validation import Invalid, check

if TYPE_CHECKING:
    from pyannote_voiceprint_async.sandbox.api import Api

_LIMIT = re.compile(r"[1-9][0-9]?|100")


@attrs.frozen
class Operation:
    """One line of the table."""

    name: str
    """What state, scripts and budgets call it."""
    method: str
    path: str
    """A star stands for the id of a job."""
    reads: bool
    """Whether it draws on `read_limit` instead of `rate_limit`."""
    submits: bool
    """Whether it makes billable jobs."""
    answer: "Callable[[Api, Call], Answer]"


@attrs.frozen
class Call:
    """A request of the API, read from the wire."""

    operation: Operation
    authorization: str
    """The header of this name."""
    argument: str
    """What stood for the star in the operation's path."""
    query: Mapping[str, str]
    body: bytes
    base_url: str
    """Scheme, host and port under which the client sees the server."""


def _test(_api: "Api", _call: Call) -> Answer:
    return json_answer(200, {"status": "OK", "message": "API key is valid"})


def _media_input(api: "Api", call: Call) -> Answer:
    request = check(call.body, api.media_rules)
    return json_answer(201, {"url": call.base_url + api.media.presign(request["url"], api.now())})


def _voiceprint(api: "Api", call: Call) -> Answer:
    request = check(call.body, api.voiceprint_rules)
    if not api.has_credit():
        return error(402, "Subscription is required")
    now = api.now()
    fault = api.webhooks.choose_fault() if "webhook" in request else None
    job = api.jobs.accept(request, api.media.find(request["url"], now), now, fault)
    api.store.add_job(job)
    answer = json_answer(200, {"jobId": job.id, "status": job.status(now)})
    return attrs.evolve(answer, after=api.webhooks.schedule(job))


def _job(api: "Api", call: Call) -> Answer:
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
    return json_answer(200, fields | _output(api, job, now))


def _output(api: "Api", job: Job, now: float) -> dict[str, Any]:
    """The field `output`, or nothing where a job has none (any more)."""
    if not job.finished_at <= now < job.finished_at + api.settings.output_seconds:
        return {}
    return output_of(job, api.settings.failed_output)


def _jobs(api: "Api", call: Call) -> Answer:
    limit, cursor, status = call.query.get("limit", "10"), call.query.get("cursor"), call.query.get("status")
    complaints = {
        "limit": "" if _LIMIT.fullmatch(limit) else "limit must be a number from 1 to 100",
        "cursor": "" if cursor is None or api.jobs.get(cursor) else "cursor is not one that was given out",
        "status": "" if status is None or status in STATUSES else f"status must be one of {', '.join(STATUSES)}",
    }
    errors = [{"field": field, "message": message} for field, message in complaints.items() if message]
    if errors:
        raise Invalid(errors)
    now = api.now()
    jobs, more = api.jobs.page(int(limit), cursor, status, now)
    items = [job.to_summary(now) for job in jobs]
    return json_answer(200, {"items": items, "nextCursor": jobs[-1].id if more else None})


_TABLE = (
    Operation("test", "GET", "/v1/test", reads=False, submits=False, answer=_test),
    Operation("media", "POST", "/v1/media/input", reads=False, submits=False, answer=_media_input),
    Operation("voiceprint", "POST", "/v1/voiceprint", reads=False, submits=True, answer=_voiceprint),
    Operation("job", "GET", "/v1/jobs/*", reads=True, submits=False, answer=_job),
    Operation("jobs", "GET", "/v2/jobs", reads=True, submits=False, answer=_jobs),
)

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _TABLE}

# No two operations share a path today. When one does, this wants the method in its key.
_BY_PATH = {operation.path: operation for operation in _TABLE}


def find_operation(path: str) -> tuple[Operation | None, str]:
    """The operation at this path and what stands for the star, if it has one."""
    exact = _BY_PATH.get(path)
    if exact is not None:
        return exact, ""
    head, _, last = path.rpartition("/")
    return _BY_PATH.get(f"{head}/*"), last
