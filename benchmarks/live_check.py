"""Which of the API's documents is right? They contradict each other; this asks the API itself.

Needs a key in the environment (`PYANNOTEAI_API_KEY` or `PYANNOTE_API_KEY`; `PYANNOTEAI_BASE_URL` may say where the
API is). It makes at most three jobs: one of real speech, one of a file under a nested key, and one that has to fail,
because its file is never uploaded. Failed jobs are not billed, so it costs at most two voiceprints. The key has to be
idle: what other programs do with it at the same time looks like an answer.

Neither the key nor a presigned URL nor a voiceprint is ever printed: of all that comes back, only statuses, types,
numbers and the names of fields are.
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

# What the API's OpenAPI names, so that anything else is news. A star stands for any element of a list.
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

# Of an answer's headers, only these are kept.
KEPT_HEADERS = ("content-type", "date", "retry-after")

_FIRST_EPOCH = 1e9  # nobody waits thirty years: a number of this size is a date
_FIRST_EPOCH_MILLISECONDS = 1e12
_NO_LIMIT_TOLD = 100
_LARGEST_LIMIT = 1000
_AT_ONCE = 10
_SAME_WINDOW = 50.0
_LONGEST_PAUSE = 120.0
_REFUSALS = 3
_TIMEOUT = aiohttp.ClientTimeout(total=60.0)


# What was seen


@attrs.frozen
class Exchange:
    """One answer of the API."""

    operation: str
    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Those that say something about limits, type and time; names in lower case."""
    body: Any = attrs.field(default=None, repr=False)
    """What its JSON says; None for what is no JSON."""
    at: float = 0.0
    """Seconds of a clock that never goes back."""

    @property
    def accepted(self) -> bool:
        """Whether the API said yes."""
        return 200 <= self.status < 300

    def field(self, name: str) -> Any:
        """Give a field of the answer, or None."""
        return self.body.get(name) if isinstance(self.body, dict) else None


@attrs.define
class Seen:
    """Everything that was seen, in its order."""

    exchanges: list[Exchange] = attrs.field(factory=list)
    """All answers of the API."""
    keys: dict[str, Exchange] = attrs.field(factory=dict)
    """What asking for an upload under a key of this form was answered."""
    puts: dict[str, int] = attrs.field(factory=dict)
    """With what status the storage answered an upload of this form; 0 if it broke off."""
    filters: dict[str, Exchange] = attrs.field(factory=dict)
    """What a list of the jobs with this status was answered."""
    submissions: dict[str, Exchange] = attrs.field(factory=dict)
    """What the submission of this job was answered."""
    jobs: dict[str, Exchange] = attrs.field(factory=dict)
    """This job as it was read last."""
    stopped_by: str = ""
    """Why the check ended early, as a sentence."""

    def of(self, *operations: str) -> list[Exchange]:
        """Give the answers of these operations."""
        return [exchange for exchange in self.exchanges if exchange.operation in operations]

    def ended(self, job: str) -> str:
        """Give the status in which a job ended; empty if it did not, or was none."""
        status = self.jobs[job].field("status") if job in self.jobs else ""
        return status if status in TERMINAL else ""


# From what was seen to a verdict: one function for each assumption, one line for each thing to say


def reset_unit(seen: Seen) -> str:
    """Seconds to go, or a date?"""
    words = [
        exchange.headers.get("x-ratelimit-reset")
        for exchange in seen.exchanges
        if exchange.status == HTTPStatus.TOO_MANY_REQUESTS
    ]
    if not words:
        return f"{NOT_SEEN}: no 429 came (--provoke-429 draws one with key tests, which are free)"
    return "\n".join(sorted({_unit_of(word) for word in words}))


def _unit_of(word: str | None) -> str:
    if word is None:
        return "a 429 came without it"
    try:
        number = float(word)
    except ValueError:
        return "not a number"
    if number >= _FIRST_EPOCH_MILLISECONDS:
        return "UTC epoch in milliseconds"
    return "UTC epoch seconds" if number >= _FIRST_EPOCH else "seconds until the reset"


