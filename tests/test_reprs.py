"""`repr()` never raises, also for half-constructed objects, which tracebacks and debuggers show."""

import inspect
import traceback

import pytest

import pyannote_voiceprint_async as package
from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ConfigurationError,
    RateLimiter,
    VoiceprintRequest,
    WebhookEvent,
)
from pyannote_voiceprint_async.enrollment import Enrollment, Ledger, Manifest
from pyannote_voiceprint_async.reprs import safe_repr
from pyannote_voiceprint_async.sandbox import Sandbox

SECRET = "5ec7e7-THIS-IS-A-SECRET"
PUBLIC = [getattr(package, name) for name in package.__all__]
# Members of an enumeration are never half-constructed.
# Nor are dictionaries.
CLASSES = [
    kind for kind in PUBLIC if inspect.isclass(kind) and not hasattr(kind, "__members__") and not issubclass(kind, dict)
]


@pytest.mark.parametrize("kind", [*CLASSES, Enrollment, Ledger, Manifest, Sandbox])
def test_object_without_attributes_has_a_repr(kind):
    assert kind.__name__ in repr(kind.__new__(kind))


WRONG = {
    "key": {"api_key": "sk x"},
    "base URL": {"base_url": "x"},
    "webhook": {"webhook": "http://example.com"},
    "proxy": {"proxy": "x"},
    "concurrency": {"max_concurrency": 0},
    "uploads": {"max_uploads": 0},
    "settings": {"retry": 5},
    "session": {"session": 5},
    "queue": {"max_queue_wait": -1},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_traceback_shows_a_client_whose_constructor_failed(wrong):
    with pytest.raises(ConfigurationError) as caught:
        AsyncVoiceprintClient(**{"api_key": "sk-1"} | WRONG[wrong])
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    selves = [frame.locals["self"] for frame in shown.stack if frame.locals and "self" in frame.locals]
    assert selves == ["<AsyncVoiceprintClient, not constructed>"]


def test_traceback_shows_a_rate_limiter_whose_constructor_failed():
    with pytest.raises(ConfigurationError) as caught:
        RateLimiter(0)
    assert traceback.TracebackException.from_exception(caught.value, capture_locals=True)


async def test_repr_of_a_client_shows_base_url_and_counts(client, sandbox):
    assert repr(client) == f"<AsyncVoiceprintClient {sandbox.url} in_flight=0 queued=0>"
    await client.aclose()
    assert repr(client) == f"<AsyncVoiceprintClient {sandbox.url} in_flight=0 queued=0 closed>"


async def test_repr_of_a_client_never_shows_key_webhook_or_proxy(start):
    client = await start(
        AsyncVoiceprintClient(
            SECRET, webhook=f"https://example.com/?token={SECRET}", proxy=f"http://user:{SECRET}@127.0.0.1:9"
        )
    )
    assert SECRET not in repr(client)


MESSAGE = f"see https://h.example/a b.wav?code={SECRET} and token%3D{SECRET}"
OBJECTS = [
    package.JobCreated("job-1", warning=MESSAGE),
    package.KeyStatus("OK", MESSAGE),
    package.VoiceprintOutput(SECRET, MESSAGE, MESSAGE),
    package.Job("job-1", "failed", output=package.VoiceprintOutput(SECRET, MESSAGE, MESSAGE), extra={"a": SECRET}),
    package.Voiceprint(SECRET, "precision-2", "job-1", warnings=(MESSAGE,)),
    VoiceprintRequest(f"https://h.example/a.wav?code={SECRET}", webhook=f"https://me:{SECRET}@h.example/?a={SECRET}"),
    WebhookEvent("job-1", "failed", package.VoiceprintOutput(None, MESSAGE, MESSAGE), retry_reason=MESSAGE),
    package.Submission(0, f"https://h.example/a.wav?code={SECRET}"),
    package.VoiceprintResult(0, f"https://h.example/a.wav?code={SECRET}", package.Voiceprint(SECRET, "m", "job-1")),
    package.VoiceprintResult(0, SECRET.encode()),
]


@pytest.mark.parametrize("shown", OBJECTS, ids=lambda shown: type(shown).__name__)
def test_no_public_object_shows_a_secret(shown):
    assert SECRET not in repr(shown)
    assert SECRET not in str(shown)


def test_safe_repr_keeps_a_working_repr():
    @safe_repr
    class Fine:
        def __repr__(self) -> str:
            return "fine"

    assert repr(Fine()) == "fine"
