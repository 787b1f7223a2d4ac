"""The client against hostile servers, proxies and sessions, beyond the table of `tests/faults`."""

import asyncio
import gzip
import json
import logging
import socket
import ssl
import tracemalloc

import aiohttp
import pytest
import trustme
from aiohttp.abc import AbstractResolver
from faults.plays import (
    BROKEN,
    BROKEN_HEADERS,
    ENDLESS,
    GARBAGE,
    GONE,
    GONE_EARLY,
    LARGE_HEADS,
    MIB,
    ODD_LIMITS,
    OK,
    STRANGE,
)
from faults.scenes import KEY
from hostile_server import (
    CLOSE,
    JOB,
    HostileServer,
    answer,
    drip,
    endless,
    found_in,
    hang_up,
    nothing_left_behind,
    reset,
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
    NotFoundError,
    PermissionDeniedError,
    ProxyError,
    RetryPolicy,
    ServerError,
    SubscriptionRequiredError,
    Timeouts,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.api.endpoints import MAX_OUTPUT_BYTES

SIGNATURE = "X-Amz-Signature=THIS-IS-A-SECRET"
AUDIO = f"https://example.com/voice.wav?{SIGNATURE}"
TWICE = RetryPolicy(max_tries=2, base=0.001, max_retry_after=5.0)
UNREADABLE = {**STRANGE, **BROKEN, **BROKEN_HEADERS, **LARGE_HEADS, **ENDLESS}
CUT_OFF = {**GONE, **GONE_EARLY}

CALLS = {"read": lambda client: client.get_job("job-1"), "submit": lambda client: client.submit(AUDIO)}


@pytest.fixture(autouse=True)
async def _leaves_nothing_behind():
    async with nothing_left_behind():
        yield


def assert_shows_no_secret(error: BaseException) -> None:
    assert found_in(shown_of(error), KEY, "THIS-IS-A-SECRET") == []


def open_client(url: str, **options) -> AsyncVoiceprintClient:
    return AsyncVoiceprintClient(KEY, **{"base_url": url, "retry": TWICE, **options})


async def fails(client: AsyncVoiceprintClient, how: str) -> VoiceprintError:
    """Return the error of the call, and check that it shows no secret and leaves nothing in flight."""
    with pytest.raises(VoiceprintError) as caught:
        await CALLS[how](client)
    assert client.stats.in_flight == 0
    assert_shows_no_secret(caught.value)
    return caught.value


def error_flags(error: VoiceprintError) -> tuple[type[VoiceprintError], bool, bool]:
    return type(error), error.retryable, error.outcome_unknown


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    yield
    assert found_in(caplog.text, KEY, "THIS-IS-A-SECRET") == []


@pytest.mark.parametrize("play", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_connection_with_an_invalid_response_is_not_reused(play):
    async with HostileServer(play, answer()) as server, open_client(server.url) as client:
        await fails(client, "submit")
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.connection for asked in server.asked] == [1, 2]


@pytest.mark.parametrize("name", ["empty", "half a job", "not UTF-8", "NaN", "an array"])
async def test_a_connection_with_an_unusable_body_is_not_reused(name):
    """The server may be out of step: the next response on this connection could belong to another request."""
    async with HostileServer(GARBAGE[name], answer()) as server, open_client(server.url) as client:
        await fails(client, "submit")
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.connection for asked in server.asked] == [1, 2]


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("play", ENDLESS.values(), ids=ENDLESS)
async def test_memory_is_bounded_for_every_response(how, play):
    """A response may have 1 MiB after decompression, a job 116 MiB; the peak includes the memory of the server."""
    async with HostileServer(play) as server, open_client(server.url, retry=RetryPolicy(max_tries=1)) as client:
        tracemalloc.start()
        try:
            await fails(client, how)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < (1.5 * MAX_OUTPUT_BYTES if how == "read" else 8 * MIB)


@pytest.mark.parametrize("play", CUT_OFF.values(), ids=CUT_OFF)
async def test_replay_unknown_retries_a_submission(play):
    policy = RetryPolicy(max_tries=3, base=0.001, replay_unknown=True)
    async with HostileServer(play, play, answer()) as server, open_client(server.url, retry=policy) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert len(server.asked) == 3


