"""What a person or a test may see behind the scenes: `/_sandbox/jobs` and `/_sandbox/state`."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

from aiohttp import web

from pyannote_voiceprint_async.sandbox.clock import http_date
from pyannote_voiceprint_async.sandbox.jobs import Job

JOBS, STATE = "/_sandbox/jobs", "/_sandbox/state"
BACKSTAGE = (JOBS, STATE)

# So many jobs are one write: a hundred thousand of them must neither fill the memory nor stall the loop.
_JOBS_A_WRITE = 500


async def send_jobs(request: web.BaseRequest, jobs: Sequence[Job], now: float) -> web.StreamResponse:
    """Every accepted job, oldest first, as one JSON array."""
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8", "Date": http_date(now)})
    with suppress(ConnectionError):  # whoever asked has left
        await response.prepare(request)
        for piece in _pieces(jobs[:], now):
            await response.write(piece)
    return response


def _pieces(jobs: Sequence[Job], now: float) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(jobs), _JOBS_A_WRITE):
        records = [job.to_record(now) for job in jobs[start : start + _JOBS_A_WRITE]]
        yield (b"," if start else b"") + json.dumps(records)[1:-1].encode()
    yield b"]"
