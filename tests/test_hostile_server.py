"""The client against servers, proxies and sessions that mean no good."""

import asyncio
import gzip
import json
import logging
import random
import ssl
import tracemalloc
import zlib

import aiohttp
import pytest
import trustme
from hostile_server import (
    CLOSE,
    JOB,
    HostileServer,
    answer,
    drip,
    endless,
    found_in,
    hang_up,
    hang_up_early,
    nothing_left_behind,
    reset,
    reset_early,
    shown_of,
    silence,
    then_close,
    unused_port,
)

from pyannote_voiceprint_async import (
    ApiConnectionError,
    ApiStatusError,
    ApiTimeoutError,
    AsyncVoiceprintClient,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    JobCreated,
    JobStatus,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SubscriptionRequiredError,
    Timeouts,
    UnexpectedResponseError,
    VoiceprintError,
)

KEY = "sk-THIS-IS-THE-KEY"
SIGNATURE = "X-Amz-Signature=THIS-IS-A-SECRET"
AUDIO = f"https://example.com/voice.wav?{SIGNATURE}"
TWICE = RetryPolicy(max_tries=2, base=0.001, max_retry_after=5.0)
OK = b"HTTP/1.1 200 OK\r\n"
MIB = 2**20

CALLS = {"read": lambda client: client.get_job("job-1"), "submit": lambda client: client.submit(AUDIO)}


@pytest.fixture(autouse=True)
async def _leaves_nothing_behind():
    async with nothing_left_behind():
        yield


def assert_tells_nothing(error: BaseException) -> None:
    assert found_in(shown_of(error), KEY, "THIS-IS-A-SECRET") == []


def open_client(url: str, **options) -> AsyncVoiceprintClient:
    return AsyncVoiceprintClient(KEY, **{"base_url": url, "retry": TWICE, **options})


async def fails(client: AsyncVoiceprintClient, how: str) -> VoiceprintError:
    """The error that the call ends with, which tells nothing and leaves nothing in flight."""
    with pytest.raises(VoiceprintError) as caught:
        await CALLS[how](client)
    assert client.stats.in_flight == 0
    assert_tells_nothing(caught.value)
    return caught.value


def verdict(error: VoiceprintError) -> tuple[type[VoiceprintError], bool, bool]:
    return type(error), error.retryable, error.outcome_unknown


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    yield
    assert found_in(caplog.text, KEY, "THIS-IS-A-SECRET") == []


