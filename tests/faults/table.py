"""The table of faults: the family, name and scene of each fault, and the outcomes of its calls."""

from collections.abc import Callable, Mapping
from typing import Any

from faults import calls
from faults.fault import Fault, faults, in_a_run, made, reads, submits
from faults.killed import full_disk, killed
from faults.outcomes import (
    ACCEPTED,
    CANCELLED,
    ENROLLED,
    IDENTIFIED,
    READ,
    Outcome,
    by_chance,
    final,
    later,
    repeated,
    unknown,
)
from faults.plays import (
    BROKEN,
    BROKEN_AFTER_THE_ID,
    BROKEN_HEADERS,
    BROKEN_HEADERS_WITH_ID,
    ENDLESS,
    GARBAGE,
    GONE,
    GONE_EARLY,
    INVALID_RETRY_AFTER,
    LARGE_HEADS,
    LARGE_HEADS_THAT_ARE_READ,
    LATE,
    LATE_AND_BUSY,
    LONG_PAUSES,
    ODD_BUT_WHOLE,
    ODD_LIMITS,
    OLD_BUT_WHOLE,
    STRANGE,
    VALID_RETRY_AFTER,
    an_id_and_no_end,
    an_id_and_too_much,
    answer_and_leave,
    slow,
)
from faults.scenes import Provoke, calm, hostile, in_sandbox, no_proxy, no_server, no_tls, telling
from hostile_server import answer, silence, then_close

from pyannote_voiceprint_async import (
    ApiConnectionError,
    ApiStatusError,
    ApiTimeoutError,
    AuthenticationError,
    ClientClosedError,
    InvalidRequestError,
    JobTimeoutError,
    MediaError,
    NotFoundError,
    PermissionDeniedError,
    ProxyError,
    ServerError,
    SubscriptionRequiredError,
    Timeouts,
    UnexpectedResponseError,
)

# The number of calls where each takes half a second or a megabyte, and where each keeps a processor busy that long.
SOME, FEW = 16, 1
SHORT = Timeouts(total=1.0)


def each(things: Mapping[str, Any], scene: Callable[..., Provoke] = hostile, **options: Any) -> dict[str, Provoke]:
    return {name: scene(thing, **options) for name, thing in things.items()}


def statuses(*numbers: int, body: bytes = b"<html>", **headers: str) -> dict[str, bytes]:
    return {f"status {number}": answer(body, f"{number} No", **headers) for number in numbers}


def refused(number: int, kind: type[ApiStatusError], body: bytes = b"<html>") -> tuple[Fault, ...]:
    """Return the faults of a status that accepts nothing."""
    scenes = each(statuses(number, body=body), accepts=False)
    return tuple(faults("HTTP", scenes, submits(final(kind)), reads(final(kind))))