@pytest.mark.parametrize("play", CUT_OFF.values(), ids=CUT_OFF)
async def test_a_read_is_retried_after_a_lost_connection(play):
    async with HostileServer(play, answer()) as server, open_client(server.url) as client:
        assert (await client.get_job("job-1")).job_id == "job-1"
    assert len(server.asked) == 2


@pytest.mark.parametrize("tries", [1, 3])
@pytest.mark.parametrize("play", [hang_up, reset, then_close(OK)])
async def test_a_read_is_sent_no_more_often_than_max_tries(play, tries):
    """Each try is counted and has its own permit: aiohttp sends no hidden second request."""
    policy = RetryPolicy(max_tries=tries, base=0.001)
    async with HostileServer(play) as server, open_client(server.url, retry=policy) as client:
        assert error_flags(await fails(client, "read")) == (ApiConnectionError, True, False)
        assert (len(server.asked), client.stats.requests) == (tries, tries)


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where", ["{}/steal", "//127.0.0.1:{port}/", "/v1/elsewhere", "", "http://[", "file:///etc/passwd"]
)
async def test_a_redirect_is_not_followed(how, status, where):
    """A followed redirect would turn POST into GET, and send the key to another host."""
    async with HostileServer(answer()) as thief, HostileServer(b"") as server:
        location = where.format(thief.url, port=thief.port)
        server.plays = [answer(b"", status, Location=location)]
        async with open_client(server.url) as client:
            error = await fails(client, how)
    assert error_flags(error) == (UnexpectedResponseError, False, False)
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
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", None),
        (b'{"message":NaN}', None),
        (b'{"message":17,"errors":{"a":1}}', "a: 1"),
        (b'{"errors":[null,{"field":3}]}', "3"),
    ],
)
async def test_a_refusal_is_final_for_every_body(how, status, kind, body, message):
    async with HostileServer(answer(body, f"{status} No")) as server, open_client(server.url) as client:
        error = await fails(client, how)
    assert (error_flags(error), error.status, error.message, len(server.asked)) == (
        (kind, False, False),
        status,
        message,
        1,
    )


@pytest.mark.parametrize(
    "play",
    [
        then_close(answer(b'{"mess', "401 No", Content_Length="100")),
        answer(b"not gzip", "401 No", Content_Encoding="gzip"),
        endless(answer(b"", "401 No", Content_Length=str(300 * MIB)), bytes(64 * 1024), 300 * 16),
    ],
    ids=["breaks off", "no gzip", "300 MB"],
)
async def test_a_refusal_with_an_invalid_body_is_still_a_refusal(play):
    """The status alone shows that nothing was accepted."""
    async with HostileServer(play) as server, open_client(server.url) as client:
        assert error_flags(await fails(client, "submit")) == (AuthenticationError, False, False)
    assert len(server.asked) == 1


@pytest.mark.parametrize("headers", ODD_LIMITS.values(), ids=ODD_LIMITS)
async def test_impossible_rate_limit_headers_are_ignored(headers):
    async with HostileServer(answer(**headers)) as server, open_client(server.url) as client:
        for _ in range(3):
            assert await client.submit(AUDIO) == JobCreated("job-1")
    assert len(server.asked) == 3


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
async def test_nothing_is_sent_to_an_unreachable_server(how, url):
    async with open_client(url.format(port=unused_port())) as client:
        assert error_flags(await fails(client, how)) == (ApiConnectionError, True, False)
        assert (client.stats.requests, client.stats.retries) == (2, 1)


def tls(url: str) -> str:
    return url.replace("http://", "https://")


@pytest.fixture
def certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("how", CALLS)
async def test_an_untrusted_certificate_is_rejected(how, certificate):
    async with HostileServer(answer(), tls=certificate) as server, open_client(server.url) as client:
        error = await fails(client, how)
    assert error_flags(error) == (ApiConnectionError, False, False)
    for said in ("certificate", "unable to get local issuer certificate", "SSL_CERT_FILE"):
        assert said in str(error)
    assert (server.asked, client.stats.requests) == ([], 1)


@pytest.mark.parametrize("how", CALLS)
async def test_nothing_is_sent_to_a_server_without_tls(how):
    async with HostileServer(answer(), greeting=answer(b"", 400)) as server, open_client(tls(server.url)) as client:
        assert error_flags(await fails(client, how)) == (ApiConnectionError, True, False)
    assert server.asked == []