def bomb(mebibytes: int) -> tuple[bytes, bytes]:
    """The beginning of a gzip stream, and a piece of it that unpacks to so much and may be repeated without end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packer.compress(b"")
    start = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start, packer.compress(bytes(mebibytes * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)


# Garbage in whole HTTP messages: whether a job was accepted cannot be known.
GARBAGE = {
    "empty": answer(b""),
    "no content": answer(b"", "204 No Content", Content_Length=""),
    "spaces": answer(b" \r\n\t "),
    "half a job": answer(JOB[:9]),
    "not UTF-8": answer(b'{"jobId":"\xff","status":"created"}'),
    "UTF-16": answer(JOB.decode().encode("utf-16")),
    "NaN": answer(b"NaN"),
    "NaN inside": answer(b'{"jobId":NaN,"status":"created"}'),
    "an array": answer(b"[1, 2]"),
    "a string": answer(b'"job-1"'),
    "null": answer(b"null"),
    "an object of nothing": answer(b"{}"),
    "a job without an id": answer(b'{"jobId":null,"status":"created"}'),
    "a job with an empty id": answer(b'{"jobId":"","status":"created"}'),
    "a job with a number": answer(b'{"jobId":17,"status":"created"}'),
    "a deep well": answer(b"[" * 100_000),
    "HTML": answer(b"<html>It works!</html>", Content_Type="text/html"),
    "unknown compression": answer(b"\x00\x01\x02", Content_Encoding="sdch"),
    "status 999": answer(b"{}", "999 What"),
    "status 600": answer(b"{}", "600 What"),
    "status 99": answer(b"{}", "099 What"),
    "status 0": answer(b"{}", "000 What"),
}  # fmt: skip

# HTTP that is broken, or ends in the middle.
BROKEN = {
    "a body that breaks off": then_close(answer(b'{"job', Content_Length="36")),
    "gzip that is none": answer(b"this is not gzip", Content_Encoding="gzip"),
    "deflate that is none": answer(b"this is not deflate", Content_Encoding="deflate"),
    "half a gzip": then_close(answer(gzip.compress(JOB)[:12], Content_Encoding="gzip", **CLOSE)),
    "a chunk of no size": answer(b"ZZZ\r\n{}\r\n", Content_Length="", Transfer_Encoding="chunked"),
    "a chunk without end": answer(b"5\r\nhelloXX\r\n", Content_Length="", Transfer_Encoding="chunked"),
    "chunks that break off": then_close(answer(b"5\r\nhello\r\n", Content_Length="", Transfer_Encoding="chunked")),
    "two lengths": answer(JOB, X="1\r\nContent-Length: 1"),
    "a length and chunks": answer(JOB, Transfer_Encoding="chunked"),
    "a negative length": answer(JOB, Content_Length="-1"),
    "a length that is no number": answer(JOB, Content_Length="many"),
    "a header of 1 MB": answer(JOB, X="a" * 1_000_000),
    "100,000 headers": OK + b"".join(b"X-%d: 1\r\n" % i for i in range(100_000)) + b"\r\n",
    "a header without colon": OK + b"garbage\r\n\r\n",
    "a header with NUL": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of four digits": answer(JOB, "1000 What"),
    "a negative status": answer(JOB, "-1 What"),
    "a status line of 1 MB": answer(JOB, "200 " + "K" * 1_000_000),
    "another protocol": then_close(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "a body without head": then_close(JOB),
    "bytes of any kind": then_close(random.Random(1).randbytes(1000)),
}  # fmt: skip

# Too much.
ENDLESS = {
    "300 MB": endless(answer(b"", Content_Length=str(300 * MIB)), bytes(64 * 1024), 300 * 16),
    "300 MB in chunks": endless(
        answer(b"", Content_Length="", Transfer_Encoding="chunked"), b"10000\r\n" + bytes(65536) + b"\r\n", 300 * 16
    ),
    "a body without end": endless(answer(b"", Content_Length=""), bytes(64 * 1024), 10**9),
    "a gzip bomb of 1 GB": endless(answer(bomb(1)[0], Content_Encoding="gzip", Content_Length=""), bomb(1)[1], 1024),
    "a gzip bomb in one piece": answer(bomb(1)[0] + bomb(64)[1] * 16, Content_Encoding="gzip"),
    "a deflate bomb": answer(zlib.compress(bytes(64 * MIB), 9), Content_Encoding="deflate"),
}  # fmt: skip


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize(
    "play", [*GARBAGE.values(), *BROKEN.values(), *ENDLESS.values()], ids=[*GARBAGE, *BROKEN, *ENDLESS]
)
async def test_an_answer_that_cannot_be_understood(how, play):
    """Reading is repeated; a submission is not, because it may have been accepted."""
    async with HostileServer(play) as server, open_client(server.url) as client:
        error = await fails(client, how)
    assert (verdict(error), len(server.asked)) == {
        "read": ((UnexpectedResponseError, True, False), 2),
        "submit": ((UnexpectedResponseError, False, True), 1),
    }[how]
    assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("play", [*BROKEN.values(), *ENDLESS.values()], ids=[*BROKEN, *ENDLESS])
async def test_a_connection_with_a_broken_answer_is_not_used_again(play):
    async with HostileServer(play, answer()) as server, open_client(server.url) as client:
        await fails(client, "submit")
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.connection for asked in server.asked] == [1, 2]


@pytest.mark.parametrize("name", ["empty", "half a job", "not UTF-8", "NaN", "an array", "status 999"])
async def test_a_connection_with_a_garbage_answer_is_not_used_again(name):
    """Who answers garbage may be out of step: the next answer on this connection could be anybody's."""
    async with HostileServer(GARBAGE[name], answer()) as server, open_client(server.url) as client:
        await fails(client, "submit")
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.connection for asked in server.asked] == [1, 2]


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("play", ENDLESS.values(), ids=ENDLESS)
async def test_memory_is_bounded_whatever_comes(how, play):
    """The bound of an answer is 1 MiB, compressed or not; the server's share is in the sum too."""
    async with HostileServer(play) as server, open_client(server.url, retry=RetryPolicy(max_tries=1)) as client:
        tracemalloc.start()
        try:
            await fails(client, how)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 * MIB


