"""The outcome of one POST, over real sockets."""

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
    sender = WebhookSender(timeout=60.0)
    yield sender
    await sender.close()


async def post(sender, url):
    return await sender.post(url, b"{}", {"Content-Type": "application/json"})


@asynccontextmanager
async def raw_server(response: bytes, **options):
    """Run a server that reads once, sends these bytes and closes the connection. Yield its address."""

    async def serve(reader, writer):
        await reader.read(1000)
        writer.write(response)
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
        (302, (302, "http_error")),  # without a Location
        (404, (404, "http_error")),
        (429, (429, "http_error")),
        (500, (500, "http_error")),
    ],
)
async def test_only_a_2xx_is_a_delivery(sender, receiver, status, expected):
    receiver.behavior = [status]
    assert await post(sender, receiver.url) == expected


async def test_a_receiver_that_does_not_respond_in_time_is_a_timeout(receiver):
    receiver.behavior = ["hang"]
    sender = WebhookSender(timeout=0.02)
    assert await post(sender, receiver.url) == (None, "http_timeout")
    await sender.close()


async def test_a_receiver_that_disconnects_is_a_failed_connection(sender, receiver):
    receiver.behavior = ["drop"]
    assert await post(sender, receiver.url) == (None, "connection_failed")


async def test_a_receiver_that_does_not_listen_is_a_failed_connection(sender):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # but does not listen
        assert await post(sender, f"http://127.0.0.1:{taken.getsockname()[1]}/") == (None, "connection_failed")


async def test_a_redirect_loop_ends_after_three_redirects(sender, receiver):
    receiver.behavior = ["loop"]
    assert await post(sender, receiver.url) == (None, "too_many_redirects")
    assert len(receiver.received) == 4


@pytest.mark.parametrize(("redirects", "expected"), [(3, (200, None)), (4, (None, "too_many_redirects"))])
async def test_three_redirects_are_followed(sender, receiver, redirects, expected):
    receiver.behavior = ["loop"] * redirects + [200]
    assert await post(sender, receiver.url) == expected


@pytest.mark.parametrize("where", ["http://192.0.2.1/hook", "http://example.com/hook"])
async def test_a_redirect_to_plain_http_on_another_machine_is_refused(sender, where):
    """The refusal precedes name resolution and connection, which would be a `connection_failed`."""
    response = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(response.encode()) as address:
        assert await post(sender, f"http://{address}/") == (None, "unknown_error")


async def test_an_untrusted_certificate_is_an_ssl_error(sender):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with raw_server(b"", ssl=context) as address:
        assert await post(sender, f"https://{address}/") == (None, "ssl_error")


async def test_a_server_without_tls_is_an_ssl_error(sender):
    async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        assert await post(sender, f"https://{address}/") == (None, "ssl_error")


async def test_a_response_that_is_not_http_is_an_http_error(sender):
    async with raw_server(b"hello\r\n\r\n") as address:
        assert await post(sender, f"http://{address}/") == (None, "http_error")


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "https://\ud800/"])
async def test_an_unusable_url_is_an_unknown_error(sender, url):
    assert await post(sender, url) == (None, "unknown_error")


async def test_body_and_headers_are_sent_unchanged(sender, receiver):
    await sender.post(receiver.url, b'{"a":  1}', {"X-Signature": "x"})
    (received,) = receiver.received
    assert (received.path, received.body, received.headers["X-Signature"]) == ("/hook", b'{"a":  1}', "x")


async def test_closing_leaves_no_open_connection(receiver):
    sender = WebhookSender(timeout=60.0)
    await post(sender, receiver.url)
    await sender.close()
    await sender.close()
    del sender
    gc.collect()  # an unclosed session or transport emits a warning here, and warnings are errors
