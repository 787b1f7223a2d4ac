"""Verify webhooks: which deliveries are accepted, which are refused, and that errors show no secret."""

import asyncio
import base64
import email.message
import hashlib
import hmac
import itertools
import json
import logging
import math
import time
import traceback
import tracemalloc
import zlib
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import attrs
import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

import pyannote_voiceprint_async
from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ConfigurationError,
    InvalidSignatureError,
    JobStatus,
    StaleWebhookError,
    VoiceprintError,
    VoiceprintOutput,
    WebhookError,
    WebhookEvent,
    aiohttp_webhook_handler,
    verify_webhook,
)
from pyannote_voiceprint_async.webhooks import MAX_WEBHOOK_BYTES

SECRET = "whsec-do-not-show-me"
NOW = 1_800_000_000
BODY = b'{"jobId": "8d2f-01", "status": "succeeded", "output": {"voiceprint": "dm9pY2U="}}'
EVENT = WebhookEvent("8d2f-01", JobStatus.SUCCEEDED, VoiceprintOutput("dm9pY2U="), datetime.fromtimestamp(NOW, UTC))
VECTORS = json.loads((Path(__file__).parent / "vectors" / "webhooks.json").read_text("utf-8"))["vectors"]

# With lone surrogates, which Python makes of bytes that are not valid UTF-8.
anything = st.text(st.characters())


def digest(body=BODY, timestamp=str(NOW), secret=SECRET):
    return hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).digest()


def signed(body=BODY, timestamp=NOW, secret=SECRET):
    return {"X-Request-Timestamp": str(timestamp), "X-Signature": digest(body, str(timestamp), secret).hex()}


def refusal(body, headers, secret=SECRET, now=NOW, **options):
    with pytest.raises(VoiceprintError) as refused:
        verify_webhook(body, headers, secret, now=now, **options)
    return refused.value


# Accepted deliveries


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["what"])
def test_vectors(vector):
    """The signatures are made by openssl, the expected results are written by hand."""
    body = vector["body"].encode() if "body" in vector else base64.b64decode(vector["body_base64"])
    arguments = (body, vector["headers"], vector["secret"])
    if "error" in vector:
        expected = getattr(pyannote_voiceprint_async, vector["error"])
        assert type(refusal(*arguments, now=vector["now"])) is expected
        return
    expected = vector["event"]
    output = expected["output"] and VoiceprintOutput(**expected["output"])
    event = verify_webhook(*arguments, now=vector["now"])
    # `extra` has its own tests.
    actual = attrs.evolve(event, output=event.output and attrs.evolve(event.output, extra={}))
    assert actual == WebhookEvent(
        job_id=expected["job_id"],
        status=JobStatus(expected["status"]),
        output=output,
        timestamp=datetime.fromtimestamp(expected["timestamp"], UTC),
        retry_num=expected["retry_num"],
        retry_reason=expected["retry_reason"],
    )


def test_vectors_contain_every_result():
    """A truncated file would pass the other test."""
    outcomes = {vector.get("error", "event") for vector in VECTORS}
    assert outcomes == {
        "event",
        "ConfigurationError",
        "InvalidSignatureError",
        "StaleWebhookError",
        "WebhookError",
    }
    assert len(VECTORS) >= 90


def test_unknown_status_is_kept_and_not_terminal():
    body = b'{"jobId": "1", "status": "archived"}'
    event = verify_webhook(body, signed(body), SECRET, now=NOW)
    assert (event.status, event.status.is_terminal, event.is_complete) == ("archived", False, False)


BODIES = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "str, as in the event of AWS Lambda": bytes.decode,
}


@pytest.mark.parametrize("form", BODIES)
def test_body_of_any_type_of_bytes_or_text_is_accepted(form):
    body = '{"jobId": "8d2f-01", "status": "succeeded", "output": {"warning": "Zürich"}}'.encode()
    assert verify_webhook(BODIES[form](body), signed(body), SECRET, now=NOW).output == VoiceprintOutput(
        warning="Zürich"
    )


def listed(headers):
    return {name: [value] for name, value in headers.items()}


def environ(headers):
    """Return the headers as a WSGI environ (PEP 3333), among other entries."""
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return named | {"wsgi.version": (1, 0), "wsgi.input": object(), "CONTENT_LENGTH": "82", "HTTP_HOST": "localhost"}