LATE = {
    "one byte after the other": drip(answer(b"", Content_Length="1000")),
    "a head byte by byte": drip(OK + b"X: "),
    "a status line byte by byte": drip(b"HTTP/1.1 200 O"),
    "silence": silence,
    "a head, then silence": answer(JOB[:5], Content_Length="1000"),
    "gzip, then silence": answer(gzip.compress(JOB)[:8], Content_Encoding="gzip", Content_Length="1000"),
    "100 Continue for ever": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 10**9),
    "early hints for ever": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 10**9),
}  # fmt: skip


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("play", LATE.values(), ids=LATE)
async def test_an_answer_that_does_not_end_in_time(how, play):
    """`Timeouts.total` bounds it, however busy the server makes itself look."""
    async with HostileServer(play) as server, open_client(server.url, timeouts=Timeouts(total=0.3)) as client:
        error = await fails(client, how)
    expected = {"read": ((ApiTimeoutError, True, False), 2), "submit": ((ApiTimeoutError, False, True), 1)}
    assert (verdict(error), len(server.asked), server.connections) == (*expected[how], len(server.asked))


async def test_a_silence_within_an_answer_is_bounded_too():
    """`Timeouts.read` is the longest silence between two pieces."""
    timeouts = Timeouts(read=0.2, total=3600.0)
    async with (
        HostileServer(answer(JOB[:5], Content_Length="9")) as server,
        open_client(server.url, timeouts=timeouts) as client,
    ):
        assert verdict(await fails(client, "submit")) == (ApiTimeoutError, False, True)
    async with HostileServer(silence) as server, open_client(server.url, timeouts=timeouts) as client:
        assert verdict(await fails(client, "submit")) == (ApiTimeoutError, False, True)


GONE = {
    "closed when it was read": hang_up,
    "closed when its head was read": hang_up_early,
    "reset when it was read": reset,
    "reset when its head was read": reset_early,
    "closed within the head": then_close(OK + b"Content-Le"),
    "closed after 100 Continue": then_close(b"HTTP/1.1 100 Continue\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("play", GONE.values(), ids=GONE)
async def test_a_submission_whose_connection_goes_is_sent_once(play):
    async with HostileServer(play) as server, open_client(server.url) as client:
        error = await fails(client, "submit")
    assert (verdict(error), len(server.asked)) == ((ApiConnectionError, False, True), 1)


@pytest.mark.parametrize("play", GONE.values(), ids=GONE)
async def test_a_caller_may_say_that_a_submission_is_to_be_repeated(play):
    policy = RetryPolicy(max_tries=3, base=0.001, replay_unknown=True)
    async with HostileServer(play, play, answer()) as server, open_client(server.url, retry=policy) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert len(server.asked) == 3


@pytest.mark.parametrize("play", GONE.values(), ids=GONE)
async def test_reading_is_repeated_when_the_connection_goes(play):
    async with HostileServer(play, answer()) as server, open_client(server.url) as client:
        assert (await client.get_job("job-1")).job_id == "job-1"
    assert len(server.asked) == 2


@pytest.mark.parametrize("tries", [1, 3])
@pytest.mark.parametrize("play", [hang_up, reset, then_close(OK)])
async def test_reading_is_asked_no_more_often_than_allowed(play, tries):
    """`max_tries` is how often a request is sent at most, and each one is counted (and has its own place)."""
    policy = RetryPolicy(max_tries=tries, base=0.001)
    async with HostileServer(play) as server, open_client(server.url, retry=policy) as client:
        assert verdict(await fails(client, "read")) == (ApiConnectionError, True, False)
        assert (len(server.asked), client.stats.requests) == (tries, tries)


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where", ["{}/steal", "//127.0.0.1:{port}/", "/v1/elsewhere", "", "http://[", "file:///etc/passwd"]
)
async def test_a_redirect_is_not_followed(how, status, where):
    """POST would become GET, and the key would travel."""
    async with HostileServer(answer()) as thief, HostileServer(b"") as server:
        location = where.format(thief.url, port=thief.port)
        server.plays = [answer(b"", status, Location=location)]
        async with open_client(server.url) as client:
            error = await fails(client, how)
    assert verdict(error) == (UnexpectedResponseError, False, False)
    assert (error.status, len(server.asked), thief.connections) == (status, 1, 0)


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, SubscriptionRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, ApiStatusError),
        (413, ApiStatusError),
        (418, ApiStatusError),
        (422, InvalidRequestError),
        (426, ApiStatusError),
        (499, ApiStatusError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"NaN", b'{"message":17,"errors":{"a":1}}', b'{"errors":[null,{"field":3}]}'])
async def test_a_refusal_is_final_whatever_its_body_says(how, status, kind, body):
    async with HostileServer(answer(body, f"{status} No")) as server, open_client(server.url) as client:
        error = await fails(client, how)
    assert (verdict(error), error.status, error.message, len(server.asked)) == ((kind, False, False), status, None, 1)


