import asyncio
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest

from pyannote_voiceprint_async.sandbox import uploads, voiceprint_of
from pyannote_voiceprint_async.sandbox.uploads import LARGEST_BYTES


def error_code(body):
    return ET.fromstring(body).findtext("Code")  # noqa: S314  the XML comes from the sandbox


def status_and_code(response):
    """Return the status and the error code of a refused upload."""
    assert response.headers["Content-Type"] == "application/xml"
    return response.status, error_code(response.body)


async def final_job(client, clock, url):
    """Submit a URL. Return the final status of the job, and its output."""
    job_id = (await client.submit(url)).json["jobId"]
    await clock.advance(1.0)
    job = await client.job(job_id)
    return job["status"], job["output"]


FAILED = ("failed", {"error": "Could not load audio"})


@pytest.mark.parametrize("key", ["voice.wav", "team/voice_1.wav", "../a/./b//c", "-"])
async def test_the_voiceprint_of_an_uploaded_file_depends_on_its_bytes(client, clock, wav, key):
    data = wav(1.0)
    assert (await client.put(await client.presign(f"media://{key}"), data)).status == 200
    assert await final_job(client, clock, f"media://{key}") == ("succeeded", {"voiceprint": voiceprint_of(data)})


@pytest.fixture
def conversation(speech):
    return (speech.parent / "conversation" / "conversation.flac").read_bytes()


async def test_a_job_of_a_file_that_is_too_long_fails(client, clock, conversation):
    await client.put(await client.presign("media://long"), conversation)
    assert await final_job(client, clock, "media://long") == FAILED


@pytest.mark.parametrize("data", [b"", b"this is not audio"])
async def test_a_job_of_a_file_that_is_not_audio_fails(client, clock, data):
    assert (await client.put(await client.presign("media://text"), data)).status == 200
    assert await final_job(client, clock, "media://text") == FAILED


async def test_a_job_of_a_file_that_was_never_uploaded_fails(client, clock):
    await client.presign("media://voice.wav")
    assert await final_job(client, clock, "media://voice.wav") == FAILED


async def test_a_file_expires_after_a_day(client, clock, wav):
    await client.put(await client.presign("media://voice.wav"), wav(1.0))
    await clock.advance(24 * 3600)
    assert await final_job(client, clock, "media://voice.wav") == FAILED


async def test_a_later_upload_does_not_change_a_submitted_job(client, clock, wav):
    one, two = wav(1.0), wav(2.0)
    await client.put(await client.presign("media://voice.wav"), one)
    first = (await client.submit("media://voice.wav")).json["jobId"]
    await client.put(await client.presign("media://voice.wav"), two)
    second = (await client.submit("media://voice.wav")).json["jobId"]
    await clock.advance(1.0)
    outputs = [(await client.job(job_id))["output"]["voiceprint"] for job_id in (first, second)]
    assert outputs == [voiceprint_of(one), voiceprint_of(two)]


async def chunked_body():
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
        (lambda url: url, chunked_body(), {}, (501, "NotImplemented")),
    ],
    ids=["key", "unsigned", "signature", "longer", "other file", "not ASCII", "chunked"],
)
async def test_invalid_uploads_are_refused(client, tamper, data, headers, expected):
    url = tamper(await client.presign("media://voice.wav"))
    assert status_and_code(await client.put(url, data, headers=headers)) == expected


async def test_a_presigned_url_expires(open_sandbox, clock):
    client = await open_sandbox(presigned_seconds=60)
    url = await client.presign("media://voice.wav")
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["60"]
    await clock.advance(60)
    assert (await client.put(url, b"x")).status == 200
    await clock.advance(1)
    assert status_and_code(await client.put(url, b"x")) == (403, "AccessDenied")


async def test_only_put_is_allowed(client):
    url = await client.presign("media://voice.wav")
    async with client.bare.get(url) as response:
        assert (response.status, response.headers["Allow"]) == (405, "PUT")


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("", 411, "MissingContentLength"),
        (f"Content-Length: {LARGEST_BYTES + 1}\r\n", 400, "EntityTooLarge"),
    ],
)
async def test_an_upload_with_a_wrong_length_is_refused_before_its_body(client, header, status, code):
    """In HTTP a PUT without Content-Length has an empty body, but object storages refuse it."""
    url = urlsplit(await client.presign("media://voice.wav"))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readuntil(b"</Error>")
    writer.close()
    await writer.wait_closed()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert error_code(body) == code


async def test_chunked_uploads_can_be_allowed(open_sandbox, clock, wav):
    client = await open_sandbox(chunked_put=True)

    async def chunks():
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    data = wav(1.0)
    assert (await client.put(await client.presign("media://voice.wav"), chunks())).status == 200
    assert await final_job(client, clock, "media://voice.wav") == (
        "succeeded",
        {"voiceprint": voiceprint_of(data)},
    )


async def test_a_chunked_upload_above_the_limit_is_refused(open_sandbox, monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST_BYTES", 3 * 2**20)
    client = await open_sandbox(chunked_put=True)

    async def chunks():
        for _ in range(4):
            yield bytes(2**20)

    response = await client.put(await client.presign("media://voice.wav"), chunks())
    assert status_and_code(response) == (400, "EntityTooLarge")


async def test_an_incomplete_upload_is_not_stored(client, clock, wav, caplog):
    """The client disconnects before the last byte of the file. Nothing is logged."""
    data = wav(1.0)
    url = urlsplit(await client.presign("media://voice.wav"))
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data[:-1])
    await writer.drain()
    while not client.sandbox.state.operations["upload"].in_flight:
        await asyncio.sleep(0.001)
    writer.close()
    while client.sandbox.state.operations["upload"].in_flight:
        await asyncio.sleep(0.001)
    assert caplog.messages == []
    assert await final_job(client, clock, "media://voice.wav") == FAILED