def headers_on_success(seen: Seen) -> str:
    """Do answers that are no 429 tell the budget, and what?"""
    said = [line for operation in KNOWN_FIELDS for line in _budget_of(operation, seen.of(operation))]
    return "\n".join(said) or NOT_SEEN


def _budget_of(operation: str, exchanges: list[Exchange]) -> Iterator[str]:
    """Say what the first accepted answer of an operation told, if there was one."""
    for exchange in exchanges:
        if exchange.accepted:
            told = {name: value for name, value in exchange.headers.items() if name not in {"content-type", "date"}}
            words = ", ".join(f"{name} {value}" for name, value in sorted(told.items()))
            yield f"{operation}: {words or 'nothing'}"
            return


def shared_budgets(seen: Seen) -> str:
    """Does the budget of one operation fall when another one is used?"""
    falls = list(_falls(seen.exchanges))
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
        return "one budget for all operations seen" if shared else "each operation seen has its own"
    return "\n".join(parts) or f"{NOT_SEEN}: no X-RateLimit-Remaining to compare"


def _falls(exchanges: list[Exchange]) -> Iterator[tuple[str, int, Counter[str]]]:
    """Between two answers of an operation: how much more than its own use its Remaining fell, and what was used."""
    for operation in KNOWN_FIELDS:
        places = [place for place, exchange in enumerate(exchanges) if exchange.operation == operation]
        for first, last in pairwise(places):
            between = exchanges[first + 1 : last]
            before, after = (_remaining(exchanges[place]) for place in (first, last))
            # Who knows whether a refused request counts? And a window that turned over in between tells nothing.
            sound = all(exchange.accepted for exchange in exchanges[first : last + 1])
            sound = sound and exchanges[last].at - exchanges[first].at < _SAME_WINDOW
            if between and sound and before is not None and after is not None and after < before:
                yield operation, before - after - 1, Counter(exchange.operation for exchange in between)


def _remaining(exchange: Exchange) -> int | None:
    word = exchange.headers.get("x-ratelimit-remaining", "")
    return int(word) if word.isdecimal() else None


def nested_keys(seen: Seen) -> str:
    """`media://a/b.wav`?"""
    return _key_verdict(seen, "nested")


def underscored_keys(seen: Seen) -> str:
    """`media://a_b.wav`?"""
    return _key_verdict(seen, "underscored")


def _key_verdict(seen: Seen, form: str) -> str:
    asked = seen.keys.get(form)
    if asked is None:
        return NOT_SEEN
    if not asked.accepted:
        return f"refused with {asked.status}"
    name = next((name for name in ("nested and underscored", form) if name in seen.puts), None)
    if name is None:
        return f"accepted with {asked.status}, not used"
    return f"accepted with {asked.status}; {_use_of(name, seen)} (key: {name})"


def _use_of(name: str, seen: Seen) -> str:
    if not _is_success(seen.puts[name]):
        return f"its upload was refused ({seen.puts[name]})"
    submitted = seen.submissions.get(name)
    if submitted is None:
        return "uploaded, not submitted"
    if not submitted.accepted:
        return f"uploaded, but its submission was refused with {submitted.status}"
    return f"its job {seen.ended(name) or 'has not ended yet'}"


def chunked_put(seen: Seen) -> str:
    """May an upload come in chunks, without its length?"""
    return _put_verdict(seen, "chunked")


def authorization_on_put(seen: Seen) -> str:
    """May an upload carry an `Authorization` header?"""
    return _put_verdict(seen, "authorized")


def _put_verdict(seen: Seen, form: str) -> str:
    if form not in seen.puts:
        return NOT_SEEN
    status, plain = seen.puts[form], seen.puts.get("plain", 0)
    if _is_success(status):
        return f"accepted with {status}"
    refused = f"refused with {status}" if status else "refused: the connection broke off"
    return refused if _is_success(plain) else f"{refused}; but a plain one was not accepted either ({plain})"


