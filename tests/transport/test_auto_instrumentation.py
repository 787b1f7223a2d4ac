"""Spans of OpenTelemetry's own instrumentor of aiohttp, which adds trace hooks to every session."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from aiohttp_errors import KEY
from hostile_server import HostileServer, Play, answer, hang_up, reset, reset_early, silence, unused_port
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pyannote_voiceprint_async import AsyncVoiceprintClient, RetryPolicy, Timeouts, VoiceprintError

SIGNATURE = "X-Amz-Signature=not-to-be-shown"
PATH = "/bucket/a%2Fb%20c+d%C3%A9.wav"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Where the spans of all sessions of the test are."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    AioHttpClientInstrumentor().instrument(tracer_provider=provider)
    yield exporter
    AioHttpClientInstrumentor().uninstrument()
    provider.shutdown()


def puts(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == "PUT"]


def presigned(storage: str) -> bytes:
    """Return the response to `POST /v1/media/input`."""
    return answer(f'{{"url":"{storage}{PATH}?{SIGNATURE}"}}'.encode())


def shown(exporter: InMemorySpanExporter) -> str:
    return "".join(span.to_json() for span in exporter.get_finished_spans())


async def test_an_upload_is_shown_without_its_query(exporter, client, sandbox):
    assert (await client.upload(b"RIFF" * 1000)).startswith("media://")
    (put,) = puts(exporter)
    assert put.attributes["http.status_code"] == 200
    assert "?" not in put.attributes["http.url"]
    assert put.attributes["http.url"].startswith(sandbox.url)
    assert sandbox.api_key not in shown(exporter)


STORAGES: dict[str, Play] = {
    "accepts it": lambda wire: _respond(wire, answer(b"")),
    "refuses it": lambda wire: _respond(wire, answer(b"<Code>AccessDenied</Code>", "403 Forbidden")),
    "redirects it": lambda wire: _respond(wire, answer(b"", "307 No", Location="https://example.com/?a=b")),
    "is no HTTP": lambda wire: _respond(wire, b"hello\r\n\r\n"),
    "sends too long a header": lambda wire: _respond(wire, answer(b"", **{"X-Long": "x" * 200_000})),
    "hangs up": hang_up,
    "resets the connection": reset,
    "resets the connection at once": reset_early,
    "does not respond": silence,
}


async def _respond(wire, response: bytes) -> None:
    await wire.body()
    await wire.send(response)


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
async def test_no_span_has_the_signature_whatever_the_storage_does(exporter, storage):
    async def serve(wire):
        if wire.asked.method == "PUT":
            await storage(wire)
        else:
            await _respond(wire, presigned(server.url))

    async with HostileServer(serve) as server:
        await try_upload(server.url)
        targets = {asked.target for asked in server.asked if asked.method == "PUT"}
    assert targets == {f"{PATH}?{SIGNATURE}"}
    assert {span.attributes["http.url"] for span in puts(exporter)} == {server.url + PATH}
    assert "not-to-be-shown" not in shown(exporter)


async def test_no_span_has_the_signature_when_the_storage_cannot_be_reached(exporter):
    refused = f"http://127.0.0.1:{unused_port()}"
    async with HostileServer() as silent:
        for storage in (refused, silent.url.replace("http", "https")):
            async with HostileServer(presigned(storage)) as server:
                await try_upload(server.url)
    kinds = {event.attributes["exception.type"] for span in puts(exporter) for event in span.events}
    assert {kind.rpartition(".")[2] for kind in kinds} == {"ClientConnectorError", "ConnectionTimeoutError"}
    assert "not-to-be-shown" not in shown(exporter)


async def try_upload(base_url: str) -> None:
    """Upload twice, because aiohttp treats a connection that is used again differently."""
    async with AsyncVoiceprintClient(
        KEY,
        base_url=base_url,
        retry=RetryPolicy(max_tries=2, base=0.001),
        timeouts=Timeouts(connect=0.2, read=0.2, total=2.0, upload_stall=0.2),
    ) as client:
        for _ in range(2):
            with suppress(VoiceprintError):
                await client.upload(b"RIFF" * 100_000)
