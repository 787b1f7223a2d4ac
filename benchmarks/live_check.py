"""Compare the real API with its documents, which contradict each other.

The script needs a key in the environment (`PYANNOTEAI_API_KEY` or `PYANNOTE_API_KEY`); `PYANNOTEAI_BASE_URL` sets
another URL of the API. It submits at most three jobs: one of real speech, one of a file with a nested media key, and
one that must fail, because its file is never uploaded. Failed jobs are not billed, so it costs at most two voiceprints.
No other program may use the key meanwhile: its requests would change the rate limits that the script reads.

Of the responses, only statuses, types, numbers and names of fields are printed, never the key, a presigned URL or a
voiceprint.
"""

import argparse
import asyncio
import json
import os
import sys
import textwrap
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs
from yarl import URL

from pyannote_voiceprint_async import AsyncVoiceprintClient, ConfigurationError, VoiceprintError
from pyannote_voiceprint_async.sandbox import Sandbox

DEFAULT_BASE_URL = "https://api.pyannote.ai"
SPEECH = Path(__file__).parents[1] / "examples" / "speech" / "allison-en.wav"

TEST = "GET /v1/test"
MEDIA = "POST /v1/media/input"
SUBMIT = "POST /v1/voiceprint"
READ = "GET /v1/jobs/{jobId}"
LIST = "GET /v2/jobs"

CANCELED = ("canceled", "cancelled")
TERMINAL = ("succeeded", "failed", *CANCELED)
NOT_SEEN = "not seen"

# The fields in the OpenAPI file of the API; all others are reported. A star stands for any element of a list.
KNOWN_FIELDS = {
    TEST: {"status", "message"},
    MEDIA: {"url"},
    SUBMIT: {"jobId", "status", "warning"},
    READ: {
        "jobId",
        "status",
        "createdAt",
        "updatedAt",
        "output",
        "output.voiceprint",
        "output.warning",
        "output.error",
    },
    LIST: {"items", "items.*.id", "items.*.status", "items.*.createdAt", "nextCursor"},
}
KNOWN_ERROR_FIELDS = {"message", "requestId", "errors", "errors.*.field", "errors.*.message"}

# Only these headers of a response are kept, and those of the rate limit.
KEPT_HEADERS = ("content-type", "date", "retry-after")

_FIRST_EPOCH = 1e9  # as a number of seconds to wait, this would be thirty years
_FIRST_EPOCH_MILLISECONDS = 1e12
_DEFAULT_LIMIT = 100
_LARGEST_LIMIT = 1000
_AT_ONCE = 10
_SAME_WINDOW = 50.0
_LONGEST_PAUSE = 120.0
_REFUSALS = 3
_TIMEOUT = aiohttp.ClientTimeout(total=60.0)


# Observations