@pytest.mark.parametrize("how", CALLS)
async def test_nothing_is_sent_when_the_tls_handshake_never_ends(how):
    """aiohttp raises the same exception as for a late response, but nothing was sent here."""
    timeouts = Timeouts(connect=0.2)
    async with HostileServer(answer()) as server, open_client(tls(server.url), timeouts=timeouts) as client:
        assert error_flags(await fails(client, how)) == (ApiTimeoutError, True, False)
    assert server.asked == []


class SlowResolver(AbstractResolver):
    """Resolves every name to this machine, slowly."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        await asyncio.sleep(0.8)
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self):
        pass


async def test_the_time_of_connecting_does_not_count_for_the_response(foreign):
    """Otherwise a submission would time out with an unknown outcome as soon as it is sent."""

    async def respond_late(wire):
        await wire.body()
        await asyncio.sleep(0.1)
        await wire.send(answer())

    session = await foreign(connector=aiohttp.TCPConnector(resolver=SlowResolver()))
    async with (
        HostileServer(respond_late) as server,
        open_client(f"http://localhost.test:{server.port}", session=session, timeouts=Timeouts(read=0.5)) as client,
    ):
        assert await client.submit(AUDIO) == JobCreated("job-1")


async def test_plain_http_to_a_tls_server_is_sent_once(certificate):
    server = HostileServer(answer(), tls=certificate)
    async with server, open_client(f"http://127.0.0.1:{server.port}") as client:
        assert error_flags(await fails(client, "submit")) == (ApiConnectionError, False, True)
        assert client.stats.requests == 1
    assert server.asked == []


async def respond_and_close(wire):
    """Respond without `Connection: close`, and close the connection."""
    await wire.body()
    await wire.send(answer())
    wire.close()


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.02])
async def test_a_pooled_connection_that_was_closed_never_doubles_a_submission(pause):
    """Each call reaches the server at most once; its job is known, or its outcome is unknown."""
    outcomes = []
    async with HostileServer(respond_and_close) as server, open_client(server.url) as client:
        for _ in range(20):
            try:
                outcomes.append((await client.submit(AUDIO)).job_id)
            except ApiConnectionError as error:
                outcomes.append("unknown" if error.outcome_unknown else "never sent")
            await asyncio.sleep(pause)
        assert client.stats.in_flight == 0
    assert outcomes.count("job-1") == len(server.asked) <= 20
    assert "never sent" not in outcomes


async def test_a_submission_on_a_pooled_connection_that_is_closed_is_not_repeated():
    """The second submission uses the connection of the first one, which the server closes without a response."""
    async with HostileServer(answer(), hang_up) as server, open_client(server.url) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
        assert error_flags(await fails(client, "submit")) == (ApiConnectionError, False, True)
    assert [asked.connection for asked in server.asked] == [1, 1]


async def test_a_pooled_connection_that_was_closed_does_not_affect_reads():
    async with HostileServer(respond_and_close) as server, open_client(server.url) as client:
        for _ in range(20):
            assert (await client.get_job("job-1")).job_id == "job-1"
    assert len(server.asked) == 20


async def submit_after(unsolicited: bytes, *, closing: bool) -> tuple[list[str], int]:
    """Submit twice; between the submissions, the server sends unsolicited data on the idle connection."""

    async def respond_twice(wire):
        await wire.body()
        await wire.send(answer())
        await pause.wait()
        await wire.send(unsolicited)
        if closing:
            wire.close()
        sent.set()

    pause, sent = asyncio.Event(), asyncio.Event()
    second = answer(b'{"jobId":"job-2","status":"created"}')
    async with HostileServer(respond_twice, second) as server, open_client(server.url) as client:
        first = await client.submit(AUDIO)
        pause.set()
        await sent.wait()
        for _ in range(10):  # the client receives the data within a few loop iterations
            await asyncio.sleep(0)
        return [first.job_id, (await client.submit(AUDIO)).job_id], len(server.asked)


async def test_a_408_on_an_idle_connection_is_not_the_response_to_the_next_request():
    """Some servers send 408 on an idle connection before they close it."""
    timeout_response = answer(b"", "408 Request Timeout", **CLOSE)
    assert await submit_after(timeout_response, closing=True) == (["job-1", "job-2"], 2)


async def test_an_unsolicited_response_is_not_the_response_to_the_next_request():
    """The id of another job would return the voice of another person."""
    unsolicited = answer(b'{"jobId":"of-somebody-else","status":"created"}')
    assert await submit_after(unsolicited, closing=False) == (["job-1", "job-2"], 2)


async def test_a_second_response_is_ignored_and_the_connection_is_not_reused():
    twice = answer() + answer(b'{"jobId":"of-somebody-else","status":"created"}')
    second = answer(b'{"jobId":"job-2","status":"created"}')
    async with HostileServer(twice, second) as server, open_client(server.url) as client:
        assert [(await client.submit(AUDIO)).job_id for _ in range(2)] == ["job-1", "job-2"]
    assert [asked.connection for asked in server.asked] == [1, 2]


async def respond_before_reading(wire):
    """Refuse after the head, as gateways do, and read the body afterwards."""
    await wire.send(answer(b"", "403 No"))
    await wire.body()


@pytest.mark.parametrize("play", [respond_before_reading, answer(b"", "403 No", **CLOSE)])
async def test_a_response_may_arrive_before_the_server_has_read_the_body(play):
    async with HostileServer(play) as server, open_client(server.url) as client:
        assert error_flags(await fails(client, "submit")) == (PermissionDeniedError, False, False)
    assert len(server.asked) == 1


# Secrets in the texts of a server


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
    """`output.error` is redacted like every other text of the server."""
    failed = {"jobId": "job-1", "status": "failed", "output": {"error": f"Could not load audio from {AUDIO}"}}
    async with HostileServer(answer(json.dumps(failed).encode())) as server, open_client(server.url) as client:
        assert "THIS-IS-A-SECRET" not in repr(await client.get_job("job-1"))
        with pytest.raises(VoiceprintError) as caught:
            await client.wait("job-1")
    assert_shows_no_secret(caught.value)


# Proxies


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("status", [200, 302, 403, 502])
async def test_no_key_is_sent_to_a_proxy_that_refuses_to_connect(how, status):
    """With https, a proxy gets only a CONNECT; a 200 without TLS afterwards is an error too."""
    proxy = HostileServer(then_close(answer(b"", f"{status} Proxy", Content_Length="")))
    async with proxy, open_client("https://api.example.invalid", proxy=proxy.url) as client:
        assert error_flags(await fails(client, how)) == (ApiConnectionError, True, False)
        assert client.stats.requests == 2
    assert [asked.method for asked in proxy.asked] == ["CONNECT"] * 2
    assert [asked for asked in proxy.asked if KEY.encode() in asked.head or "Authorization" in asked.headers] == []


REFUSES_THE_PASSWORD = then_close(answer(b"", "407 Proxy Authentication Required", Proxy_Authenticate="Basic realm=x"))


def assert_names_the_proxy_password(error, source):
    assert error_flags(error) == (ProxyError, False, False)
    assert error.status == 407
    for said in ("407", source, "http://user:password@host:port"):
        assert said in str(error)
    assert_shows_no_secret(error)


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_the_password_gets_one_request(how, scheme, monkeypatch):
    """Each retry would be another wrong password, and some companies lock the account after three."""
    async with HostileServer(REFUSES_THE_PASSWORD) as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url.replace("//", f"//user:{KEY}@"))
        async with open_client(f"{scheme}://api.example.invalid", retry=RetryPolicy(max_tries=5, base=0.01)) as client:
            assert_names_the_proxy_password(await fails(client, how), f"environment variable {scheme.upper()}_PROXY")
    assert len(proxy.asked) == 1


async def test_the_error_names_the_argument_of_the_client_as_the_source_of_the_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with (
        HostileServer(REFUSES_THE_PASSWORD) as proxy,
        open_client("https://api.example.invalid", proxy=proxy.url) as client,
    ):
        error = await fails(client, "submit")
    assert_names_the_proxy_password(error, "the argument `proxy` of the client")
    assert "HTTPS_PROXY" not in str(error)


async def test_an_upload_through_a_proxy_that_refuses_the_password_is_tried_once(monkeypatch):
    """The storage of uploads may need a proxy although the API does not."""
    where = answer(b'{"url":"https://storage.example.invalid/key?X-Amz-Signature=THIS-IS-A-SECRET"}')
    async with HostileServer(REFUSES_THE_PASSWORD) as proxy, HostileServer(where) as server:
        monkeypatch.setenv("https_proxy", proxy.url)
        async with open_client(server.url) as client:
            with pytest.raises(VoiceprintError) as caught:
                await client.upload(b"RIFF")
    error = caught.value
    assert_names_the_proxy_password(error, "environment variable https_proxy")
    assert (len(server.asked), len(proxy.asked)) == (1, 1)


UNUSABLE = {
    "proxy.corp.example:3128": "has no scheme",
    "127.0.0.1:9": "has no scheme",
    "//127.0.0.1:9": "has no scheme",
    "socks5://127.0.0.1:9": "SOCKS",
    "socks5h://127.0.0.1:9": "SOCKS",
    "ftp://127.0.0.1:9": "must begin with http",
    "http://": "host",
    "http://[": "valid",
    "http://127.0.0.1:port": "valid",
    "http://user name@127.0.0.1:9": "spaces",
}


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("value", UNUSABLE)
async def test_the_error_names_an_unusable_proxy_variable(how, name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    async with open_client("https://api.example.invalid") as client:
        error = await fails(client, how)
        assert client.stats.retries == 0
    assert error_flags(error) == (ProxyError, False, False)
    for said in (f"environment variable {name}", UNUSABLE[value], "http://host:port", "NO_PROXY", "Nothing was sent"):
        assert said in str(error)
    assert_shows_no_secret(error)


@pytest.mark.parametrize("value", ["", "127.0.0.1:9"])
async def test_an_unused_proxy_variable_does_no_harm(value, monkeypatch):
    """The variable is empty, for another scheme, or overridden by the argument of the client."""
    async with HostileServer(answer()) as server:
        monkeypatch.setenv("HTTPS_PROXY", value)
        async with open_client(server.url) as client:
            assert await client.submit(AUDIO) == JobCreated("job-1")
        monkeypatch.setenv("HTTP_PROXY", value)
        async with open_client("http://api.example.invalid", proxy=server.url) as client:
            assert await client.submit(AUDIO) == JobCreated("job-1")


async def test_the_error_names_the_variable_of_an_unreachable_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{KEY}@127.0.0.1:{unused_port()}")
    async with open_client("https://api.example.invalid") as client:
        error = await fails(client, "submit")
    assert error_flags(error) == (ApiConnectionError, True, False)
    assert "environment variable HTTPS_PROXY" in str(error)


@pytest.mark.parametrize("how", CALLS)
async def test_an_unreachable_proxy(how):
    async with open_client(
        "https://api.example.invalid", proxy=f"http://user:{KEY}@127.0.0.1:{unused_port()}"
    ) as client:
        assert error_flags(await fails(client, how)) == (ApiConnectionError, True, False)


@pytest.mark.parametrize("proxy", ["127.0.0.1:3128", "no proxy", "http://[", "http://", "socks5://127.0.0.1:9", 5])
async def test_an_invalid_proxy_argument_is_a_configuration_error(proxy):
    with pytest.raises(ConfigurationError, match="proxy"):
        async with open_client("https://api.example.invalid", proxy=proxy) as client:
            await client.submit(AUDIO)


async def test_the_proxy_argument_is_used():
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


async def test_the_https_proxy_of_the_environment_gets_a_connect(monkeypatch):
    async with HostileServer(then_close(answer(b"", 403))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with open_client("https://api.example.invalid") as client:
            assert error_flags(await fails(client, "submit")) == (ApiConnectionError, True, False)
    assert {(asked.method, asked.target) for asked in proxy.asked} == {("CONNECT", "api.example.invalid:443")}


@pytest.mark.parametrize("hosts", ["127.0.0.1", "*", "localhost,127.0.0.1"])
async def test_hosts_in_no_proxy_are_contacted_directly(monkeypatch, hosts):
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


# Sessions of the user


@pytest.fixture
async def foreign(start):
    """Return a function that opens a session of the user."""

    async def open_session(**options) -> aiohttp.ClientSession:
        return await start(aiohttp.ClientSession(**options))

    return open_session


async def explode(response):
    raise RuntimeError("not this")


@pytest.mark.parametrize("raising", [True, explode], ids=["true", "function"])
async def test_raise_for_status_of_the_session_is_overridden(foreign, raising):
    session = await foreign(raise_for_status=raising)
    async with HostileServer(answer(b"", 500)) as server, open_client(server.url, session=session) as client:
        assert error_flags(await fails(client, "submit")) == (ServerError, False, True)
    assert (len(server.asked), session.closed) == (1, False)


async def test_a_middleware_that_repeats_requests_does_not_double_a_submission(foreign):
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


async def test_the_session_of_the_client_keeps_no_cookies():
    play = answer(**{"Set-Cookie": "crumb=1"})
    async with HostileServer(play) as server, open_client(server.url) as client:
        for _ in range(2):
            await client.submit(AUDIO)
    assert [asked.headers.get("Cookie") for asked in server.asked] == [None, None]


@pytest.mark.parametrize(
    ("name", "theirs"), [("User-Agent", "theirs"), ("Accept", "text/html"), ("Content-Type", "text/plain")]
)
async def test_default_headers_of_a_session_do_not_replace_those_of_the_client(foreign, name, theirs):
    session = await foreign(headers={name: theirs})
    async with HostileServer(answer()) as server, open_client(server.url, session=session) as client:
        await client.submit(AUDIO)
    assert theirs not in server.asked[0].headers.getall(name)


async def test_the_base_url_of_a_session_is_ignored(foreign):
    session = await foreign(base_url="http://elsewhere.invalid/x/")
    async with HostileServer(answer()) as server, open_client(server.url, session=session) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")
    assert [asked.target for asked in server.asked] == ["/v1/voiceprint"]


async def test_a_session_without_decompression_loses_no_job(foreign):
    """Such a session still requests gzip."""
    session = await foreign(auto_decompress=False)
    play = answer(gzip.compress(JOB), Content_Encoding="gzip")
    async with HostileServer(play) as server, open_client(server.url, session=session) as client:
        assert await client.submit(AUDIO) == JobCreated("job-1")


async def test_a_session_with_trust_env_and_a_netrc_entry_sends_nothing(foreign, netrc):
    """aiohttp refuses two authorizations before anything is sent, and the error names `.netrc`."""
    session = await foreign(trust_env=True)
    async with HostileServer(answer()) as server, open_client(server.url, session=session) as client:
        error = await fails(client, "submit")
    assert (error_flags(error), server.asked, ".netrc" in str(error)) == ((ConfigurationError, False, False), [], True)


async def test_the_timeout_of_a_session_is_overridden(foreign):
    session = await foreign(timeout=aiohttp.ClientTimeout(total=3600, sock_read=3600))
    timeouts = Timeouts(total=0.2)
    async with HostileServer(silence) as server, open_client(server.url, session=session, timeouts=timeouts) as client:
        assert error_flags(await fails(client, "submit")) == (ApiTimeoutError, False, True)


@pytest.mark.parametrize("how", CALLS)
async def test_a_closed_session_is_a_configuration_error(foreign, how):
    session = await foreign()
    await session.close()
    async with open_client(f"http://127.0.0.1:{unused_port()}", session=session) as client:
        error = await fails(client, how)
    assert error_flags(error) == (ConfigurationError, False, False)
    assert "session" in str(error)


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_a_session_with_an_authorization_header_is_rejected(foreign, name):
    session = await foreign(headers={name: "Bearer theirs"})
    with pytest.raises(ConfigurationError, match="Authorization"):
        open_client("http://127.0.0.1", session=session)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_session_with_auth_is_rejected(foreign):
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


# Cancelling and closing


@pytest.mark.parametrize("play", [silence, drip(OK), endless(answer(b"", Content_Length=""), b"", 1)])
async def test_a_cancelled_read_leaves_nothing_behind(play):
    async with HostileServer(play) as server, open_client(server.url) as client:
        task = asyncio.create_task(client.get_job("job-1"))
        while not server.asked:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.stats.in_flight == 0


async def test_closing_ends_the_requests_to_a_silent_server():
    """A submission may have been accepted: closing waits for its response, at most for `Timeouts.total`."""
    async with HostileServer(silence) as server, open_client(server.url, timeouts=Timeouts(total=0.3)) as client:
        calls = [asyncio.create_task(CALLS[how](client)) for how in CALLS]
        while len(server.asked) < 2:
            await asyncio.sleep(0.001)
        await client.aclose()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(end, VoiceprintError) for end in ends] == [True, True]
        assert client.stats.in_flight == 0
        for end in ends:
            assert_shows_no_secret(end)
