"""The hook, with the global providers and without OpenTelemetry."""

import importlib
import sys

import pytest
from opentelemetry import metrics, trace

from pyannote_voiceprint_async import AsyncVoiceprintClient
from pyannote_voiceprint_async.otel import OpenTelemetryEvents

URL = "https://example.com/a.wav"


async def test_without_a_configured_sdk_the_hook_does_nothing(start, sandbox):
    hook = OpenTelemetryEvents()
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, on_event=hook))
    assert (await client.submit(URL)).job_id == sandbox.accepted[0].id
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_the_hook_sets_no_global_provider():
    before = trace.get_tracer_provider(), metrics.get_meter_provider()
    OpenTelemetryEvents()
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == before


def test_without_the_extra_the_error_names_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pyannote_voiceprint_async.otel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(ImportError, match=r"pip install 'pyannote-voiceprint-async\[otel\]'"):
        importlib.import_module("pyannote_voiceprint_async.otel")