@attrs.frozen
class ApiResponse:
    """One response of the API."""

    operation: str
    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """The headers of the rate limit, the type and the time; names in lower case."""
    body: Any = attrs.field(default=None, repr=False)
    """The parsed JSON; None if the body is not JSON."""
    at: float = 0.0
    """Seconds on a monotonic clock."""

    @property
    def accepted(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def field(self, name: str) -> Any:
        """Return a field of the body, or None."""
        return self.body.get(name) if isinstance(self.body, dict) else None


@attrs.define
class Observations:
    """All observations of one check."""

    responses: list[ApiResponse] = attrs.field(factory=list)
    """All responses of the API, in order."""
    keys: dict[str, ApiResponse] = attrs.field(factory=dict)
    """The responses to requests for presigned URLs, by the form of the media key."""
    puts: dict[str, int] = attrs.field(factory=dict)
    """The statuses of uploads, by the form of the upload; 0 if the connection was cut."""
    filters: dict[str, ApiResponse] = attrs.field(factory=dict)
    """The responses to lists of jobs, by the status that they are filtered by."""
    submissions: dict[str, ApiResponse] = attrs.field(factory=dict)
    """The responses to submissions, by the name of the job."""
    jobs: dict[str, ApiResponse] = attrs.field(factory=dict)
    """The last response to a read of each job, by the name of the job."""
    stopped_by: str = ""
    """Why the check ended early, as a sentence; empty if it did not."""

    def of(self, *operations: str) -> list[ApiResponse]:
        """Return the responses of these operations."""
        return [response for response in self.responses if response.operation in operations]

    def ended(self, job: str) -> str:
        """Return the final status of a job; empty if it has not ended, or does not exist."""
        status = self.jobs[job].field("status") if job in self.jobs else ""
        return status if status in TERMINAL else ""


# The verdicts: one function for each assumption, which returns one line for each finding


def reset_unit(observed: Observations) -> str:
    """Report whether X-RateLimit-Reset is a number of seconds or a time."""
    values = [
        response.headers.get("x-ratelimit-reset")
        for response in observed.responses
        if response.status == HTTPStatus.TOO_MANY_REQUESTS
    ]
    if not values:
        return (
            f"{NOT_SEEN}: no request was refused with 429 (--provoke-429 provokes one with key tests, which are free)"
        )
    return "\n".join(sorted({_unit_of(value) for value in values}))


def _unit_of(value: str | None) -> str:
    if value is None:
        return "a 429 had no such header"
    try:
        number = float(value)
    except ValueError:
        return "not a number"
    if number >= _FIRST_EPOCH_MILLISECONDS:
        return "UTC epoch in milliseconds"
    return "UTC epoch seconds" if number >= _FIRST_EPOCH else "seconds until the reset"


def headers_on_success(observed: Observations) -> str:
    """Report the rate-limit headers of the first accepted response of each operation."""
    lines = [line for operation in KNOWN_FIELDS for line in _limit_headers(operation, observed.of(operation))]
    return "\n".join(lines) or NOT_SEEN


def _limit_headers(operation: str, responses: list[ApiResponse]) -> Iterator[str]:
    """Yield the headers of the first accepted response of an operation, if there is one."""
    for response in responses:
        if response.accepted:
            found = {name: value for name, value in response.headers.items() if name not in {"content-type", "date"}}
            text = ", ".join(f"{name} {value}" for name, value in sorted(found.items()))
            yield f"{operation}: {text or 'none'}"
            return


def shared_limits(observed: Observations) -> str:
    """Report which operations share a rate limit: Remaining of one falls when another is used."""
    falls = list(_falls(observed.responses))
    separate = {frozenset((one, other)) for one, excess, others in falls if not excess for other in others}
    shared: set[frozenset[str]] = set()
    for one, excess, others in falls:
        suspects = [other for other in others if frozenset((one, other)) not in separate]
        if excess and excess == sum(others[other] for other in suspects):
            shared.update(frozenset((one, other)) for other in suspects)
    unclear = {frozenset((one, other)) for one, _, others in falls for other in others} - separate - shared
    parts = [
        f"{word}: {', '.join(sorted(' and '.join(sorted(pair)) for pair in pairs))}"
        for word, pairs in (("shared", shared), ("separate", separate), ("unclear", unclear))
        if pairs
    ]
    if len(parts) == 1 and not unclear:
        return "all tested operations share one limit" if shared else "each tested operation has its own limit"
    return "\n".join(parts) or f"{NOT_SEEN}: no X-RateLimit-Remaining to compare"


def _falls(responses: list[ApiResponse]) -> Iterator[tuple[str, int, Counter[str]]]:
    """Yield how far Remaining fell between two responses of an operation beyond its own use, and the uses of others."""
    for operation in KNOWN_FIELDS:
        positions = [index for index, response in enumerate(responses) if response.operation == operation]
        for first, last in pairwise(positions):
            between = responses[first + 1 : last]
            before, after = (_remaining(responses[index]) for index in (first, last))
            # Refused requests may or may not count, and a new window resets Remaining: such spans prove nothing.
            is_valid = all(response.accepted for response in responses[first : last + 1])
            is_valid = is_valid and responses[last].at - responses[first].at < _SAME_WINDOW
            if between and is_valid and before is not None and after is not None and after < before:
                yield operation, before - after - 1, Counter(response.operation for response in between)


def _remaining(response: ApiResponse) -> int | None:
    value = response.headers.get("x-ratelimit-remaining", "")
    return int(value) if value.isdecimal() else None


def nested_keys(observed: Observations) -> str:
    """Report whether media keys may have slashes."""
    return _key_verdict(observed, "nested")


def underscored_keys(observed: Observations) -> str:
    """Report whether media keys may have underscores."""
    return _key_verdict(observed, "underscored")


def _key_verdict(observed: Observations, form: str) -> str:
    presigned = observed.keys.get(form)
    if presigned is None:
        return NOT_SEEN
    if not presigned.accepted:
        return f"refused with {presigned.status}"
    name = next((name for name in ("nested and underscored", form) if name in observed.puts), None)
    if name is None:
        return f"accepted with {presigned.status}, not used"
    return f"accepted with {presigned.status}; {_use_of(name, observed)} (key: {name})"


def _use_of(name: str, observed: Observations) -> str:
    if not _is_success(observed.puts[name]):
        return f"its upload was refused ({observed.puts[name]})"
    submitted = observed.submissions.get(name)
    if submitted is None:
        return "uploaded, not submitted"
    if not submitted.accepted:
        return f"uploaded, but its submission was refused with {submitted.status}"
    return f"its job {observed.ended(name) or 'has not ended yet'}"


def chunked_put(observed: Observations) -> str:
    """Report whether an upload may be chunked, without a Content-Length."""
    return _put_verdict(observed, "chunked")


def authorization_on_put(observed: Observations) -> str:
    """Report whether an upload may have an `Authorization` header."""
    return _put_verdict(observed, "authorized")


def _put_verdict(observed: Observations, form: str) -> str:
    if form not in observed.puts:
        return NOT_SEEN
    status, plain = observed.puts[form], observed.puts.get("plain", 0)
    if _is_success(status):
        return f"accepted with {status}"
    refused = f"refused with {status}" if status else "refused: the connection was cut"
    return refused if _is_success(plain) else f"{refused}; but a plain upload was refused too ({plain})"


def canceled_spelling(observed: Observations) -> str:
    """Report the spelling of `canceled` in jobs and as a filter."""
    spelled = Counter(status for status in _statuses(observed) if status in CANCELED)
    jobs = ", ".join(f"{word} (jobs: {count})" for word, count in sorted(spelled.items()))
    filters = [
        f"as a filter, {word} is {'accepted' if response.accepted else 'refused'} with {response.status}"
        for word, response in observed.filters.items()
    ]
    return "\n".join([jobs or f"{NOT_SEEN} in a job", *filters])


def _statuses(observed: Observations) -> Iterator[Any]:
    yield from (response.field("status") for response in observed.of(READ))
    for response in observed.of(LIST):
        yield from (item.get("status") for item in _items(response))


def _items(response: ApiResponse) -> list[dict[str, Any]]:
    items = response.field("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def updated_at(observed: Observations) -> str:
    """Report whether jobs have `updatedAt`."""
    jobs = [response for response in observed.of(READ) if response.accepted]
    forms = Counter(_form(response.body, "updatedAt") for response in jobs)
    return "\n".join(f"{form} in {count} of {len(jobs)} responses" for form, count in sorted(forms.items())) or NOT_SEEN


def _form(body: Any, name: str) -> str:
    if not isinstance(body, dict) or name not in body:
        return "missing"
    return "null" if body[name] is None else "present"


def job_list(observed: Observations) -> str:
    """Report whether jobs can be listed, and what the list contains."""
    listed = observed.of(LIST)
    found = next((response for response in listed if response.accepted), None)
    if found is None:
        return f"no: {listed[0].status}" if listed else NOT_SEEN
    outputs = "with" if any("output" in item for item in _items(found)) else "without"
    items = "with" if isinstance(found.field("items"), list) else "without"
    return f"yes, {outputs} outputs, {items} items, nextCursor {_form(found.body, 'nextCursor')}"


def failed_output(observed: Observations) -> str:
    """Report where a failed job has its reason."""
    submitted, job = observed.submissions.get("never uploaded"), observed.jobs.get("never uploaded")
    if submitted is None:
        return NOT_SEEN
    if not submitted.accepted:
        return f"no job: the submission was refused with {submitted.status}"
    status = observed.ended("never uploaded")
    if job is None or status != "failed":
        return f"{NOT_SEEN}: the job {status or 'has not ended yet'}"
    output = job.field("output")
    if not isinstance(output, dict):
        return {"missing": "no output", "null": "output is null"}.get(_form(job.body, "output"), "output is no object")
    return f"output.error is {_form(output, 'error')}"


def post_statuses(observed: Observations) -> str:
    """Report the statuses of accepted POST requests."""
    return "\n".join(_each(observed, (MEDIA, SUBMIT), lambda response: str(response.status))) or NOT_SEEN


def content_types(observed: Observations) -> str:
    """Report the content types of all responses."""
    types = {response.headers.get("content-type", "none") for response in observed.responses}
    if len(types) == 1:
        return f"{types.pop()} everywhere"
    return (
        "\n".join(_each(observed, KNOWN_FIELDS, lambda response: response.headers.get("content-type", "none")))
        or NOT_SEEN
    )


def _each(observed: Observations, operations: Iterable[str], what: Callable[[ApiResponse], str]) -> Iterator[str]:
    """Yield a line for each used operation, with a property of its responses."""
    for operation in operations:
        if responses := observed.of(operation):
            yield f"{operation}: {', '.join(sorted({what(response) for response in responses}))}"


def warnings(observed: Observations) -> str:
    """Report the fields with warnings, without their texts."""
    return _fields(observed, lambda _, name: name.rpartition(".")[2] == "warning") or NOT_SEEN


def unknown_fields(observed: Observations) -> str:
    """Report the fields that the OpenAPI file does not contain."""
    return _fields(observed, lambda response, name: name not in _known_to(response)) or "none"


def _known_to(response: ApiResponse) -> set[str]:
    return KNOWN_FIELDS[response.operation] if response.accepted else KNOWN_ERROR_FIELDS


def _fields(observed: Observations, wanted: Callable[[ApiResponse, str], bool]) -> str:
    found = {
        f"{name} ({response.operation}: {response.status})"
        for response in observed.responses
        for name in _field_names(response.body)
        if wanted(response, name)
    }
    return "\n".join(sorted(found))


def _field_names(body: Any, at: str = "") -> Iterator[str]:
    """Yield the names of all fields, such as `output.error`, with a star for any element of a list."""
    if isinstance(body, list):
        for item in body:
            yield from _field_names(item, f"{at}*.")
    elif isinstance(body, dict):
        for name, value in body.items():
            yield f"{at}{name}"
            yield from _field_names(value, f"{at}{name}.")


def _is_success(status: int) -> bool:
    return 200 <= status < 300


# fmt: off
ASSUMPTIONS: tuple[tuple[str, Callable[[Observations], str]], ...] = (
    ("unit of X-RateLimit-Reset",                 reset_unit),
    ("rate limit headers on 2xx, first of each",  headers_on_success),
    ("rate limits shared between operations",     shared_limits),
    ("nested keys, media://a/b.wav",              nested_keys),
    ("underscored keys, media://a_b.wav",         underscored_keys),
    ("presigned PUT with a chunked body",         chunked_put),
    ("presigned PUT with Authorization",          authorization_on_put),
    ("spelling of a canceled job",                canceled_spelling),
    ("updatedAt of a job",                        updated_at),
    ("GET /v2/jobs exists",                       job_list),
    ("output of a failed job",                    failed_output),
    ("status of the responses to POST",           post_statuses),
    ("content types",                             content_types),
    ("warning fields",                            warnings),
    ("fields that the OpenAPI does not name",     unknown_fields),
)
# fmt: on


# Requests


class Stopped(Exception):  # noqa: N818 - it ends the check, and need not be an error
    """The check cannot continue. The message is a sentence for people."""


class Api:
    """Sends requests to the API, and records the responses.

    Args:
        base_url: the URL of the API.
        key: the API key.
        observed: records the responses.
    """

    def __init__(self, base_url: str, key: str, observed: Observations) -> None:
        self.observed = observed
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        self._session = await self._stack.enter_async_context(aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT))
        # The storage has its own session, because the key must only be sent to the API. Connections are not reused,
        # because a refused upload may leave a part of its body in the connection.
        self._storage = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=_TIMEOUT)
        )
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def send(self, operation: str, **options: Any) -> ApiResponse:
        """Send a request, and repeat it after a 429, which accepts nothing.

        Raises:
            Stopped: the rate limit is used up.
        """
        for _ in range(_REFUSALS):
            response = await self.send_once(operation, **options)
            pause = _pause_after(response)
            if pause is None:
                return response
            if not 0 <= pause <= _LONGEST_PAUSE:
                break
            await asyncio.sleep(pause)
        raise Stopped(f"The rate limit of {operation} is used up. Try again when nothing else uses the key.")

    async def send_once(
        self, operation: str, *, job_id: str = "", query: Mapping[str, str] | None = None, body: Any = None
    ) -> ApiResponse:
        """Send a request once, and record the response."""
        method, path = operation.split(" ")
        url = URL(self._base_url + path.replace("{jobId}", quote(job_id, safe="")), encoded=True)
        async with self._session.request(
            method, url, params=query, json=body, proxy=_proxy_for(url), allow_redirects=False
        ) as received:
            response = ApiResponse(
                operation, received.status, _kept(received.headers), _parsed(await received.read()), time.monotonic()
            )
        self.observed.responses.append(response)
        return response

    async def presign(self, key: str, form: str = "") -> str | None:
        """Request a presigned URL for this media key, and return it, or None if the request was refused."""
        response = await self.send(MEDIA, body={"url": f"media://{key}"})
        if form:
            self.observed.keys[form] = response
        url = response.field("url") if response.accepted else None
        return url if isinstance(url, str) else None

    async def put(
        self, form: str, url: str | None, audio: bytes | AsyncIterator[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        """Upload to a presigned URL, if there is one, and record the status."""
        if url is None:
            return
        try:
            target = URL(url, encoded=True)
            async with self._storage.put(
                target,
                data=audio,
                headers=headers,
                skip_auto_headers=("Content-Type",),
                proxy=_proxy_for(target),
                allow_redirects=False,
            ) as response:
                self.observed.puts[form] = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self.observed.puts[form] = 0

    async def submit(self, name: str, url: str) -> None:
        """Submit a job once, because each accepted submission may be billed.

        Raises:
            Stopped: the outcome of the submission is unknown.
        """
        try:
            submitted = await self.send(SUBMIT, body={"url": url, "model": "precision-2"})
        except (aiohttp.ClientError, TimeoutError):
            raise Stopped(
                f"The job ({name}) was submitted, but no response arrived. It may exist: look for it with "
                "`pyannote-voiceprint jobs` before you run this again."
            ) from None
        self.observed.submissions[name] = submitted
        # Printed at once, so that an interruption does not lose the id of a paid job.
        _print(f"{name}: job {_job_id(submitted)}" if submitted.accepted else f"{name}: no job ({submitted.status})")

    async def read(self, name: str) -> None:
        """Read a job, if it exists and has not ended."""
        job_id = _job_id(self.observed.submissions[name]) if name in self.observed.submissions else ""
        if job_id and not self.observed.ended(name):
            self.observed.jobs[name] = await self.send(READ, job_id=job_id)

    def unfinished(self) -> list[str]:
        """Return the names of the jobs that have not ended."""
        return [
            name for name, made in self.observed.submissions.items() if _job_id(made) and not self.observed.ended(name)
        ]


def _job_id(submitted: ApiResponse) -> str:
    job_id = submitted.field("jobId")
    return job_id if isinstance(job_id, str) else ""


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    names = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in names.items() if name in KEPT_HEADERS or "ratelimit" in name}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _pause_after(response: ApiResponse) -> float | None:
    """Return the seconds that a 429 requests, or a whole window if they cannot be read; None for other responses."""
    if response.status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    try:
        return float(response.headers.get("retry-after", ""))
    except ValueError:
        return 60.0


def _proxy_for(url: URL) -> str | None:
    return None if url.host is None or proxy_bypass(url.host) else getproxies().get(url.scheme)


async def _in_chunks(audio: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(audio), 16_384):
        yield audio[start : start + 16_384]


def _print(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


# The check


async def check(api: Api, upload: Callable[[Path], Awaitable[str]], *, pause: float, patience: float) -> None:
    """Send all requests, in an order that shows which operations share a rate limit.

    Args:
        api: the API.
        upload: uploads a file with the client, and returns its `media://` URL.
        pause: seconds between two polls of the jobs.
        patience: seconds after which jobs are no longer polled.

    Raises:
        Stopped: the check cannot continue.
    """
    tested = await api.send(TEST)
    if not tested.accepted:
        raise Stopped(f"The key was not accepted (status {tested.status}). Nothing was submitted.")
    speech, audio, unique = await upload(SPEECH), await asyncio.to_thread(SPEECH.read_bytes), uuid.uuid4().hex
    keyed = await _upload_with_keys(api, unique, audio)
    await api.put("plain", await _use_each(api, f"live-check-{unique}-1.wav"), audio)
    await api.submit("real speech", speech)
    await api.put("chunked", await _use_each(api, f"live-check-{unique}-2.wav"), _in_chunks(audio))
    await api.read("real speech")
    # Not the real key, because the storage belongs to a third party.
    target = await _use_each(api, f"live-check-{unique}-3.wav")
    await api.put("authorized", target, audio, {"Authorization": "Bearer not-a-key"})
    await api.submit("never uploaded", f"media://live-check-{unique}-never.wav")
    for name, url in keyed.items():
        await api.submit(name, url)
    for spelling in CANCELED:
        api.observed.filters[spelling] = await api.send(LIST, query={"limit": "100", "status": spelling})
    await _wait(api, pause=pause, patience=patience)


async def _upload_with_keys(api: Api, unique: str, audio: bytes) -> dict[str, str]:
    """Try both forms of media keys, and upload with one key that has all accepted forms. Return its URL by form."""
    keys = {
        "nested": f"live-check/{unique}.wav",
        "underscored": f"live_check_{unique}.wav",
        "nested and underscored": f"live_check/{unique}.wav",
    }
    urls = {form: await api.presign(key, form) for form, key in keys.items()}
    # One job tests both forms.
    for form in reversed(urls):
        if urls[form] is not None:
            await api.put(form, urls[form], audio)
            return {form: f"media://{keys[form]}"} if _is_success(api.observed.puts[form]) else {}
    return {}


async def _use_each(api: Api, key: str) -> str | None:
    """Use each free operation once, and return the presigned URL of this media key."""
    await api.send(TEST)
    url = await api.presign(key)
    await api.send(LIST, query={"limit": "100"})
    return url


async def _wait(api: Api, *, pause: float, patience: float) -> None:
    """Poll the jobs until all have ended, for at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while unfinished := api.unfinished():
        for name in unfinished:
            await api.read(name)
        if time.monotonic() >= deadline:
            return
        if api.unfinished():
            await asyncio.sleep(pause)


async def provoke_429(api: Api) -> None:
    """Send key tests, which are free, until one is refused: at most one more than the limit."""
    values = [response.headers.get("x-ratelimit-limit", "") for response in api.observed.of(TEST)]
    limit = next((int(value) for value in values if value.isdecimal()), _DEFAULT_LIMIT)
    if limit > _LARGEST_LIMIT:
        return
    for sent in range(0, limit + 1, _AT_ONCE):
        responses = await asyncio.gather(*(api.send_once(TEST) for _ in range(min(_AT_ONCE, limit + 1 - sent))))
        if any(response.status == HTTPStatus.TOO_MANY_REQUESTS for response in responses):
            return


async def observe(base_url: str, key: str, *, provoke: bool, pause: float, patience: float) -> Observations:
    """Run the check, and return the observations, also if it ended early."""
    observed = Observations()
    async with Api(base_url, key, observed) as api, AsyncVoiceprintClient(key, base_url=base_url) as client:
        try:
            await check(api, client.upload, pause=pause, patience=patience)
            if provoke:
                await provoke_429(api)
        except (Stopped, VoiceprintError) as exc:
            observed.stopped_by = str(exc)
        except (aiohttp.ClientError, TimeoutError) as exc:
            # The text of the exception may contain a URL.
            observed.stopped_by = f"The API did not respond ({type(exc).__name__})."
    return observed


async def observe_sandbox(*, provoke: bool) -> Observations:
    """Run the check against a sandbox."""
    async with Sandbox(job_seconds=0.3) as sandbox:
        return await observe(sandbox.url, sandbox.api_key, provoke=provoke, pause=0.1, patience=10.0)


def report(observed: Observations) -> None:
    """Print the table."""
    for assumption, verdict in ASSUMPTIONS:
        _print_row(assumption, verdict(observed))
    jobs = [f"{name}: {observed.ended(name) or 'has not ended yet'}" for name in observed.jobs]
    _print_row("jobs", "\n".join(jobs) or "none")


def _print_row(title: str, text: str) -> None:
    for line in text.splitlines():
        for piece in textwrap.wrap(line, 76, break_on_hyphens=False, subsequent_indent="  "):
            print(f"{title:42}{piece}")
            title = ""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sandbox", action="store_true", help="check a sandbox instead, without a key and without costs"
    )
    parser.add_argument("--provoke-429", action="store_true", help="send key tests until one is refused; they are free")
    parser.add_argument("--pause", type=float, default=10.0, help="seconds between two polls of the jobs")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds after which jobs are no longer polled")
    options = parser.parse_args(arguments)
    key = os.environ.get("PYANNOTEAI_API_KEY") or os.environ.get("PYANNOTE_API_KEY")
    if options.sandbox:
        observing = observe_sandbox(provoke=options.provoke_429)
    elif key:
        base_url = os.environ.get("PYANNOTEAI_BASE_URL") or DEFAULT_BASE_URL
        observing = observe(base_url, key, provoke=options.provoke_429, pause=options.pause, patience=options.patience)
    else:
        _print("Set PYANNOTEAI_API_KEY or PYANNOTE_API_KEY to a key, or try the script with --sandbox.")
        return 2
    try:
        observed = asyncio.run(observing)
    except ConfigurationError as exc:
        _print(str(exc))
        return 2
    if any(response.accepted for response in observed.responses):
        report(observed)
    if observed.stopped_by:
        _print(observed.stopped_by)
    return 1 if observed.stopped_by else 0


if __name__ == "__main__":
    sys.exit(main())