def message(headers):
    """Return the headers as http.server does."""
    parsed = email.message.Message()
    for name, value in headers.items():
        parsed[name] = value
    return parsed


HEADER_FORMS = {
    "dict": dict,
    "multidict": CIMultiDict,
    "email.message.Message": message,
    "list of pairs": lambda headers: list(headers.items()),
    "list of lists": lambda headers: [list(pair) for pair in headers.items()],
    "generator of pairs": lambda headers: (pair for pair in headers.items()),
    "ASGI": lambda headers: [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    "bytes in a mapping": lambda headers: {name.encode(): value.encode() for name, value in headers.items()},
    "bytearray": lambda headers: [
        (bytearray(name, "ascii"), memoryview(value.encode())) for name, value in headers.items()
    ],
    "multiValueHeaders": listed,
    "multiValueHeaders of bytes": lambda headers: {name.encode(): [value.encode()] for name, value in headers.items()},
    "CloudFront": lambda headers: {name.lower(): [{"key": name, "value": value}] for name, value in headers.items()},
    "WSGI environ": environ,
    "upper case": lambda headers: {name.upper(): value for name, value in headers.items()},
    "a timestamp that JSON converted to a number": lambda headers: headers | {"X-Request-Timestamp": NOW},
    "white space": lambda headers: {name: f" {value}\r\n" for name, value in headers.items()},
    "among invalid pairs": lambda headers: [
        *headers.items(),
        None,
        "ab",
        ("one",),
        (1, 2, 3),
        (None, None),
        (object(), 1),
    ],
}


@pytest.mark.parametrize("form", HEADER_FORMS)
def test_headers_in_any_form_are_accepted(form):
    headers = HEADER_FORMS[form](signed() | {"X-Retry-Num": "2"})
    assert verify_webhook(BODY, headers, SECRET, now=NOW) == attrs.evolve(EVENT, retry_num=2)


@pytest.mark.parametrize("form", HEADER_FORMS)
def test_forged_signature_is_refused_in_any_form_of_headers(form):
    assert type(refusal(BODY, HEADER_FORMS[form](signed(secret="guessed")))) is InvalidSignatureError


SECRET_FORMS = {
    "str": SECRET,
    "bytes": SECRET.encode(),
    "bytearray": bytearray(SECRET.encode()),
    "with the line break of its file": f"{SECRET}\n",
    "bytes with the line break of its file": f"{SECRET}\r\n".encode(),
    "with the byte order mark of its file": f"\ufeff{SECRET}",
    "after split": f"another, {SECRET}".split(","),
    "after split, with a comma at the end": f"{SECRET},".split(","),
    "bytes in a list": [b"another", SECRET.encode()],
    "one that is not set": [None, SECRET],
    "one of white space": [" \n", SECRET],
    "a tuple": ("another", SECRET),
}


@pytest.mark.parametrize("form", SECRET_FORMS)
def test_secrets_in_any_form_are_accepted(form):
    assert verify_webhook(BODY, signed(), SECRET_FORMS[form], now=NOW) == EVENT


@pytest.mark.parametrize("secret", ["", " ", [""], [None], b"\n", ["\ufeff"]])
def test_signature_made_with_an_empty_secret_is_never_accepted(secret):
    assert type(refusal(BODY, signed(secret=""), secret)) is ConfigurationError
    assert type(refusal(BODY, signed(secret=""), [SECRET, secret])) in {InvalidSignatureError, ConfigurationError}


ODD = [None, True, 0, 5, 1.5, object(), [], {}, {"jobId": "1"}, ["x"], [1, 2], [[]], (), "", "x", b"", b"x", len]


def test_arguments_of_any_type_are_a_webhook_error():
    """Also values that a handler reads from the wrong key of its event."""
    for body, odd in itertools.product(ODD, ODD):
        for headers in (odd, signed() | {"X-Signature": odd}, signed() | {"X-Request-Timestamp": odd}):
            assert isinstance(refusal(body, headers), WebhookError)


@pytest.mark.parametrize("body", [None, {"jobId": "1"}, 5, ["x"], object()])
def test_error_names_the_type_of_a_parsed_body(body):
    error = refusal(body, signed())
    assert type(error) is WebhookError
    assert f"not {type(body).__name__}" in str(error)


@pytest.mark.parametrize("value", [None, 5, [], {}, object(), ["2"], b"2", [{"value": "2"}]])
def test_unsigned_header_may_have_any_value(value):
    event = verify_webhook(
        BODY, signed() | {"X-Retry-Num": value, "X-Retry-Reason": value, "X": value}, SECRET, now=NOW
    )
    assert event.job_id == "8d2f-01"


@pytest.mark.parametrize("secrets", [tuple, set, iter, lambda secrets: (secret for secret in secrets)])
def test_secrets_in_any_iterable_are_accepted(secrets):
    assert verify_webhook(BODY, signed(), secrets([SECRET, "another"]), now=NOW) == EVENT


@pytest.mark.parametrize("secret", [None, b"", "", " \n", [], [None], [""], [b" "], 5, [5], object(), [SECRET, 5]])
def test_missing_secret_is_a_configuration_error(secret):
    assert type(refusal(BODY, signed(), secret)) is ConfigurationError


async def test_handler_without_a_secret_is_a_configuration_error(client):
    with pytest.raises(ConfigurationError, match="secret"):
        aiohttp_webhook_handler(client.deliver, "")


def test_clock_of_the_machine_is_the_default():
    timestamp = int(time.time())
    assert verify_webhook(BODY, signed(timestamp=timestamp), SECRET).timestamp == datetime.fromtimestamp(timestamp, UTC)
    assert type(refusal(BODY, signed(timestamp=timestamp - 700), now=None)) is StaleWebhookError


@pytest.mark.parametrize("tolerance", [0.0, 1.5, 360.0, 600.0, 1e9])
def test_timestamp_may_differ_by_the_tolerance_in_either_direction(tolerance):
    for sign in (-1, 1):
        fresh = verify_webhook(BODY, signed(), SECRET, tolerance=tolerance, now=NOW + sign * tolerance)
        assert fresh == EVENT
        stale = refusal(BODY, signed(), tolerance=tolerance, now=NOW + sign * (tolerance + 0.5))
        assert type(stale) is StaleWebhookError
        assert ("old" if sign > 0 else "in the future") in str(stale)


@pytest.mark.parametrize("settings", [{"tolerance": math.nan}, {"now": math.nan}])
def test_nan_is_never_fresh(settings):
    """Comparisons with NaN are false, so the check must fail closed."""
    assert type(refusal(BODY, signed(timestamp=5), **({"now": NOW} | settings))) in {
        StaleWebhookError,
        ConfigurationError,
    }


# Refused deliveries, and the order of the checks


def test_huge_body_is_refused_before_it_is_hashed():
    """A sender without the secret must not cause work: the length is checked before the signature."""
    error = refusal(b"x" * (MAX_WEBHOOK_BYTES + 1), {})
    assert type(error) is WebhookError
    assert str(MAX_WEBHOOK_BYTES + 1) in str(error)


def test_body_of_the_maximum_size_is_accepted():
    body = BODY + b" " * (MAX_WEBHOOK_BYTES - len(BODY))
    assert verify_webhook(body, signed(body), SECRET, now=NOW) == EVENT


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"jobId": "1", "status": "failed"}'])
def test_body_is_not_parsed_before_the_signature_is_verified(body):
    """Garbage that is parsed first would raise another `WebhookError`."""
    assert type(refusal(body, signed(b"another body"))) is InvalidSignatureError