@pytest.mark.parametrize(
    "play",
    [
        then_close(answer(b'{"mess', "401 No", Content_Length="100")),
        answer(b"not gzip", "401 No", Content_Encoding="gzip"),
        endless(answer(b"", "401 No", Content_Length=str(300 * MIB)), bytes(64 * 1024), 300 * 16),
    ],
    ids=["breaks off", "no gzip", "300 MB"],
)
async def test_a_refusal_counts_though_its_body_is_broken(play):
    """What the status says is enough: nothing was accepted."""
    async with HostileServer(play) as server, open_client(server.url) as client:
        assert verdict(await fails(client, "submit")) == (AuthenticationError, False, False)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 520, 599])
async def test_a_server_that_fails_may_have_accepted(status):
    kind = ApiStatusError if status == 408 else ServerError
    async with HostileServer(answer(b"<html>", f"{status} No")) as server, open_client(server.url) as client:
        assert verdict(await fails(client, "submit")) == (kind, False, True)
        assert len(server.asked) == 1
        assert verdict(await fails(client, "read")) == (kind, True, False)
        assert len(server.asked) == 3


@pytest.mark.parametrize("when", ["0.01", "Thu, 01 Jan 1970 00:00:00 GMT", "0"])
async def test_a_busy_server_that_says_when_is_believed(when):
    async with HostileServer(answer(b"", 503, Retry_After=when), answer()) as server, open_client(server.url) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert len(server.asked) == 2


@pytest.mark.parametrize("when", ["1e400", "nan", "inf", "-1", "soon", "9" * 400, "1,1", "Thu, 99 Foo 9999", "\xff"])
async def test_a_busy_server_that_talks_nonsense_is_not_believed(when):
    """Nothing that cannot be read is a promise that the submission was not accepted."""
    async with HostileServer(answer(b"", 503, Retry_After=when)) as server, open_client(server.url) as client:
        assert verdict(await fails(client, "submit")) == (ServerError, False, True)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "headers",
    [{"Retry_After": "999999999"}, {"Retry_After": "Fri, 31 Dec 9999 23:59:59 GMT"}, {"X_RateLimit_Reset": "300"}],
)
async def test_a_pause_that_is_too_long_is_an_error_at_once(headers):
    async with HostileServer(answer(b"", 429, **headers)) as server, open_client(server.url) as client:
        assert verdict(await fails(client, "submit")) == (RateLimitError, True, False)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X_RateLimit_Limit": "0", "X_RateLimit_Remaining": "0"},
        {"X_RateLimit_Limit": "-5", "X_RateLimit_Remaining": "-5"},
        {"X_RateLimit_Limit": "nan", "X_RateLimit_Remaining": "1e999"},
        {"X_RateLimit_Limit": "9" * 100, "X_RateLimit_Remaining": "9" * 100},
        {"X_RateLimit_Limit": "999999999", "X_RateLimit_Remaining": "999999999"},
        {"X_RateLimit_Limit": "100", "X_RateLimit_Remaining": "999999999"},
    ],
)
async def test_headers_of_the_rate_limit_that_cannot_be_are_survived(headers):
    async with HostileServer(answer(**headers)) as server, open_client(server.url) as client:
        for _ in range(3):
            assert await client.submit(AUDIO) == JobCreated("job-1")
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "play",
    [
        then_close(answer(JOB[:-1], Content_Length="1000")),
        then_close(answer(b'{"jobId":"job-1"', Content_Length="1000")),
        answer(JOB + b"garbage"),
        answer(b'{"jobId":"job-1","status":' + b"[" * 10_000),
        answer(b'{"jobId":"job-1","x":"\xff"}'),
        answer(b'{"jobId":"job-1","status":7,"warning":{}}'),
        answer(b'{"jobId":"job-1","status":null}', "299 Odd"),
        answer(JOB, Content_Type="text/html; charset=nonsense", Link="<<<", Content_Disposition=";;="),
        answer(JOB, "201 " + "\xd6" * 100, X="\xfc"),
        then_close(b"HTTP/1.0 200 OK\r\n\r\n" + JOB),
        then_close(answer(JOB, Content_Length="")),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + answer(),
        answer(gzip.compress(JOB), Content_Encoding="gzip"),
        endless(answer(JOB, Content_Length=str(300 * MIB)), bytes(64 * 1024), 300 * 16),
    ],
    ids=[
        "breaks off", "breaks off after the id", "something after it", "a deep well", "not UTF-8", "wrong types",
        "an odd 2xx", "odd headers", "not ASCII", "HTTP/1.0", "until it closes", "100 and 102 first", "gzip", "300 MB",
    ],
)  # fmt: skip
async def test_a_submission_with_a_job_id_is_a_success(play):
    """It is paid for: whatever else is wrong with the answer, the id must not be lost."""
    async with HostileServer(play) as server, open_client(server.url) as client:
        job = await client.submit(AUDIO)
    assert (job.job_id, job.status, len(server.asked)) == ("job-1", JobStatus.CREATED, 1)


