"""What a person or a test may see behind the scenes: `/_sandbox/jobs` and `/_sandbox/state`."""

import ipaddress
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from aiohttp import web

from pyannote_voiceprint_async.sandbox.clock import http_date
from pyannote_voiceprint_async.sandbox.jobs import Job
from pyannote_voiceprint_async.sandbox.responses import error

JOBS, STATE = "/_sandbox/jobs", "/_sandbox/state"
INTROSPECTION_PATHS = (JOBS, STATE)

# So many jobs are one write: a hundred thousand of them must neither fill the memory nor stall the loop.
_JOBS_A_WRITE = 500

# A signature is a password, in the sandbox too: it may be that of a real object store.
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_USERINFO = re.compile(r"//[^/?#]*@")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:@/]+))(?::\d*)?", re.ASCII | re.IGNORECASE)


async def send_jobs(request: web.BaseRequest, jobs: Sequence[Job], now: float) -> web.StreamResponse:
    """Every accepted job, oldest first, as one JSON array: for programs of this machine only.

    A web page can make a browser connect here under a host name of its own (DNS rebinding): the name is checked, too.
    """
    if not (_is_local(request.remote or "") and _is_loopback(request.headers.get("Host", ""))):
        refusal = error(403, "Ask for this on the sandbox's own machine, as http://127.0.0.1:PORT or http://localhost")
        headers = {**refusal.headers, "Date": http_date(now)}
        return web.Response(status=refusal.status, body=refusal.body, headers=headers)
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8", "Date": http_date(now)})
    with suppress(ConnectionError):  # whoever asked has left
        await response.prepare(request)
        for piece in _pieces(jobs[:], now):
            await response.write(piece)
    return response


def _pieces(jobs: Sequence[Job], now: float) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(jobs), _JOBS_A_WRITE):
        records = [_redacted(job.to_record(now)) for job in jobs[start : start + _JOBS_A_WRITE]]
        yield (b"," if start else b"") + json.dumps(records)[1:-1].encode()
    yield b"]"


def _redacted(record: dict[str, str | None]) -> dict[str, str | None]:
    url = record["url"] or ""
    return record | {"url": _QUERY.sub("?…", _USERINFO.sub("//…@", url, count=1))}


def _is_loopback(host: str) -> bool:
    """Whether a Host header names this machine by its loopback interface."""
    match = _HOST.fullmatch(host)
    name = (match[1] or match[2]).removesuffix(".").lower() if match else ""
    return name == "localhost" or _is_local(name)


def _is_local(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