# Servers decode bytes that are not UTF-8 to lone surrogates, which cannot be encoded again.
NOT_ASCII = {
    "a byte that is not UTF-8": "\udcff",
    "a lone surrogate": "\ud800",
    "one among digits": "0" * 63 + "\udfff",
    "one behind v0=": "v0=\ud800",
    "a letter": "é",
    "a control character": "\x00",
    "digits": "٣" * 64,
}


@pytest.mark.parametrize("text", NOT_ASCII)
@pytest.mark.parametrize("name", ["X-Signature", "X-Request-Timestamp"])
def test_non_ascii_signature_or_timestamp_is_an_invalid_signature(name, text):
    assert type(refusal(BODY, signed() | {name: NOT_ASCII[text]})) is InvalidSignatureError


@pytest.mark.parametrize("text", NOT_ASCII)
@pytest.mark.parametrize("name", ["X-Retry-Num", "X-Another"])
def test_non_ascii_unsigned_header_is_ignored(name, text):
    assert verify_webhook(BODY, signed() | {name: NOT_ASCII[text]}, SECRET, now=NOW) == EVENT


@pytest.mark.parametrize("secret", [SECRET + "\udcff", SECRET.encode() + b"\xff", [SECRET, SECRET + "\udcff"]])
def test_secret_that_is_not_text_is_never_shown(secret):
    """An environment that is not UTF-8 contains such strings. A `UnicodeEncodeError` would show the secret."""
    error = refusal(BODY, signed(), secret)
    assert type(error) is ConfigurationError
    assert SECRET not in repr(error) + repr(error.__context__)