def canceled_spelling(seen: Seen) -> str:
    """`canceled` or `cancelled`?"""
    spelled = Counter(status for status in _statuses(seen) if status in CANCELED)
    jobs = ", ".join(f"{word} (jobs: {count})" for word, count in sorted(spelled.items()))
    filters = [
        f"as a filter, {word} is {'accepted' if exchange.accepted else 'refused'} with {exchange.status}"
        for word, exchange in seen.filters.items()
    ]
    return "\n".join([jobs or f"{NOT_SEEN} in a job", *filters])


def _statuses(seen: Seen) -> Iterator[Any]:
    yield from (exchange.field("status") for exchange in seen.of(READ))
    for exchange in seen.of(LIST):
        yield from (item.get("status") for item in _items(exchange))


def _items(exchange: Exchange) -> list[dict[str, Any]]:
    items = exchange.field("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def updated_at(seen: Seen) -> str:
    """Does a job say when it last changed?"""
    jobs = [exchange for exchange in seen.of(READ) if exchange.accepted]
    forms = Counter(_form(exchange.body, "updatedAt") for exchange in jobs)
    return "\n".join(f"{form} in {count} of {len(jobs)} answers" for form, count in sorted(forms.items())) or NOT_SEEN


def _form(body: Any, name: str) -> str:
    if not isinstance(body, dict) or name not in body:
        return "missing"
    return "null" if body[name] is None else "there"


def job_list(seen: Seen) -> str:
    """Is there a list of jobs?"""
    listed = seen.of(LIST)
    found = next((exchange for exchange in listed if exchange.accepted), None)
    if found is None:
        return f"no: {listed[0].status}" if listed else NOT_SEEN
    outputs = "with" if any("output" in item for item in _items(found)) else "without"
    items = "with" if isinstance(found.field("items"), list) else "without"
    return f"yes, {outputs} outputs, {items} items, nextCursor {_form(found.body, 'nextCursor')}"


def failed_output(seen: Seen) -> str:
    """Where does a failed job say why?"""
    submitted, job = seen.submissions.get("never uploaded"), seen.jobs.get("never uploaded")
    if submitted is None:
        return NOT_SEEN
    if not submitted.accepted:
        return f"no job: the submission was refused with {submitted.status}"
    status = seen.ended("never uploaded")
    if job is None or status != "failed":
        return f"{NOT_SEEN}: the job {status or 'has not ended yet'}"
    output = job.field("output")
    if not isinstance(output, dict):
        return {"missing": "no output", "null": "output is null"}.get(_form(job.body, "output"), "output is no object")
    return f"output.error is {_form(output, 'error')}"


def post_statuses(seen: Seen) -> str:
    """200 or 201?"""
    return "\n".join(_each(seen, (MEDIA, SUBMIT), lambda exchange: str(exchange.status))) or NOT_SEEN


def content_types(seen: Seen) -> str:
    """Is JSON called JSON?"""
    types = {exchange.headers.get("content-type", "none") for exchange in seen.exchanges}
    if len(types) == 1:
        return f"{types.pop()} everywhere"
    return (
        "\n".join(_each(seen, KNOWN_FIELDS, lambda exchange: exchange.headers.get("content-type", "none"))) or NOT_SEEN
    )


def _each(seen: Seen, operations: Iterable[str], what: Callable[[Exchange], str]) -> Iterator[str]:
    """For each operation that was used, say all that its answers were."""
    for operation in operations:
        if exchanges := seen.of(operation):
            yield f"{operation}: {', '.join(sorted({what(exchange) for exchange in exchanges}))}"


def warnings(seen: Seen) -> str:
    """Where are warnings? Their words are not repeated."""
    return _fields(seen, lambda _, name: name.rpartition(".")[2] == "warning") or NOT_SEEN


def unknown_fields(seen: Seen) -> str:
    """What does the API say that its OpenAPI does not know?"""
    return _fields(seen, lambda exchange, name: name not in _known_to(exchange)) or "none"


def _known_to(exchange: Exchange) -> set[str]:
    return KNOWN_FIELDS[exchange.operation] if exchange.accepted else KNOWN_ERROR_FIELDS


def _fields(seen: Seen, wanted: Callable[[Exchange, str], bool]) -> str:
    found = {
        f"{name} ({exchange.operation}: {exchange.status})"
        for exchange in seen.exchanges
        for name in _field_names(exchange.body)
        if wanted(exchange, name)
    }
    return "\n".join(sorted(found))


def _field_names(body: Any, at: str = "") -> Iterator[str]:
    """Give the names of all fields, `output.error` for one inside of another, a star for any element of a list."""
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
ASSUMPTIONS: tuple[tuple[str, Callable[[Seen], str]], ...] = (
    ("unit of X-RateLimit-Reset",                 reset_unit),
    ("rate limit headers on 2xx, first of each",  headers_on_success),
    ("budgets shared between operations",         shared_budgets),
    ("nested keys, media://a/b.wav",              nested_keys),
    ("underscored keys, media://a_b.wav",         underscored_keys),
    ("presigned PUT with a chunked body",         chunked_put),
    ("presigned PUT with Authorization",          authorization_on_put),
    ("spelling of a canceled job",                canceled_spelling),
    ("updatedAt of a job",                        updated_at),
    ("GET /v2/jobs exists",                       job_list),
    ("output of a failed job",                    failed_output),
    ("status of the answers to POST",             post_statuses),
    ("content types",                             content_types),
    ("warning fields",                            warnings),
    ("fields that the OpenAPI does not name",     unknown_fields),
)
# fmt: on


# Asking


class Stopped(Exception):  # noqa: N818 - the check ends here, which may well be right
    """There is no use in going on; its text is a sentence for people."""


class Api:
    """Asks the API, and takes down what it answers.

    Args:
        base_url: where it is.
        key: the key.
        seen: where answers are taken down.
    """

    def __init__(self, base_url: str, key: str, seen: Seen) -> None:
        self.seen = seen
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        self._session = await self._stack.enter_async_context(aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT))
        # The storage gets a session of its own: the key is for the API alone. No connection serves twice, because
        # a refused upload may leave half a body in it.
        self._storage = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=_TIMEOUT)
        )
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def ask(self, operation: str, **asked: Any) -> Exchange:
        """Ask, and ask again after a 429 (which is no acceptance of anything).

        Raises:
            Stopped: the API wants no more requests.
        """
        for _ in range(_REFUSALS):
            exchange = await self.ask_once(operation, **asked)
            pause = _pause_after(exchange)
            if pause is None:
                return exchange
            if not 0 <= pause <= _LONGEST_PAUSE:
                break
            await asyncio.sleep(pause)
        raise Stopped(f"The rate limit of {operation} is used up. Try again when nothing else uses the key.")

    async def ask_once(
        self, operation: str, *, job_id: str = "", query: Mapping[str, str] | None = None, body: Any = None
    ) -> Exchange:
        """Ask once, and take down the answer."""
        method, path = operation.split(" ")
        url = URL(self._base_url + path.replace("{jobId}", quote(job_id, safe="")), encoded=True)
        async with self._session.request(
            method, url, params=query, json=body, proxy=_proxy_for(url), allow_redirects=False
        ) as response:
            exchange = Exchange(
                operation, response.status, _kept(response.headers), _parsed(await response.read()), time.monotonic()
            )
        self.seen.exchanges.append(exchange)
        return exchange

    async def presign(self, key: str, form: str = "") -> str | None:
        """Ask for an upload under this key, and give its presigned URL."""
        asked = await self.ask(MEDIA, body={"url": f"media://{key}"})
        if form:
            self.seen.keys[form] = asked
        url = asked.field("url") if asked.accepted else None
        return url if isinstance(url, str) else None

    async def put(
        self, form: str, url: str | None, audio: bytes | AsyncIterator[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        """Upload to a presigned URL, if there is one, and take down the status."""
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
                self.seen.puts[form] = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self.seen.puts[form] = 0

    async def submit(self, name: str, url: str) -> None:
        """Submit a job, once: each one that is accepted may be billed.

        Raises:
            Stopped: nobody knows whether it was accepted.
        """
        try:
            submitted = await self.ask(SUBMIT, body={"url": url, "model": "precision-2"})
        except (aiohttp.ClientError, TimeoutError):
            raise Stopped(
                f"The job ({name}) was submitted, but no answer came. It may exist: look for it with "
                "`pyannote-voiceprint jobs` before you run this again."
            ) from None
        self.seen.submissions[name] = submitted
        # At once, not at the end: what is paid for must not be lost to an interruption.
        _say(f"{name}: job {_job_id(submitted)}" if submitted.accepted else f"{name}: no job ({submitted.status})")

    async def read(self, name: str) -> None:
        """Read a job, if it is one and has not ended."""
        job_id = _job_id(self.seen.submissions[name]) if name in self.seen.submissions else ""
        if job_id and not self.seen.ended(name):
            self.seen.jobs[name] = await self.ask(READ, job_id=job_id)

    def under_way(self) -> list[str]:
        """Name the jobs that have not ended."""
        return [name for name, made in self.seen.submissions.items() if _job_id(made) and not self.seen.ended(name)]


def _job_id(submitted: Exchange) -> str:
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


def _pause_after(exchange: Exchange) -> float | None:
    """Give the seconds that a 429 asks for; a whole window if it cannot be read."""
    if exchange.status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    try:
        return float(exchange.headers.get("retry-after", ""))
    except ValueError:
        return 60.0


def _proxy_for(url: URL) -> str | None:
    return None if url.host is None or proxy_bypass(url.host) else getproxies().get(url.scheme)


async def _in_pieces(audio: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(audio), 16_384):
        yield audio[start : start + 16_384]


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


# The check


async def check(api: Api, upload: Callable[[Path], Awaitable[str]], *, pause: float, patience: float) -> None:
    """Ask everything, in an order in which budgets tell whether they are one.

    Args:
        api: the API.
        upload: uploads a file as everybody does, and gives its `media://` URL.
        pause: seconds between two looks at the jobs.
        patience: seconds after which jobs are left alone.

    Raises:
        Stopped: there is no use in going on.
    """
    tested = await api.ask(TEST)
    if not tested.accepted:
        raise Stopped(f"The key was not accepted (status {tested.status}). Nothing was submitted.")
    speech, audio, unique = await upload(SPEECH), await asyncio.to_thread(SPEECH.read_bytes), uuid.uuid4().hex
    keyed = await _upload_with_keys(api, unique, audio)
    await api.put("plain", await _use_each(api, f"live-check-{unique}-1.wav"), audio)
    await api.submit("real speech", speech)
    await api.put("chunked", await _use_each(api, f"live-check-{unique}-2.wav"), _in_pieces(audio))
    await api.read("real speech")
    # No real key: the storage would be a third party to it.
    target = await _use_each(api, f"live-check-{unique}-3.wav")
    await api.put("authorized", target, audio, {"Authorization": "Bearer not-a-key"})
    await api.submit("never uploaded", f"media://live-check-{unique}-never.wav")
    for name, url in keyed.items():
        await api.submit(name, url)
    for spelling in CANCELED:
        api.seen.filters[spelling] = await api.ask(LIST, query={"limit": "100", "status": spelling})
    await _wait(api, pause=pause, patience=patience)


async def _upload_with_keys(api: Api, unique: str, audio: bytes) -> dict[str, str]:
    """Try keys of both forms, and upload under one key that has all forms that are accepted."""
    keys = {
        "nested": f"live-check/{unique}.wav",
        "underscored": f"live_check_{unique}.wav",
        "nested and underscored": f"live_check/{unique}.wav",
    }
    urls = {form: await api.presign(key, form) for form, key in keys.items()}
    # One job has to do for both forms.
    for form in reversed(urls):
        if urls[form] is not None:
            await api.put(form, urls[form], audio)
            return {form: f"media://{keys[form]}"} if _is_success(api.seen.puts[form]) else {}
    return {}


async def _use_each(api: Api, key: str) -> str | None:
    """Use each free operation once, and give the presigned URL of this key."""
    await api.ask(TEST)
    url = await api.presign(key)
    await api.ask(LIST, query={"limit": "100"})
    return url


async def _wait(api: Api, *, pause: float, patience: float) -> None:
    """Read the jobs until all have ended, or patience has."""
    until = time.monotonic() + patience
    while under_way := api.under_way():
        for name in under_way:
            await api.read(name)
        if time.monotonic() >= until:
            return
        if api.under_way():
            await asyncio.sleep(pause)


async def provoke_429(api: Api) -> None:
    """Send key tests, which are free, until one is refused: at most one more than the limit says."""
    words = [exchange.headers.get("x-ratelimit-limit", "") for exchange in api.seen.of(TEST)]
    limit = next((int(word) for word in words if word.isdecimal()), _NO_LIMIT_TOLD)
    if limit > _LARGEST_LIMIT:
        return
    for sent in range(0, limit + 1, _AT_ONCE):
        answers = await asyncio.gather(*(api.ask_once(TEST) for _ in range(min(_AT_ONCE, limit + 1 - sent))))
        if any(answer.status == HTTPStatus.TOO_MANY_REQUESTS for answer in answers):
            return


async def look(base_url: str, key: str, *, provoke: bool, pause: float, patience: float) -> Seen:
    """Make the check, and give what was seen, however far it came."""
    seen = Seen()
    async with Api(base_url, key, seen) as api, AsyncVoiceprintClient(key, base_url=base_url) as client:
        try:
            await check(api, client.upload, pause=pause, patience=patience)
            if provoke:
                await provoke_429(api)
        except (Stopped, VoiceprintError) as exc:
            seen.stopped_by = str(exc)
        except (aiohttp.ClientError, TimeoutError) as exc:
            # Its text may hold a URL.
            seen.stopped_by = f"The API did not answer ({type(exc).__name__})."
    return seen


async def look_at_sandbox(*, provoke: bool) -> Seen:
    """Make the check against a sandbox of its own."""
    async with Sandbox(job_seconds=0.3) as sandbox:
        return await look(sandbox.url, sandbox.api_key, provoke=provoke, pause=0.1, patience=10.0)


def report(seen: Seen) -> None:
    """Print the table."""
    for assumption, verdict in ASSUMPTIONS:
        _print_row(assumption, verdict(seen))
    jobs = [f"{name}: {seen.ended(name) or 'has not ended yet'}" for name in seen.jobs]
    _print_row("jobs", "\n".join(jobs) or "none")


def _print_row(title: str, text: str) -> None:
    for line in text.splitlines():
        for piece in textwrap.wrap(line, 76, break_on_hyphens=False, subsequent_indent="  "):
            print(f"{title:42}{piece}")
            title = ""


def main(arguments: list[str] | None = None) -> int:
    """Read the options, look, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="ask a sandbox instead: no key, no bill")
    parser.add_argument("--provoke-429", action="store_true", help="send key tests until one is refused; they are free")
    parser.add_argument("--pause", type=float, default=10.0, help="seconds between two looks at the jobs")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds after which jobs are left alone")
    options = parser.parse_args(arguments)
    key = os.environ.get("PYANNOTEAI_API_KEY") or os.environ.get("PYANNOTE_API_KEY")
    if options.sandbox:
        looking = look_at_sandbox(provoke=options.provoke_429)
    elif key:
        base_url = os.environ.get("PYANNOTEAI_BASE_URL") or DEFAULT_BASE_URL
        looking = look(base_url, key, provoke=options.provoke_429, pause=options.pause, patience=options.patience)
    else:
        _say("Put a key into PYANNOTEAI_API_KEY or PYANNOTE_API_KEY, or add --sandbox to see what this does.")
        return 2
    try:
        seen = asyncio.run(looking)
    except ConfigurationError as exc:
        _say(str(exc))
        return 2
    if any(exchange.accepted for exchange in seen.exchanges):
        report(seen)
    if seen.stopped_by:
        _say(seen.stopped_by)
    return 1 if seen.stopped_by else 0


if __name__ == "__main__":
    sys.exit(main())