async def test_an_id_is_not_lost_to_a_server_that_does_not_end():
    play, timeouts = answer(JOB[:-1], Content_Length="1000"), Timeouts(total=0.3)
    async with HostileServer(play) as server, open_client(server.url, timeouts=timeouts) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert len(server.asked) == 1


# Connections


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}",
        "https://127.0.0.1:{port}",
        "http://voiceprints.invalid",
        "https://voiceprints.invalid",
    ],
)
async def test_a_server_that_is_not_there_was_sent_nothing(how, url):
    async with open_client(url.format(port=unused_port())) as client:
        assert verdict(await fails(client, how)) == (ApiConnectionError, True, False)
        assert (client.stats.requests, client.stats.retries) == (2, 1)


def tls(url: str) -> str:
    return url.replace("http://", "https://")


@pytest.fixture
def certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("how", CALLS)
async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(how, certificate):
    async with HostileServer(answer(), tls=certificate) as server, open_client(server.url) as client:
        error = await fails(client, how)
    assert verdict(error) == (ApiConnectionError, True, False)
    assert "certificate" in str(error)
    assert server.asked == []


@pytest.mark.parametrize("how", CALLS)
async def test_a_server_that_speaks_no_tls_was_sent_nothing(how):
    async with HostileServer(answer(), greeting=answer(b"", 400)) as server, open_client(tls(server.url)) as client:
        assert verdict(await fails(client, how)) == (ApiConnectionError, True, False)
    assert server.asked == []


@pytest.mark.parametrize("how", CALLS)
async def test_a_server_that_never_agrees_on_tls_was_sent_nothing(how):
    """It is the same exception as that of a late answer, but the key and the submission never left."""
    timeouts = Timeouts(connect=0.2)
    async with HostileServer(answer()) as server, open_client(tls(server.url), timeouts=timeouts) as client:
        assert verdict(await fails(client, how)) == (ApiTimeoutError, True, False)
    assert server.asked == []


async def test_plain_http_to_a_tls_server_is_sent_once(certificate):
    server = HostileServer(answer(), tls=certificate)
    async with server, open_client(f"http://127.0.0.1:{server.port}") as client:
        assert verdict(await fails(client, "submit")) == (ApiConnectionError, False, True)
        assert client.stats.requests == 1
    assert server.asked == []


async def answer_and_leave(wire):
    """Say keep-alive, and close all the same."""
    await wire.body()
    await wire.send(answer())
    wire.close()


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.02])
async def test_a_connection_that_died_in_the_pool_never_doubles_a_submission(pause):
    """Each call reaches the server once at most; what was accepted is known, or said to be unknown."""
    outcomes = []
    async with HostileServer(answer_and_leave) as server, open_client(server.url) as client:
        for _ in range(20):
            try:
                outcomes.append((await client.submit(AUDIO)).job_id)
            except ApiConnectionError as error:
                outcomes.append("unknown" if error.outcome_unknown else "never sent")
            await asyncio.sleep(pause)
        assert client.stats.in_flight == 0
    assert outcomes.count("job-1") == len(server.asked) <= 20
    assert "never sent" not in outcomes


async def test_a_connection_that_dies_after_the_question_is_not_asked_again():
    """The second submission goes out on the connection of the first, which is closed without an answer."""
    async with HostileServer(answer(), hang_up) as server, open_client(server.url) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
        assert verdict(await fails(client, "submit")) == (ApiConnectionError, False, True)
    assert [asked.connection for asked in server.asked] == [1, 1]


async def test_a_connection_that_died_in_the_pool_does_not_hinder_reading():
    async with HostileServer(answer_and_leave) as server, open_client(server.url) as client:
        for _ in range(20):
            assert (await client.get_job("job-1")).job_id == "job-1"
    assert len(server.asked) == 20


