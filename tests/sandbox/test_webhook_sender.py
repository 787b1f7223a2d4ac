"""What becomes of one POST, over real sockets."""

import asyncio
import gc
import socket
import ssl
from contextlib import asynccontextmanager

import pytest
import trustme

from pyannote_voiceprint_async.sandbox.webhook_sender import WebhookSender


@pytest.fixture
async def sender():
    sender = WebhookSender(seconds=60.0)
    yield sender
    await sender.close()


async def post(sender, url):
    return await sender.post(url, b"{}", {"Content-Type": "application/json"})


@asynccontextmanager
async def server_that_says(answer: bytes, **options):
    """A server that reads one piece, says this and leaves."""

    async def serve(reader, writer):
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, **options) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, (200, None)),
        (204, (204, None)),
        (299, (299, None)),
        (304, (304, "http_error")),
        (302, (302, "http_error")),  # it says not where to go
        (404, (404, "http_error")),
        (429, (429, "http_error")),
        (500, (500, "http_error")),
    ],
)
async def test_answers(sender, receiver, status, expected):
    receiver.behaviour = [status]
    assert await post(sender, receiver.url) == expected


async def test_a_receiver_that_takes_too_long(receiver):
    receiver.behaviour = ["hang"]
    sender = WebhookSender(seconds=0.02)
    assert await post(sender, receiver.url) == (None, "http_timeout")
    await sender.close()


async def test_a_receiver_that_leaves_without_an_answer(sender, receiver):
    receiver.behaviour = ["drop"]
    assert await post(sender, receiver.url) == (None, "connection_failed")


async def test_a_receiver_that_is_not_there(sender):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        assert await post(sender, f"http://127.0.0.1:{taken.getsockname()[1]}/") == (None, "connection_failed")


async def test_a_redirect_loop(sender, receiver):
    receiver.behaviour = ["loop"]
    assert await post(sender, receiver.url) == (None, "too_many_redirects")
    assert len(receiver.received) == 4


@pytest.mark.parametrize(("redirects", "expected"), [(3, (200, None)), (4, (None, "too_many_redirects"))])
async def test_a_few_redirects_are_followed(sender, receiver, redirects, expected):
    receiver.behaviour = ["loop"] * redirects + [200]
    assert await post(sender, receiver.url) == expected


@pytest.mark.parametrize("where", ["http://192.0.2.1/hook", "http://example.com/hook"])
async def test_no_redirect_leads_to_plain_http_elsewhere(sender, where):
    """It is refused before anything is looked up or connected, which would be a `connection_failed`."""
    answer = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n"
    async with server_that_says(answer.encode()) as address:
        assert await post(sender, f"http://{address}/") == (None, "unknown_error")


async def test_a_certificate_that_nobody_signed(sender):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with server_that_says(b"", ssl=context) as address:
        assert await post(sender, f"https://{address}/") == (None, "ssl_error")


async def test_a_server_that_speaks_no_tls(sender):
    async with server_that_says(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        assert await post(sender, f"https://{address}/") == (None, "ssl_error")


async def test_an_answer_that_is_no_http(sender):
    async with server_that_says(b"hello\r\n\r\n") as address:
        assert await post(sender, f"http://{address}/") == (None, "http_error")


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "https://\ud800/"])
async def test_a_url_that_nobody_can_use_is_an_outcome_too(sender, url):
    assert await post(sender, url) == (None, "unknown_error")


async def test_the_bytes_of_the_body_are_sent_as_they_are(sender, receiver):
    await sender.post(receiver.url, b'{"a":  1}', {"X-Signature": "x"})
    (received,) = receiver.received
    assert (received.path, received.body, received.headers["X-Signature"]) == ("/hook", b'{"a":  1}', "x")


async def test_closing_leaves_nothing(receiver):
    sender = WebhookSender(seconds=60.0)
    await post(sender, receiver.url)
    await sender.close()
    await sender.close()
    del sender
    gc.collect()  # a session or transport that was not closed warns here, and warnings are errors