FORGED = {
    "missing": (BODY, {}),
    "wrong": (BODY, signed(secret="guessed")),
    "stale": (BODY, signed(timestamp=5)),
    "huge": (b"x" * (MAX_WEBHOOK_BYTES + 1), signed()),
    "not parsed": (b"{", signed(b"{")),
}


@pytest.mark.parametrize("kind", FORGED)
def test_errors_show_neither_secret_nor_signature_nor_body(kind):
    body, headers = FORGED[kind]
    error = refusal(body, headers)
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    for hidden in (SECRET, digest().hex(), "dm9pY2U="):
        assert hidden not in shown


@given(body=st.binary(), headers=st.dictionaries(anything, anything), now=st.floats() | st.integers() | st.none())
@example(body=b"", headers={"x-signature": "\ud800", "x-request-timestamp": "1"}, now=1)
@example(body=b"", headers={"x-signature": "0" * 64, "x-request-timestamp": "\ud800"}, now=1)
def test_any_bytes_and_headers_are_a_webhook_error(body, headers, now):
    assert isinstance(refusal(body, headers, now=now), WebhookError)


@given(signature=anything, timestamp=anything | st.integers().map(str))
def test_any_two_headers_are_an_invalid_signature(signature, timestamp):
    headers = {"X-Signature": signature, "X-Request-Timestamp": timestamp}
    assert type(refusal(BODY, headers)) is InvalidSignatureError


# White space around a secret is ignored.
SECRETS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda text: text == text.strip() and not text.startswith("\ufeff")
)
DELIVERIES = st.tuples(st.binary(max_size=50), st.integers(0, 10**11 - 1), SECRETS)
FORMS = [
    bytes.hex,
    lambda mac: mac.hex().upper(),
    lambda mac: base64.b64encode(mac).decode(),
    lambda mac: f"v0={mac.hex()}",
]


@given(DELIVERIES, DELIVERIES, st.sampled_from(FORMS), st.tuples(*[st.integers(0, 1)] * 3))
@example((b"0:", 1, "s"), (b":", 10, "s"), bytes.hex, (1, 1, 0))
def test_signature_is_valid_for_one_body_timestamp_and_secret(one, other, form, pick):
    """Also if the end of one part looks like the start of the next."""
    body, timestamp, secret = ((one, other)[which][place] for place, which in enumerate(pick))
    headers = {"X-Request-Timestamp": str(timestamp), "X-Signature": form(digest(one[0], str(one[1]), one[2]))}
    # HMAC takes a secret with NULs at its end for the same one, and one of more than 64 bytes for its digest.
    is_same = (body, timestamp, secret.rstrip("\0")) == (*one[:2], one[2].rstrip("\0"))
    try:
        verify_webhook(body, headers, secret, now=timestamp)
    except InvalidSignatureError:
        assert not is_same
    except WebhookError:
        assert is_same  # signed, but not JSON of a job
    else:
        assert is_same


@given(
    form=st.sampled_from(FORMS),
    timestamp=st.integers(0, 10**11 - 1),
    age=st.floats() | st.integers(-700, 700),
    tolerance=st.floats(),
    more=st.dictionaries(st.sampled_from(["x-retry-num", "X-Retry-Reason", "Date"]) | anything, anything),
)
def test_signed_delivery_is_an_event_or_stale(form, timestamp, age, tolerance, more):
    """With any clock, and any values of unsigned headers."""
    more = {name: value for name, value in more.items() if name.lower() not in {"x-signature", "x-request-timestamp"}}
    headers = more | {"X-Request-Timestamp": str(timestamp), "X-Signature": form(digest(timestamp=str(timestamp)))}
    now = timestamp + age
    try:
        event = verify_webhook(BODY, headers, ["another", SECRET], tolerance=tolerance, now=now)
    except StaleWebhookError:
        assert not abs(now - timestamp) <= tolerance
    else:
        assert abs(now - timestamp) <= tolerance
        assert (event.job_id, event.timestamp.timestamp()) == ("8d2f-01", timestamp)
        assert event.retry_num is None or event.retry_num >= 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["jobId", "status", "output"]) | st.text(), inner),
    max_leaves=10,
)


