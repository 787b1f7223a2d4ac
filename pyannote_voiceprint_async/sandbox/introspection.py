"""The paths that only the sandbox has, for tests and people: `/_sandbox/jobs` and `/_sandbox/state`."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from aiohttp import web

from pyannote_voiceprint_async.sandbox.clock import http_date
from pyannote_voiceprint_async.sandbox.jobs import SandboxJob
from pyannote_voiceprint_async.sandbox.loopback import is_loopback
from pyannote_voiceprint_async.sandbox.responses import error
from pyannote_voiceprint_async.sandbox.url_redaction import redact_url

JOBS_PATH, STATE_PATH = "/_sandbox/jobs", "/_sandbox/state"
INTROSPECTION_PATHS = (JOBS_PATH, STATE_PATH)

# Jobs per write: 100,000 jobs must neither fill the memory nor block the event loop.
_JOBS_PER_WRITE = 500

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:@/]+))(?::\d*)?", re.ASCII | re.IGNORECASE)


async def send_jobs(request: web.BaseRequest, jobs: Sequence[SandboxJob], now: float) -> web.StreamResponse:
    """Send every accepted job, oldest first, as one JSON array to a program on this machine.

    The `Host` header must name a loopback host: otherwise a web page could read the jobs through a browser on this
    machine by resolving its own host name to 127.0.0.1 (DNS rebinding).
    """
    if not (is_loopback(request.remote or "") and _names_loopback(request.headers.get("Host", ""))):
        refusal = error(
            403,
            "Jobs are shown only to programs on the sandbox's machine. Use http://127.0.0.1:PORT or http://localhost",
        )
        headers = {**refusal.headers, "Date": http_date(now)}
        return web.Response(status=refusal.status, body=refusal.body, headers=headers)
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8", "Date": http_date(now)})
    with suppress(ConnectionError):  # the client disconnected
        await response.prepare(request)
        for chunk in _json_chunks(jobs[:], now):
            await response.write(chunk)
    return response


def _json_chunks(jobs: Sequence[SandboxJob], now: float) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(jobs), _JOBS_PER_WRITE):
        records = [_redacted(job.to_record(now)) for job in jobs[start : start + _JOBS_PER_WRITE]]
        yield (b"," if start else b"") + json.dumps(records)[1:-1].encode()
    yield b"]"


def _redacted(record: dict[str, str | None]) -> dict[str, str | None]:
    return record | {"url": redact_url(record["url"] or "")}


def _names_loopback(host: str) -> bool:
    """Return whether the value of a `Host` header names a loopback host."""
    match = _HOST.fullmatch(host)
    return match is not None and is_loopback((match[1] or match[2]).removesuffix(".").lower())
