import asyncio
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of
from pyannote_voiceprint_async.sandbox.uploads import LARGEST_BYTES


def code_of(body):
    return ET.fromstring(body).findtext("Code")  # noqa: S314  our own server's words


def complaint(reply):
    assert reply.headers["Content-Type"] == "application/xml"
    return reply.status, code_of(reply.body)


async def end_of(caller, time, url):
    """How a job of this URL ends, and its output."""
    job_id = (await caller.submit(url)).json["jobId"]
    await time.advance(1.0)
    job = await caller.job(job_id)
    return job["status"], job["output"]


FAILED = ("failed", {"error": "Could not load audio"})


@pytest.mark.parametrize("key", ["voice.wav", "team/voice_1.wav", "../a/./b//c", "-"])
async def test_an_uploaded_file_makes_the_voiceprint_of_its_bytes(caller, time, wav, key):
    data = wav(1.0)
    assert (await caller.put(await caller.presign(f"media://{key}"), data)).status == 200
    assert await end_of(caller, time, f"media://{key}") == ("succeeded", {"voiceprint": voiceprint_of(data)})


@pytest.fixture
def conversation(speech):
    return (speech.parent / "conversation" / "conversation.flac").read_bytes()


async def test_a_file_that_is_too_long_fails(caller, time, conversation):
    await caller.put(await caller.presign("media://long"), conversation)
    assert await end_of(caller, time, "media://long") == FAILED


@pytest.mark.parametrize("data", [b"", b"this is no audio"])
async def test_a_file_that_is_no_audio_fails(caller, time, data):
    assert (await caller.put(await caller.presign("media://text"), data)).status == 200
    assert await end_of(caller, time, "media://text") == FAILED


async def test_an_asked_for_upload_that_never_came_fails(caller, time):
    await caller.presign("media://voice.wav")
    assert await end_of(caller, time, "media://voice.wav") == FAILED


async def test_a_file_is_gone_after_a_day(caller, time, wav):
    await caller.put(await caller.presign("media://voice.wav"), wav(1.0))
    await time.advance(24 * 3600)
    assert await end_of(caller, time, "media://voice.wav") == FAILED


async def test_a_job_keeps_the_file_that_it_was_submitted_with(caller, time, wav):
    one, two = wav(1.0), wav(2.0)
    await caller.put(await caller.presign("media://voice.wav"), one)
    first = (await caller.submit("media://voice.wav")).json["jobId"]
    await caller.put(await caller.presign("media://voice.wav"), two)
    second = (await caller.submit("media://voice.wav")).json["jobId"]
    await time.advance(1.0)
    outputs = [(await caller.job(job_id))["output"]["voiceprint"] for job_id in (first, second)]
    assert outputs == [voiceprint_of(one), voiceprint_of(two)]


async def chunks():
    yield b"RIFF"


@pytest.mark.parametrize(
    ("tamper", "data", "headers", "expected"),
    [
        (lambda url: url, b"x", {"Authorization": "Bearer sandbox-key"}, (400, "InvalidArgument")),
        (lambda url: url.partition("?")[0], b"x", {}, (403, "AccessDenied")),
        (lambda url: url + "0", b"x", {}, (403, "SignatureDoesNotMatch")),
        (lambda url: url.replace("Expires=3600", "Expires=9999"), b"x", {}, (403, "SignatureDoesNotMatch")),
        (lambda url: url.replace("/_media/", "/_media/x"), b"x", {}, (403, "SignatureDoesNotMatch")),
        (lambda url: url.replace("nature=", "nature=%C3%BC"), b"x", {}, (403, "SignatureDoesNotMatch")),
        (lambda url: url, chunks(), {}, (501, "NotImplemented")),
    ],
    ids=["key", "unsigned", "signature", "longer", "other file", "not ASCII", "chunked"],
)
async def test_an_upload_that_is_refused(caller, tamper, data, headers, expected):
    url = tamper(await caller.presign("media://voice.wav"))
    assert complaint(await caller.put(url, data, headers=headers)) == expected


async def test_a_client_that_waits_to_be_asked_is_asked(caller, wav):
    """With `Expect: 100-continue` no byte of the body moves before the server says so."""
    reply = await caller.put(await caller.presign("media://voice.wav"), wav(1.0), expect100=True)
    submission = await caller.post("/v1/voiceprint", {"url": "media://voice.wav"}, expect100=True)
    assert (reply.status, submission.status) == (200, 200)
    assert [job.fate for job in caller.sandbox.accepted] == ["succeeded"]


async def test_a_presigned_url_grows_old(open_sandbox, time):
    caller = await open_sandbox(presigned_seconds=60)
    url = await caller.presign("media://voice.wav")
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["60"]
    await time.advance(60)
    assert (await caller.put(url, b"x")).status == 200
    await time.advance(1)
    assert complaint(await caller.put(url, b"x")) == (403, "AccessDenied")


async def test_only_put_is_allowed(caller):
    url = await caller.presign("media://voice.wav")
    async with caller.bare.get(url) as response:
        assert (response.status, response.headers["Allow"]) == (405, "PUT")


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("", 411, "MissingContentLength"),
        (f"Content-Length: {LARGEST_BYTES + 1}\r\n", 400, "EntityTooLarge"),
    ],
)
async def test_an_upload_is_refused_by_its_length_before_its_body(caller, header, status, code):
    """HTTP says that a PUT without Content-Length has no body; object storages refuse it."""
    url = urlsplit(await caller.presign("media://voice.wav"))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readuntil(b"</Error>")
    writer.close()
    await writer.wait_closed()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert code_of(body) == code


async def test_chunked_uploads_can_be_allowed(open_sandbox, time, wav):
    caller = await open_sandbox(chunked_put=True)

    async def pieces():
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    data = wav(1.0)
    assert (await caller.put(await caller.presign("media://voice.wav"), pieces())).status == 200
    assert await end_of(caller, time, "media://voice.wav") == (
        "succeeded",
        {"voiceprint": voiceprint_of(data)},
    )


async def test_a_chunked_upload_is_cut_off_at_the_limit(open_sandbox):
    caller = await open_sandbox(chunked_put=True)

    async def pieces():
        for _ in range(LARGEST_BYTES // 2**20 + 1):
            yield bytes(2**20)

    reply = await caller.put(await caller.presign("media://voice.wav"), pieces())
    assert complaint(reply) == (400, "EntityTooLarge")


async def test_half_an_upload_is_none(caller, time, wav, caplog):
    """The client leaves before its last byte: nothing is stored."""
    data = wav(1.0)
    url = urlsplit(await caller.presign("media://voice.wav"))
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data[:-1])
    await writer.drain()
    while not caller.sandbox.state.operations["upload"].in_flight:
        await asyncio.sleep(0.001)
    writer.close()
    while caller.sandbox.state.operations["upload"].in_flight:
        await asyncio.sleep(0.001)
    assert caplog.messages == []
    assert await end_of(caller, time, "media://voice.wav") == FAILED
