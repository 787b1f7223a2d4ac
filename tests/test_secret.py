"""No traceback shows a secret: not in local variables of frames of this package, not in chained exceptions."""

import asyncio
import base64
import copy
import hashlib
import hmac
import json
import pickle
import ssl
import time
import traceback
from pathlib import Path

import pytest
import trustme
from faults.plays import GONE
from hostile_server import HostileServer, answer, silence, then_close, unused_port

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    Polling,
    RateLimit,
    RateLimits,
    RetryPolicy,
    Timeouts,
    Voiceprint,
    VoiceprintError,
    VoiceprintRequest,
    verify_webhook,
)
from pyannote_voiceprint_async.identification import identify_among
from pyannote_voiceprint_async.secret import Secret, hide
from pyannote_voiceprint_async.webhooks import MAX_WEBHOOK_BYTES

KEY = "sk_KEY-SECRET-1"
SIGNED = "https://bucket.example/a.wav?X-Amz-Signature=URL-SECRET-2"
WEBHOOK_SECRET = "whs_WEBHOOK-SECRET-3"
VOICEPRINT = "VOICEPRINT-SECRET-4"
PUT_SIGNATURE = "PUT-SECRET-5"
HOOK = "https://me.example/hook?token=HOOK-SECRET-6"
PASSWORD = "PROXY-SECRET-7"
SECRETS = ("KEY-SECRET-1", "URL-SECRET-2", "WEBHOOK-SECRET-3", VOICEPRINT, PUT_SIGNATURE, "HOOK-SECRET-6", PASSWORD)
HERE = Path(__file__).name