async def ask_after(unasked: bytes, *, closing: bool) -> tuple[list[str], int]:
    """Submit, let the server say something unasked on the idle connection, and submit again."""

    async def answer_twice(wire):
        await wire.body()
        await wire.send(answer())
        await pause.wait()
        await wire.send(unasked)
        if closing:
            wire.close()

    pause = asyncio.Event()
    second = answer(b'{"jobId":"job-2","status":"created"}')
    async with HostileServer(answer_twice, second) as server, open_client(server.url) as client:
        first = await client.submit(AUDIO)
        pause.set()
        await asyncio.sleep(0.05)
        return [first.job_id, (await client.submit(AUDIO)).job_id], len(server.asked)


async def test_a_farewell_to_an_idle_connection_is_not_the_answer_to_the_next_question():
    """Servers say 408 to connections that are idle, and close them."""
    farewell = answer(b"", "408 Request Timeout", **CLOSE)
    assert await ask_after(farewell, closing=True) == (["job-1", "job-2"], 2)


async def test_an_answer_that_nobody_asked_for_is_not_the_answer_to_the_next_question():
    """The id of another job would be the voice of another person."""
    unasked = answer(b'{"jobId":"of-somebody-else","status":"created"}')
    assert await ask_after(unasked, closing=False) == (["job-1", "job-2"], 2)


async def test_two_answers_at_once_are_one_answer_and_a_connection_that_is_not_used_again():
    twice = answer() + answer(b'{"jobId":"of-somebody-else","status":"created"}')
    second = answer(b'{"jobId":"job-2","status":"created"}')
    async with HostileServer(twice, second) as server, open_client(server.url) as client:
        assert [(await client.submit(AUDIO)).job_id for _ in range(2)] == ["job-1", "job-2"]
    assert [asked.connection for asked in server.asked] == [1, 2]


async def test_an_answer_about_another_job_is_not_the_answer():
    """A voiceprint must never be taken for that of another person."""
    async with (
        HostileServer(answer(b'{"jobId":"job-2","status":"created"}')) as server,
        open_client(server.url) as client,
    ):
        assert verdict(await fails(client, "read")) == (UnexpectedResponseError, True, False)


async def answer_before_reading(wire):
    """Refuse at the head, as gateways do, and read the body afterwards."""
    await wire.send(answer(b"", "403 No"))
    await wire.body()


@pytest.mark.parametrize("play", [answer_before_reading, answer(b"", "403 No", **CLOSE)])
async def test_an_answer_may_come_before_the_body_was_read(play):
    async with HostileServer(play) as server, open_client(server.url) as client:
        assert verdict(await fails(client, "submit")) == (PermissionDeniedError, False, False)
    assert len(server.asked) == 1


# What a server says, and what may be shown of it


@pytest.mark.parametrize(
    "said",
    [
        f"Invalid key: {KEY}",
        f"Authorization: Bearer {KEY}",
        f"Could not load {AUDIO}",
        f"Could not load '{AUDIO}' ({AUDIO})",
        f"Could not load https://user:THIS-IS-A-SECRET@example.com/voice.wav#{SIGNATURE}",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 500])
async def test_a_server_that_repeats_secrets_does_not_put_them_into_errors(said, status):
    wrong = [{"field": "url", "message": said}]
    refusal = json.dumps({"message": said, "requestId": "request-1", "errors": wrong}).encode()
    async with HostileServer(answer(refusal, status)) as server, open_client(server.url) as client:
        error = await fails(client, "submit")
    assert error.request_id == "request-1"
    assert error.message is not None


async def test_a_server_that_repeats_secrets_as_a_field_does_not_put_them_into_errors():
    wrong = [{"field": f"Bearer {KEY}", "message": "is not accepted"}]
    refusal = json.dumps({"message": "No", "errors": wrong}).encode()
    async with HostileServer(answer(refusal, 400)) as server, open_client(server.url) as client:
        await fails(client, "submit")


async def test_a_job_that_failed_does_not_put_its_signed_url_into_the_error():
    """`output.error` is a text of the server's like any other."""
    failed = {"jobId": "job-1", "status": "failed", "output": {"error": f"Could not load audio from {AUDIO}"}}
    async with HostileServer(answer(json.dumps(failed).encode())) as server, open_client(server.url) as client:
        assert "THIS-IS-A-SECRET" not in repr(await client.get_job("job-1"))
        with pytest.raises(VoiceprintError) as caught:
            await client.wait("job-1")
    assert_tells_nothing(caught.value)