@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_signed_body_is_an_event_or_a_webhook_error(body):
    try:
        result = verify_webhook(body, signed(body), SECRET, now=NOW)
    except VoiceprintError as error:
        result = error
    # Not a subclass: the signature is valid.
    assert type(result) in {WebhookEvent, WebhookError}


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


@given(bit=st.integers(0, 8 * len(BODY) - 1))
def test_changed_bit_of_the_body_is_refused(bit):
    assert type(refusal(flip(BODY, bit), signed())) is InvalidSignatureError


@given(bit=st.integers(0, 8 * 10 - 1))
def test_changed_bit_of_the_timestamp_is_refused(bit):
    changed = flip(str(NOW).encode(), bit).decode("latin-1")
    assert type(refusal(BODY, signed() | {"X-Request-Timestamp": changed})) is InvalidSignatureError


@pytest.mark.parametrize("form", [bytes.hex, lambda mac: base64.b64encode(mac).decode(), lambda mac: f"v0={mac.hex()}"])
def test_changed_bit_of_the_signature_is_refused(form):
    for bit in range(256):
        changed = form(flip(digest(), bit))
        assert type(refusal(BODY, signed() | {"X-Signature": changed})) is InvalidSignatureError


@pytest.mark.parametrize("form", [bytes.hex, lambda mac: f"v0={mac.hex()}"])
def test_changed_bit_of_the_hex_text_is_refused_unless_it_changes_case(form):
    """`a` and `A` differ in one bit, and are the same hex digit."""
    text = form(digest())
    for bit in range(8 * len(text)):
        changed = flip(text.encode(), bit).decode("latin-1")
        # No hex digit is one bit away from white space, which would be stripped.
        if changed.lower() == text and changed.startswith(text[:3]):
            assert verify_webhook(BODY, signed() | {"X-Signature": changed}, SECRET, now=NOW) == EVENT
        else:
            assert type(refusal(BODY, signed() | {"X-Signature": changed})) is InvalidSignatureError


# The handler of aiohttp, in a real server


@pytest.fixture
async def serve(start, client):
    """Start a server that passes its webhooks to the client, and return its URL."""

    async def serving(secret=SECRET, **options):
        app = web.Application()
        app.router.add_post("/hook", aiohttp_webhook_handler(client.deliver, secret, **options))
        runner = web.AppRunner(app)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/hook"

    runners = []
    yield serving
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def post(start, serve):
    """Post to a handler, and return the status and text of the response."""
    session = await start(aiohttp.ClientSession())

    async def posting(body, headers, url=None):
        async with session.post(url or await serve(), data=body, headers=headers) as response:
            return response.status, await response.text()

    return posting


def fresh(body=BODY, **changes):
    return signed(body, int(time.time()), **changes)


MIB = 1024 * 1024


def header_lines(headers):
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())


async def in_pieces(body, size=7):
    for at in range(0, len(body), size):
        yield body[at : at + size]
        await asyncio.sleep(0)