def exception_chain(error: BaseException) -> list[BaseException]:
    """Return the error and every exception that it refers to."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found


def find_secrets(error: BaseException) -> list[str]:
    """Return where a secret is visible: in a local variable of a frame outside this file, or in an exception."""
    places = []
    for one in exception_chain(error):
        for frame, line in traceback.walk_tb(one.__traceback__):
            if Path(frame.f_code.co_filename).name == HERE:
                continue
            for name, value in frame.f_locals.items():
                if any(secret in repr(value) for secret in SECRETS):
                    places.append(f"{Path(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name} {name}")
        places += [f"{type(one).__name__}: {text}" for text in (str(one), repr(one)) if any(s in text for s in SECRETS)]
    return places


async def raised(call) -> BaseException:
    with pytest.raises(VoiceprintError) as caught:
        await call
    return caught.value


async def of_many(results) -> BaseException:
    """Return the error of the first failed item, or of the iteration."""
    async with results:
        async for result in results:
            if result.error is not None:
                return result.error
    raise AssertionError


SPEAKERS = {"Ann": VOICEPRINT, "Bob": Voiceprint(VOICEPRINT, "precision-2", "job-0")}
MANY = {f"Person {number}": VOICEPRINT for number in range(60)}
CALLS = {
    "submit": lambda client: raised(client.submit(SIGNED, webhook=HOOK)),
    "submit a request": lambda client: raised(client.submit(VoiceprintRequest(SIGNED, webhook=HOOK))),
    "submit_many": lambda client: of_many(client.submit_many([SIGNED])),
    "voiceprint of a URL": lambda client: raised(client.voiceprint(SIGNED, webhook=HOOK)),
    "voiceprint of bytes": lambda client: raised(client.voiceprint(b"RIFF")),
    "voiceprint_many": lambda client: of_many(client.voiceprint_many([SIGNED])),
    "submit_identification": lambda client: raised(client.submit_identification(SIGNED, SPEAKERS, webhook=HOOK)),
    "identify of a URL": lambda client: raised(client.identify(SIGNED, SPEAKERS, webhook=HOOK)),
    "identify of bytes": lambda client: raised(client.identify(b"RIFF", SPEAKERS)),
    "identify_many": lambda client: of_many(client.identify_many([SIGNED], SPEAKERS, webhook=HOOK)),
    "identify_among": lambda client: raised(identify_among(client, SIGNED, MANY, max_jobs=2, webhook=HOOK)),
    "upload": lambda client: raised(client.upload(b"RIFF")),
    "wait": lambda client: raised(client.wait("job-1", timeout=0.3)),
    "get_job": lambda client: raised(client.get_job("job-1")),
    "list_jobs": lambda client: raised(anext(client.list_jobs())),
    "check_key": lambda client: raised(client.check_key()),
}


def open_client(url, **options):
    return AsyncVoiceprintClient(
        KEY,
        base_url=url,
        webhook=HOOK,
        **{
            "retry": RetryPolicy(max_tries=2, max_elapsed=2, base=0.01),
            "timeouts": Timeouts(connect=0.5, read=0.2, total=0.4, upload_stall=0.4),
            "polling": Polling(first=0.01, longest=0.02, webhook_grace=0.01),
            **options,
        },
    )


def echo(status):
    """Return a refusal that repeats every secret of the request."""
    body = {"message": f"No {KEY} for {SIGNED} to {HOOK}", "errors": [{"field": "url", "message": SIGNED}]}
    return answer(json.dumps(body).encode(), f"{status} No")


ANSWERS = {
    **{f"status {status}": echo(status) for status in (302, 400, 401, 402, 403, 404, 407, 408, 422, 500, 503)},
    "a long pause": answer(b"{}", "429 No", Retry_After="80000"),
    "a page": answer(f"<title>{KEY}</title>".encode(), "403 No"),
    "no JSON": answer(f'{{"voiceprint":"{VOICEPRINT}'.encode()),
    "half a voiceprint": then_close(answer(f'{{"voiceprint":"{VOICEPRINT}'.encode(), Content_Length="1000")),
    "no HTTP": then_close(b"SSH-2.0-OpenSSH\r\n"),
    "silence": silence,
    **GONE,
}


@pytest.mark.parametrize("play", ANSWERS)
@pytest.mark.parametrize("call", CALLS)
async def test_no_error_of_a_request_shows_a_secret(call, play):
    async with HostileServer(ANSWERS[play]) as server, open_client(server.url) as client:
        assert find_secrets(await CALLS[call](client)) == []


@pytest.mark.parametrize("call", CALLS)
async def test_no_error_of_a_connection_shows_a_secret(call, monkeypatch):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    proxy = f"http://user:{PASSWORD}@127.0.0.1:"
    async with HostileServer(answer(), tls=tls) as server, HostileServer(echo(407)) as refusing:
        for url, options in (
            (f"http://127.0.0.1:{unused_port()}", {}),
            (server.url, {}),
            ("https://api.example.invalid", {"proxy": f"{proxy}{unused_port()}"}),
            ("https://api.example.invalid", {"proxy": f"{proxy}{refusing.port}"}),
            ("http://api.example.invalid", {"proxy": f"{proxy}{refusing.port}"}),
        ):
            async with open_client(url, **options) as client:
                assert find_secrets(await CALLS[call](client)) == []
        for value in (
            f"user:{PASSWORD}@127.0.0.1:9",
            f"socks5://user:{PASSWORD}@127.0.0.1:9",
            f"{proxy}{refusing.port}",
        ):
            monkeypatch.setenv("HTTPS_PROXY", value)
            async with open_client("https://api.example.invalid") as client:
                assert find_secrets(await CALLS[call](client)) == []


@pytest.mark.parametrize("call", CALLS)
async def test_no_error_of_a_closed_client_shows_a_secret(call):
    client = open_client("http://127.0.0.1:9")
    await client.aclose()
    assert find_secrets(await CALLS[call](client)) == []


@pytest.mark.parametrize("call", ["submit", "voiceprint of a URL", "wait"])
async def test_no_error_of_a_call_interrupted_by_closing_shows_a_secret(call):
    async with HostileServer(answer(b'{"jobId":"job-1","status":"created"}')) as server:
        client = open_client(server.url, rate_limits=RateLimits(submissions=RateLimit(1)))
        await client.submit(SIGNED)
        calling = asyncio.create_task(CALLS[call](client))
        await asyncio.sleep(0)
        await client.aclose()
        assert find_secrets(await calling) == []


PUTS = {
    **{f"status {status}": answer(SIGNED.encode(), f"{status} No") for status in (302, 400, 403, 407, 500)},
    "silence": silence,
    **GONE,
}


@pytest.mark.parametrize("call", ["upload", "voiceprint of bytes"])
@pytest.mark.parametrize("play", PUTS)
async def test_no_error_of_an_upload_shows_its_presigned_url(play, call):
    async with HostileServer(PUTS[play]) as storage:
        where = f'{{"url":"{storage.url}/key?X-Amz-Signature={PUT_SIGNATURE}"}}'
        async with HostileServer(answer(where.encode())) as server, open_client(server.url) as client:
            assert find_secrets(await CALLS[call](client)) == []


async def test_upload_that_exceeds_the_timeout_shows_no_secret():
    async with HostileServer(silence) as storage:
        where = f'{{"url":"{storage.url}/key?X-Amz-Signature={PUT_SIGNATURE}"}}'
        async with (
            HostileServer(answer(where.encode())) as server,
            open_client(server.url, timeouts=Timeouts(upload_stall=30)) as client,
        ):
            assert find_secrets(await raised(client.voiceprint(b"RIFF", timeout=0.2))) == []


@pytest.mark.parametrize("url", ["ftp://h.example/?", "https:///?", "http://[/?", "nonsense?"])
async def test_invalid_upload_url_is_not_shown(url):
    where = json.dumps({"url": f"{url}{PUT_SIGNATURE}"}).encode()
    async with HostileServer(answer(where)) as server, open_client(server.url) as client:
        assert find_secrets(await raised(client.upload(b"RIFF"))) == []


JOBS = {
    "failed": {"status": "failed", "output": {"voiceprint": VOICEPRINT, "error": f"No {KEY} {SIGNED}"}},
    "canceled": {"status": "canceled", "output": {"voiceprint": VOICEPRINT}},
    "expired": {"status": "succeeded", "output": {"warning": SIGNED}},
    "another": {"jobId": "another", "status": "succeeded", "output": {"voiceprint": VOICEPRINT}},
    "running": {"status": "running", "output": {"voiceprint": VOICEPRINT}},
}


@pytest.mark.parametrize("job", JOBS)
async def test_no_error_of_a_job_shows_its_voiceprint(job):
    body = json.dumps({"jobId": "job-1"} | JOBS[job]).encode()
    async with HostileServer(answer(body)) as server, open_client(server.url) as client:
        assert find_secrets(await CALLS["wait"](client)) == []
        if job != "another":
            assert find_secrets(await raised(client.voiceprint(SIGNED, timeout=0.3))) == []


async def test_failing_hook_shows_no_secret():
    def fails(_):
        raise VoiceprintError("The disk is full.")

    async with (
        HostileServer(answer(b'{"jobId":"job-1","status":"created"}')) as server,
        open_client(server.url) as client,
    ):
        assert find_secrets(await raised(client.voiceprint(SIGNED, webhook=HOOK, on_submitted=fails))) == []


async def test_no_error_of_a_local_check_shows_a_secret():
    async with open_client("http://127.0.0.1:9") as client:
        assert find_secrets(await raised(client.submit(f"{SIGNED} x"))) == []
        assert find_secrets(await raised(client.submit(SIGNED, webhook=HOOK.replace("https", "http")))) == []
        assert find_secrets(await raised(client.voiceprint(f"s3{SIGNED}"))) == []
        assert find_secrets(await raised(client.voiceprint(SIGNED, timeout=-1))) == []
        for speakers in ([VOICEPRINT], {"speaker_1": VOICEPRINT}, {"Ann": [VOICEPRINT]}, VOICEPRINT, {}):
            assert find_secrets(await raised(client.identify(SIGNED, speakers, webhook=HOOK))) == []
            assert find_secrets(await raised(client.submit_identification(SIGNED, speakers, webhook=HOOK))) == []
            assert find_secrets(await raised(identify_among(client, SIGNED, speakers, max_jobs=1))) == []
            with pytest.raises(VoiceprintError) as caught:
                client.identify_many([SIGNED], speakers, webhook=HOOK)
            assert find_secrets(caught.value) == []


def construction_error(**options) -> BaseException:
    with pytest.raises(VoiceprintError) as caught:
        AsyncVoiceprintClient(**{"api_key": KEY, "webhook": HOOK} | options)
    return caught.value


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": f"{KEY} x"},
        {"api_key": KEY.encode()},
        {"base_url": "x"},
        {"webhook": HOOK.replace("https", "http")},
        {"proxy": f"socks5://user:{PASSWORD}@h"},
        {"proxy": f"user:{PASSWORD}@h:1"},
        {"max_concurrency": 0},
        {"retry": 5},
    ],
)
def test_no_error_of_the_constructor_shows_a_secret(options):
    assert find_secrets(construction_error(**options)) == []


def test_key_from_the_environment_is_not_shown(monkeypatch):
    monkeypatch.setenv("PYANNOTEAI_API_KEY", f"{KEY} x")
    assert find_secrets(construction_error(api_key=None)) == []


def webhook_error(body, secret=WEBHOOK_SECRET, when=0.0, signed_with=WEBHOOK_SECRET) -> BaseException:
    stamp = str(int(time.time() + when))
    raw = body if isinstance(body, bytes) else b""
    mac = hmac.new(signed_with.encode(), f"v0:{stamp}:".encode() + raw, hashlib.sha256).hexdigest()
    with pytest.raises(VoiceprintError) as caught:
        verify_webhook(body, {"X-Signature": mac, "X-Request-Timestamp": stamp}, secret)
    return caught.value


BODY = json.dumps({"jobId": "job-1", "status": "succeeded", "output": {"voiceprint": VOICEPRINT}}).encode()


@pytest.mark.parametrize(
    "arguments",
    [
        {"body": BODY, "signed_with": "guessed"},
        {"body": BODY, "when": 10_000},
        {"body": BODY[:-1]},
        {"body": BODY.replace(b'"job-1"', b"5")},
        {"body": BODY + b" " * MAX_WEBHOOK_BYTES},
        {"body": json.loads(BODY)},
        {"body": BODY, "secret": [WEBHOOK_SECRET, 5]},
        {"body": BODY, "secret": WEBHOOK_SECRET + "\udcff"},
        {"body": BODY, "secret": [WEBHOOK_SECRET.encode() + b"\xff", WEBHOOK_SECRET]},
    ],
    ids=range(9),
)
def test_no_error_of_a_webhook_shows_secret_or_voiceprint(arguments):
    assert find_secrets(webhook_error(**arguments)) == []


def test_find_secrets_finds_a_secret():
    """The other tests of this file can fail."""

    def fails(key):
        raise VoiceprintError(key)

    namespace = {"fails": fails}
    exec(compile("def outer(key):\n    fails(key)", "elsewhere.py", "exec"), namespace)  # noqa: S102 - another file's frame
    with pytest.raises(VoiceprintError) as caught:
        namespace["outer"](KEY)
    assert len(find_secrets(caught.value)) == 3


# The class `Secret`


def test_secret_is_a_str_that_hides_its_value():
    secret = Secret(KEY)
    assert isinstance(secret, str)
    assert (secret, hash(secret), len(secret), secret.encode()) == (KEY, hash(KEY), len(KEY), KEY.encode())
    for text in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", f"{secret!r}", f"{[secret]}", "%s" % secret):  # noqa: UP031
        assert "SECRET" not in text
    assert (type(secret.reveal()), secret.reveal()) == (str, KEY)
    assert ("Bearer " + secret, KEY in "x" + secret) == ("Bearer " + KEY, True)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda secret: pickle.loads(pickle.dumps(secret))])  # noqa: S301
def test_copy_of_a_secret_is_a_secret(again):
    assert (type(again(Secret(KEY))), again(Secret(KEY))) == (Secret, KEY)


def test_hide_keeps_the_value():
    assert hide(KEY) == KEY
    assert bytes(hide(KEY.encode())) == KEY.encode()
    assert "SECRET" not in repr([hide(KEY), hide(KEY.encode())])
    assert (hide(None), hide(5)) == (None, 5)


def test_secret_of_a_secret_keeps_its_value():
    assert Secret(Secret(KEY)).reveal() == hide(hide(KEY)).reveal() == KEY
    assert Secret() == ""


async def test_hidden_values_are_sent_in_clear_text():
    """A key or a URL that is formatted without `reveal()` would be sent as `<hidden>`."""
    async with (
        HostileServer(answer(b'{"jobId":"job-1","status":"created"}')) as server,
        open_client(server.url) as client,
    ):
        await client.submit(SIGNED)
    (asked,) = server.asked
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert json.loads(asked.body) == {"url": SIGNED, "model": "precision-2", "webhook": HOOK}


async def test_presigned_url_is_used_in_clear_text():
    async with HostileServer(answer(b"")) as storage:
        where = f'{{"url":"{storage.url}/key?X-Amz-Signature={PUT_SIGNATURE}"}}'
        async with HostileServer(answer(where.encode())) as server, open_client(server.url) as client:
            await client.upload(b"RIFF")
    assert [asked.target for asked in storage.asked] == [f"/key?X-Amz-Signature={PUT_SIGNATURE}"]


async def test_password_of_a_proxy_is_sent():
    async with HostileServer(answer(b'{"jobId":"job-1"}')) as proxy:
        url = proxy.url.replace("//", f"//user:{PASSWORD}@")
        async with open_client("http://api.example.invalid", proxy=url) as client:
            await client.submit(SIGNED)
    expected = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    assert proxy.asked[0].headers["Proxy-Authorization"] == f"Basic {expected}"