# Proxies


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("status", [200, 302, 403, 407, 502])
async def test_a_proxy_that_does_not_let_through_was_sent_no_key(how, status):
    """With https the proxy sees a CONNECT only; one that says yes and speaks no TLS afterwards is no better."""
    proxy = HostileServer(then_close(answer(b"", f"{status} Proxy", Content_Length="")))
    async with proxy, open_client("https://api.example.invalid", proxy=proxy.url) as client:
        assert verdict(await fails(client, how)) == (ApiConnectionError, True, False)
        assert client.stats.requests == 2
    assert [asked.method for asked in proxy.asked] == ["CONNECT"] * 2
    assert [asked for asked in proxy.asked if KEY.encode() in asked.head or "Authorization" in asked.headers] == []


@pytest.mark.parametrize("how", CALLS)
async def test_a_proxy_that_is_not_there(how):
    async with open_client(
        "https://api.example.invalid", proxy=f"http://user:{KEY}@127.0.0.1:{unused_port()}"
    ) as client:
        assert verdict(await fails(client, how)) == (ApiConnectionError, True, False)


@pytest.mark.parametrize("proxy", ["127.0.0.1:3128", "no proxy", "http://[", "http://", "socks5://127.0.0.1:9", 5])
async def test_a_proxy_that_can_be_none_is_a_mistake_of_the_program(proxy):
    with pytest.raises(ConfigurationError):
        async with open_client("https://api.example.invalid", proxy=proxy) as client:
            await client.submit(AUDIO)


async def test_a_proxy_that_is_given_is_used():
    async with HostileServer(answer()) as proxy, open_client("http://api.example.invalid/x", proxy=proxy.url) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.target for asked in proxy.asked] == ["http://api.example.invalid/x/v1/voiceprint"]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
async def test_the_proxy_of_the_environment_is_used(monkeypatch, name):
    async with HostileServer(answer()) as proxy:
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with open_client("http://api.example.invalid") as client:
            assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.target for asked in proxy.asked] == ["http://api.example.invalid/v1/voiceprint"]


async def test_the_https_proxy_of_the_environment_is_asked_to_connect(monkeypatch):
    async with HostileServer(then_close(answer(b"", 403))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with open_client("https://api.example.invalid") as client:
            assert verdict(await fails(client, "submit")) == (ApiConnectionError, True, False)
    assert {(asked.method, asked.target) for asked in proxy.asked} == {("CONNECT", "api.example.invalid:443")}


@pytest.mark.parametrize("hosts", ["127.0.0.1", "*", "localhost,127.0.0.1"])
async def test_hosts_without_proxy_are_asked_directly(monkeypatch, hosts):
    async with HostileServer(answer()) as proxy, HostileServer(answer()) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", hosts)
        async with open_client(server.url) as client:
            assert await client.submit(AUDIO) == JobCreated("job-1")
    assert (len(server.asked), proxy.connections) == (1, 0)


@pytest.fixture
def netrc(tmp_path, monkeypatch) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login THIEF password THIEF\ndefault login THIEF password THIEF\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


async def test_netrc_is_never_read(netrc):
    async with HostileServer(answer()) as server, open_client(server.url) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.headers.getall("Authorization") for asked in server.asked] == [[f"Bearer {KEY}"]]


# Sessions of others


@pytest.fixture
async def foreign(start):
    """Open a session that is not the client's."""

    async def open_session(**options) -> aiohttp.ClientSession:
        return await start(aiohttp.ClientSession(**options))

    return open_session


async def explode(response):
    raise RuntimeError("not this")


@pytest.mark.parametrize("raising", [True, explode], ids=["true", "function"])
async def test_a_session_that_raises_for_a_status_does_not_here(foreign, raising):
    session = await foreign(raise_for_status=raising)
    async with HostileServer(answer(b"", 500)) as server, open_client(server.url, session=session) as client:
        assert verdict(await fails(client, "submit")) == (ServerError, False, True)
    assert (len(server.asked), session.closed) == (1, False)


async def test_a_session_that_repeats_requests_does_not_double_a_submission(foreign):
    async def again(request, handler):
        await handler(request)
        return await handler(request)

    session = await foreign(middlewares=[again])
    async with HostileServer(answer()) as server, open_client(server.url, session=session) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert len(server.asked) == 1


async def test_a_session_keeps_its_cookies_and_its_settings(foreign):
    session = await foreign(cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"X-Team": "voices"})
    play = answer(**{"Set-Cookie": "crumb=1"})
    async with HostileServer(play) as server, open_client(server.url, session=session) as client:
        for _ in range(2):
            assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.headers.get("Cookie") for asked in server.asked] == [None, "crumb=1"]
    assert {asked.headers["X-Team"] for asked in server.asked} == {"voices"}
    assert (dict(session.headers), session.closed) == ({"X-Team": "voices"}, False)