FAULTS: tuple[Fault, ...] = (
    # The network
    *faults("network", {
        "no listener": no_server(),
        "no listener, with TLS": no_server("https"),
        "a server that speaks no TLS": no_tls("https", tls=False, greeting=answer(b"", 400)),
        "no proxy": no_proxy(),
        "a proxy that says 200, and no more": no_proxy(then_close(answer(b"", "200 Proxy", Content_Length=""))),
        "a proxy that says 302": no_proxy(then_close(answer(b"", "302 Proxy", Content_Length=""))),
        "a proxy that says 502": no_proxy(then_close(answer(b"", "502 Proxy", Content_Length=""))),
    }, submits(repeated(ApiConnectionError), times=20), reads(repeated(ApiConnectionError))),
    *faults("network", {
        "an untrusted certificate": no_tls("https", tls=True),
    }, submits(final(ApiConnectionError)), reads(final(ApiConnectionError))),
    *faults("network", {
        "a proxy that says 407": no_proxy(then_close(answer(b"", "407 Proxy", Content_Length=""))),
    }, submits(final(ProxyError)), reads(final(ProxyError))),
    *faults("network", {
        "a TLS handshake that never ends": no_tls("https", tls=False, timeouts=Timeouts(connect=0.5)),
    }, submits(repeated(ApiTimeoutError)), reads(repeated(ApiTimeoutError))),
    *faults("network", each(GONE) | each(GONE_EARLY, reads=False) | {
        "plain HTTP to TLS": no_tls("http", tls=True),
        "the sandbox's drop-before-read": in_sandbox("drop-before-read"),
    }, submits(unknown(ApiConnectionError)), reads(repeated(ApiConnectionError))),
    *faults("network", {
        "the sandbox's drop-after-accept": in_sandbox("drop-after-accept"),
        "the sandbox's accept-late": in_sandbox("accept-late"),
    }, submits(unknown(ApiConnectionError), times=100)),
    *faults("network", {
        "connections that die when they are idle": telling(answer_and_leave, max_concurrency=4),
    }, submits(by_chance(ACCEPTED), by_chance(unknown(ApiConnectionError)), times=100)),

    # The status
    *faults("HTTP", each(statuses(301, 302, 303, 307, 308, Location="/elsewhere"), accepts=False),
            submits(final(UnexpectedResponseError)), reads(final(UnexpectedResponseError))),
    *refused(400, InvalidRequestError),
    *refused(401, AuthenticationError, b'{"message":"No"}'),
    *refused(402, SubscriptionRequiredError),
    *refused(403, PermissionDeniedError, b'{"message":"No"}'),
    *faults("HTTP", each({
        f"status {number} with a page of a gateway": answer(b"<html>", f"{number} No") for number in (401, 403)
    }, accepts=False), submits(final(UnexpectedResponseError)), reads(final(UnexpectedResponseError))),
    *refused(404, NotFoundError),
    *refused(413, ApiStatusError),
    *refused(422, InvalidRequestError),
    *refused(499, ApiStatusError),
    *faults("HTTP", each(statuses(408)), submits(unknown(ApiStatusError)), reads(repeated(ApiStatusError))),
    *faults("HTTP", each(statuses(500, 501, 502, 503, 504, 520, 599)) | {
        "the sandbox's server-error": in_sandbox("server-error"),
        "the sandbox's bad-gateway": in_sandbox("bad-gateway"),
    }, submits(unknown(ServerError)), reads(repeated(ServerError))),
    *faults("HTTP", {"the sandbox's unavailable": in_sandbox("unavailable")},
            submits(repeated(ServerError)), reads(repeated(ServerError))),
    *faults("HTTP", each(STRANGE) | each(BROKEN),
            submits(unknown(UnexpectedResponseError)), reads(repeated(UnexpectedResponseError))),
    *faults("HTTP", each(OLD_BUT_WHOLE, telling), submits(ACCEPTED), reads(READ)),
    *faults("HTTP", {
        "the sandbox's rate-limited": in_sandbox("rate-limited", first=100),
    }, submits(later(ACCEPTED), times=100)),

    # The body
    *faults("JSON", each(GARBAGE),
            submits(unknown(UnexpectedResponseError)), reads(repeated(UnexpectedResponseError))),
    *faults("JSON", {
        "a refusal with a deep well": hostile(
            answer(b'{"errors":[{"field":' + b"[" * 1000 + b"]" * 1000 + b"}]}", "400 No"), accepts=False
        ),
    }, submits(final(InvalidRequestError)), reads(final(InvalidRequestError))),
    *faults("JSON", {"the sandbox's truncated-json": in_sandbox("truncated-json")},
            submits(unknown(UnexpectedResponseError), times=100)),
    *faults("JSON", each(BROKEN_AFTER_THE_ID, telling), submits(ACCEPTED)),
    *faults("JSON", {"another job": hostile(answer(b'{"jobId":"job-of-somebody","status":"created"}'))},
            reads(repeated(UnexpectedResponseError), times=60)),

    # The headers
    *faults("headers", each(BROKEN_HEADERS),
            submits(unknown(UnexpectedResponseError)), reads(repeated(UnexpectedResponseError))),
    *faults("headers", each(BROKEN_HEADERS_WITH_ID, telling),
            submits(ACCEPTED), reads(repeated(UnexpectedResponseError))),
    *faults("headers", each(LARGE_HEADS_THAT_ARE_READ, telling), submits(ACCEPTED), reads(READ)),
    *faults("headers", each(ODD_BUT_WHOLE, telling), submits(ACCEPTED), reads(READ)),
    *faults("headers", {
        name: telling(lambda job, headers=headers: answer(job, **headers)) for name, headers in ODD_LIMITS.items()
    }, submits(ACCEPTED), reads(READ)),
    *faults("headers", {
        f"503, and Retry-After is {name}": hostile(answer(b"", 503, Retry_After=word), accepts=False, once=True)
        for name, word in VALID_RETRY_AFTER.items()
    }, submits(later(ACCEPTED)), reads(later(READ))),
    *faults("headers", {
        f"503, and Retry-After is {name}": hostile(answer(b"", 503, Retry_After=word))
        for name, word in INVALID_RETRY_AFTER.items()
    }, submits(unknown(ServerError)), reads(repeated(ServerError))),
    *faults("headers", {
        f"429, and Retry-After is {name}": hostile(answer(b"", 429, Retry_After=word), accepts=False, once=True)
        for name, word in {**VALID_RETRY_AFTER, **INVALID_RETRY_AFTER}.items()
    }, submits(later(ACCEPTED), times=SOME), reads(later(READ), times=SOME)),
    *faults("headers", {
        f"429, and a pause of {name}": hostile(answer(b"", 429, **headers), accepts=False)
        for name, headers in LONG_PAUSES.items()
    }, made(calls.submit_alone, Outcome("RateLimitError", retryable=True), times=SOME)),

    # The size
    *faults("sizes", each(LARGE_HEADS) | each(ENDLESS),
            submits(unknown(UnexpectedResponseError), times=SOME), reads(repeated(UnexpectedResponseError), times=FEW)),
    *faults("sizes", {"300 MB after the id": telling(an_id_and_too_much)}, submits(ACCEPTED, times=SOME)),

    # The time
    *faults("time", each(LATE, timeouts=SHORT),
            submits(unknown(ApiTimeoutError), times=SOME), reads(repeated(ApiTimeoutError), times=SOME)),
    *faults("time", each(LATE_AND_BUSY, timeouts=Timeouts(total=0.5)),
            submits(unknown(ApiTimeoutError), times=FEW), reads(repeated(ApiTimeoutError), times=FEW)),
    *faults("time", {
        "silence within an answer": hostile(answer(b"{", Content_Length="9"), timeouts=Timeouts(read=1.0)),
        "silence from the beginning": hostile(silence, timeouts=Timeouts(read=1.0)),
    }, submits(unknown(ApiTimeoutError), times=SOME), reads(repeated(ApiTimeoutError), times=SOME)),
    *faults("time", {"an id, and no end": telling(an_id_and_no_end, timeouts=SHORT)}, submits(ACCEPTED, times=SOME)),
    *faults("time", {"a job that takes too long": calm(job_seconds=1e6)},
            made(calls.voiceprint_in_no_time, by_chance(final(JobTimeoutError)), by_chance(repeated(ApiTimeoutError)))),

    # This machine's disk
    *faults("disk", {"no such file": calm()}, made(calls.enroll_nothing, final(MediaError, tries=0))),
    *faults("disk", {"a folder": calm()}, made(calls.enroll_a_folder, final(MediaError, tries=0))),
    *faults("disk", {"an empty file": calm()}, made(calls.enroll_an_empty_file, final(MediaError, tries=0))),
    *faults("disk", {"a bad sector": calm()}, made(calls.enroll_a_bad_sector, final(MediaError))),
    *faults("disk", {"a file that shrinks": calm()}, made(calls.enroll_a_file_that_shrinks, final(MediaError))),
    *faults("disk", {"a file that grows": calm()}, made(calls.enroll_a_file_that_grows, final(MediaError))),
    in_a_run("disk", "full, under the ledger", full_disk(), "LedgerError"),

    # Callers that are cancelled
    *faults("cancel", {"before the first byte": calm()},
            made(calls.cancel_before_the_first_byte, by_chance(CANCELLED))),
    *faults("cancel", {"in the queue": calm(latency=5.0, max_concurrency=1)},
            made(calls.cancel_before_the_first_byte, by_chance(CANCELLED))),
    *faults("cancel", {"in flight": telling(slow)}, made(calls.cancel_in_flight, CANCELLED, times=200)),
    *faults("cancel", {"in flight, twice": telling(slow)}, made(calls.cancel_twice, CANCELLED, times=200)),
    *faults("cancel", {"by a timeout of the caller's": telling(slow)},
            made(calls.run_out_of_time, Outcome("TimeoutError"), times=200)),
    *faults("cancel", {"at any moment": telling(answer)},
            made(calls.cancel_at_any_moment, by_chance(CANCELLED), by_chance(ACCEPTED), times=400)),
    *faults("cancel", {"while reading": hostile(silence)}, made(calls.cancel_reading, CANCELLED, times=100)),
    *faults("cancel", {"while waiting for the job": calm(job_seconds=1e6)},
            made(calls.cancel_the_wait, by_chance(CANCELLED))),
    *faults("cancel", {"the client is closed, in flight": telling(slow)}, made(calls.close_in_flight, ACCEPTED)),
    *faults("cancel", {"the client is closed, while waiting": calm(job_seconds=1e6)},
            made(calls.close_in_the_wait, by_chance(final(ClientClosedError)))),

    # The program dies
    *(in_a_run("kill", point, killed(point), f"killed at {point}") for point in (
        "intent-written-no-byte-sent", "answered-id-unwritten", "id-written", "voiceprint-unwritten", "answer",
    )),

    # All faults of the sandbox at once
    *faults("storm", {
        "everything that the sandbox can do": in_sandbox(
            "drop-before-read", "drop-after-accept", "accept-late", "server-error", "bad-gateway", "unavailable",
            "rate-limited", "truncated-json", share=0.4, settings={"latency": (0.0, 5.0)},
        ),
    }, made(calls.voiceprint, ENROLLED, IDENTIFIED, *map(by_chance, (
        unknown(ApiConnectionError), unknown(ServerError), unknown(UnexpectedResponseError), repeated(ServerError),
    )), times=400)),
)  # fmt: skip
