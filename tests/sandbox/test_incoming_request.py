import asyncio
import io


async def test_a_presigned_url_has_the_host_of_the_request(client):
    """A client behind a forwarded port cannot reach the sandbox's own address."""
    headers = {"Host": "sandbox.test:8443"}
    response = await client.post("/v1/media/input", {"url": "media://voice.wav"}, headers=headers)
    assert response.json["url"].startswith("http://sandbox.test:8443/_media/")


async def test_a_body_that_is_too_large_is_413(client):
    response = await client.post("/v1/voiceprint", data=io.BytesIO(bytes(16 * 1024**2 + 1)))
    assert (response.status, sorted(response.json)) == (413, ["message", "requestId"])


async def test_an_incomplete_submission_is_not_accepted(client, caplog):
    """The client disconnects before the last byte of the body. Nothing is logged."""
    host, port = client.sandbox.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/voiceprint HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-key\r\n"
        b'Content-Length: 100\r\n\r\n{"url": "https://example.com"}'
    )
    while not client.sandbox.state.total.in_flight:
        await asyncio.sleep(0.001)
    writer.close()
    while client.sandbox.state.total.in_flight:
        await asyncio.sleep(0.001)
    assert (client.sandbox.state.total.requests, client.sandbox.accepted) == (1, [])
    assert caplog.messages == []