async def raw(url, head, body):
    """Send raw bytes, and return the status of the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2].split("/")[0]))
    try:
        writer.write(b"POST /hook HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n" + body)
        await writer.drain()
        return int((await asyncio.wait_for(reader.readline(), 5)).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


async def test_delivery_is_answered_with_204(post):
    assert await post(BODY, fresh()) == (204, "")


async def test_chunked_delivery_is_accepted(post):
    assert await post(in_pieces(BODY), fresh()) == (204, "")


async def test_handler_accepts_several_secrets_and_a_tolerance(post, serve):
    """The secrets are read once: the first delivery must not exhaust an iterator."""
    url = await serve(iter([SECRET, "another"]), tolerance=5.0)
    assert await post(BODY, fresh(), url) == (204, "")
    assert await post(BODY, fresh(secret="another"), url) == (204, "")
    assert (await post(BODY, signed(timestamp=int(time.time()) - 60), url))[0] == 401


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (BODY, dict, 401),
        (BODY, lambda: fresh(secret="guessed"), 401),
        (BODY, lambda: fresh() | {"X-Signature": "подпись"}, 401),
        (BODY, lambda: signed(timestamp=5), 401),
        (b"", dict, 401),
        (b"{", lambda: fresh(b"{"), 400),
        (b"\xff", lambda: fresh(b"\xff"), 400),
        (b"[]", lambda: fresh(b"[]"), 400),
    ],
)
async def test_refused_delivery_has_a_status_and_a_reason(post, body, headers, status):
    answered, text = await post(body, headers())
    assert answered == status
    assert text
    assert SECRET not in text
    assert digest().hex() not in text


@pytest.mark.parametrize("sign", [lambda: b"", lambda: header_lines(signed(timestamp=5))], ids=["unsigned", "old"])
async def test_a_body_is_not_read_without_a_signature_and_a_fresh_timestamp(serve, sign):
    """The header announces 10 GB, and no byte is sent."""
    assert await raw(await serve(), sign() + b"Content-Length: 10000000000\r\n", b"") == 401


async def test_body_over_the_limit_is_refused_before_it_is_complete(serve):
    """The header announces 10 GB, but only one byte over the limit is sent."""
    head = header_lines(fresh()) + b"Content-Length: 10000000000\r\n"
    assert await raw(await serve(max_bytes=MIB), head, b"x" * (MIB + 1)) == 400


async def test_endless_chunks_are_refused(serve):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = header_lines(fresh()) + b"Transfer-Encoding: chunked\r\n"
    assert await raw(await serve(max_bytes=MIB), head, chunk * 17) == 400


async def test_body_over_the_limit_after_decompression_is_refused(serve):
    body = zlib.compress(b" " * 50_000_000)
    head = header_lines(fresh()) + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n" % len(body)
    assert await raw(await serve(max_bytes=MIB), head, body) == 400


async def test_a_body_is_held_once_while_it_is_read(serve):
    """Anybody may send a body: joining its parts at the end would take several times its memory."""
    body = zlib.compress(bytes(64 * MIB))
    head = header_lines(fresh()) + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n" % len(body)
    url = await serve(max_bytes=16 * MIB)
    tracemalloc.start()
    try:
        assert await raw(url, head, body) == 400
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * MIB


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
async def test_body_that_cannot_be_decompressed_is_a_bad_request(serve, encoding):
    """A status of 500 would raise an alarm at the receiver."""
    head = header_lines(fresh()) + b"Content-Encoding: %s\r\nContent-Length: 9\r\n" % encoding
    assert await raw(await serve(), head, b"abcabcabc") == 400


async def test_sender_that_disconnects_halfway_does_no_harm(post, serve):
    url = await serve()
    _, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2].split("/")[0]))
    head = b"POST /hook HTTP/1.1\r\nHost: localhost\r\n" + header_lines(fresh())
    writer.write(head + b"Content-Length: 100\r\n\r\nabc")
    await writer.drain()
    writer.transport.abort()
    assert await post(BODY, fresh(), url) == (204, "")


async def test_sender_that_closes_the_connection_halfway_raises_no_alarm(serve, caplog):
    """Anybody can do that: an error with a traceback in the log would wake an operator."""
    url = await serve()
    with caplog.at_level(logging.INFO, "aiohttp"):
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2].split("/")[0]))
        head = b"POST /hook HTTP/1.1\r\nHost: localhost\r\n" + header_lines(fresh())
        writer.write(head + b"Content-Length: 100\r\n\r\nabc")
        writer.close()
        while not any("POST /hook" in message for message in caplog.messages):
            await asyncio.sleep(0.001)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_delivery_after_closing_the_client_does_no_harm(sandbox, serve, post, client):
    url = await serve()
    await client.aclose()
    assert await post(BODY, fresh(), url) == (204, "")


def test_handler_can_be_made_before_the_event_loop_runs():
    """As `web.Application()` can."""
    assert callable(aiohttp_webhook_handler(AsyncVoiceprintClient("key").deliver, SECRET))
