"""The `on_event` of a client that makes spans and metrics."""

from __future__ import annotations

from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import TracerProvider, get_tracer

from pyannote_voiceprint_async.events import ClientEvent
from pyannote_voiceprint_async.version import __version__

from .metric_recorder import MetricRecorder
from .span_recorder import SpanRecorder

__all__ = ["OpenTelemetryEvents"]

_NAME = "pyannote_voiceprint_async"


class OpenTelemetryEvents:
    """Makes spans and metrics of the events of a client: `AsyncVoiceprintClient(on_event=OpenTelemetryEvents())`.

    The module's docstring lists both. One object may serve several clients.

    Args:
        tracer_provider: where the spans go; by default the global tracer provider.
        meter_provider: where the metrics go; by default the global meter provider.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._spans = SpanRecorder(get_tracer(_NAME, __version__, tracer_provider))
        self._metrics = MetricRecorder(get_meter(_NAME, __version__, meter_provider))

    def __call__(self, event: ClientEvent) -> None:
        """Record an event."""
        # In this order, the span of an operation that ends is still the current one, for exemplars of its metrics.
        self._metrics.record(event)
        self._spans.record(event)