async def test_our_own_session_keeps_no_cookies():
    play = answer(**{"Set-Cookie": "crumb=1"})
    async with HostileServer(play) as server, open_client(server.url) as client:
        for _ in range(2):
            await client.submit(AUDIO)
    assert [asked.headers.get("Cookie") for asked in server.asked] == [None, None]


@pytest.mark.parametrize(
    ("name", "theirs"), [("User-Agent", "theirs"), ("Accept", "text/html"), ("Content-Type", "text/plain")]
)
async def test_default_headers_of_a_session_do_not_change_what_the_api_must_see(foreign, name, theirs):
    session = await foreign(headers={name: theirs})
    async with HostileServer(answer()) as server, open_client(server.url, session=session) as client:
        await client.submit(AUDIO)
    assert theirs not in server.asked[0].headers.getall(name)


async def test_a_session_with_a_base_of_its_own_asks_ours(foreign):
    session = await foreign(base_url="http://elsewhere.invalid/x/")
    async with HostileServer(answer()) as server, open_client(server.url, session=session) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.target for asked in server.asked] == ["/v1/voiceprint"]


async def test_a_session_that_does_not_unpack_does_not_lose_a_paid_job(foreign):
    """It asks for gzip all the same."""
    session = await foreign(auto_decompress=False)
    play = answer(gzip.compress(JOB), Content_Encoding="gzip")
    async with HostileServer(play) as server, open_client(server.url, session=session) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")


async def test_a_session_that_trusts_the_environment_does_not_let_netrc_in(foreign, netrc):
    """aiohttp refuses two authorizations before anything is sent, and the sentence says where the second is."""
    session = await foreign(trust_env=True)
    async with HostileServer(answer()) as server, open_client(server.url, session=session) as client:
        error = await fails(client, "submit")
    assert (verdict(error), server.asked, ".netrc" in str(error)) == ((ConfigurationError, False, False), [], True)


async def test_a_session_with_a_timeout_of_its_own_gets_ours(foreign):
    session = await foreign(timeout=aiohttp.ClientTimeout(total=3600, sock_read=3600))
    timeouts = Timeouts(total=0.2)
    async with HostileServer(silence) as server, open_client(server.url, session=session, timeouts=timeouts) as client:
        assert verdict(await fails(client, "submit")) == (ApiTimeoutError, False, True)


@pytest.mark.parametrize("how", CALLS)
async def test_a_session_that_is_closed_is_a_mistake_of_the_program(foreign, how):
    session = await foreign()
    await session.close()
    async with open_client(f"http://127.0.0.1:{unused_port()}", session=session) as client:
        error = await fails(client, how)
    assert verdict(error) == (ConfigurationError, False, False)
    assert "session" in str(error)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_a_session_with_an_authorization_is_refused(foreign, name):
    session = await foreign(headers={name: "Bearer theirs"})
    with pytest.raises(ConfigurationError, match="Authorization"):
        open_client("http://127.0.0.1", session=session)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_session_with_auth_is_refused(foreign):
    session = await foreign(auth=aiohttp.BasicAuth("them", "secret"))
    with pytest.raises(ConfigurationError, match="Authorization"):
        open_client("http://127.0.0.1", session=session)


async def test_a_session_is_never_closed_by_the_client(foreign):
    session = await foreign()
    async with HostileServer(answer()) as server:
        async with open_client(server.url, session=session) as client:
            await client.submit(AUDIO)
        assert not session.closed
        async with session.get(server.url) as response:
            assert response.status == 200
    assert "Authorization" not in server.asked[1].headers


# Leaving


@pytest.mark.parametrize("play", [silence, drip(OK), endless(answer(b"", Content_Length=""), b"", 1)])
async def test_a_reader_that_is_cancelled_leaves_nothing(play):
    async with HostileServer(play) as server, open_client(server.url) as client:
        task = asyncio.create_task(client.get_job("job-1"))
        while not server.asked:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.stats.in_flight == 0


async def test_closing_ends_what_a_silent_server_holds():
    """A submission may have been accepted: closing waits for its answer, `Timeouts.total` at most."""
    async with HostileServer(silence) as server, open_client(server.url, timeouts=Timeouts(total=0.3)) as client:
        calls = [asyncio.create_task(CALLS[how](client)) for how in CALLS]
        while len(server.asked) < 2:
            await asyncio.sleep(0.001)
        await client.aclose()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(end, VoiceprintError) for end in ends] == [True, True]
        assert client.stats.in_flight == 0
        for end in ends:
            assert_tells_nothing(end)
