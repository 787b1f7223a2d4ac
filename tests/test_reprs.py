"""`repr()` works for every public object at every moment: tracebacks and debuggers show objects that are half built."""

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
# An enumeration's members exist as a whole or not at all.
CLASSES = [kind for kind in PUBLIC if inspect.isclass(kind) and not hasattr(kind, "__members__")]


@pytest.mark.parametrize("kind", [*CLASSES, Enrollment, Ledger, Manifest, Sandbox])
def test_an_object_without_attributes_has_a_repr(kind):
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
def test_a_client_whose_constructor_failed_is_shown_in_its_traceback(wrong):
    with pytest.raises(ConfigurationError) as caught:
        AsyncVoiceprintClient(**{"api_key": "sk-1"} | WRONG[wrong])
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    selves = [frame.locals["self"] for frame in shown.stack if frame.locals and "self" in frame.locals]
    assert selves == ["<AsyncVoiceprintClient, not constructed>"]


def test_a_throttle_whose_constructor_failed_is_shown_in_its_traceback():
    with pytest.raises(ConfigurationError) as caught:
        RateLimiter(0)
    assert traceback.TracebackException.from_exception(caught.value, capture_locals=True)


async def test_the_client_shows_where_the_api_is_and_what_it_does(client, sandbox):
    assert repr(client) == f"<AsyncVoiceprintClient {sandbox.url} in_flight=0 queued=0>"
    await client.aclose()
    assert repr(client) == f"<AsyncVoiceprintClient {sandbox.url} in_flight=0 queued=0 closed>"


async def test_the_client_never_shows_its_key_webhook_or_proxy(start):
    client = await start(
        AsyncVoiceprintClient(
            SECRET, webhook=f"https://example.com/?token={SECRET}", proxy=f"http://user:{SECRET}@127.0.0.1:9"
        )
    )
    assert SECRET not in repr(client)


SAID = f"see https://h.example/a b.wav?code={SECRET} and token%3D{SECRET}"
SHOWN = [
    package.JobCreated("job-1", warning=SAID),
    package.KeyStatus("OK", SAID),
    package.VoiceprintOutput(SECRET, SAID, SAID),
    package.VoiceprintJob("job-1", "failed", output=package.VoiceprintOutput(SECRET, SAID, SAID), extra={"a": SECRET}),
    package.Voiceprint(SECRET, "precision-2", "job-1", warnings=(SAID,)),
    VoiceprintRequest(f"https://h.example/a.wav?code={SECRET}", webhook=f"https://me:{SECRET}@h.example/?a={SECRET}"),
    WebhookEvent("job-1", "failed", package.VoiceprintOutput(None, SAID, SAID), retry_reason=SAID),
    package.Submission(0, f"https://h.example/a.wav?code={SECRET}"),
    package.VoiceprintResult(0, f"https://h.example/a.wav?code={SECRET}", package.Voiceprint(SECRET, "m", "job-1")),
    package.VoiceprintResult(0, SECRET.encode()),
]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: type(shown).__name__)
def test_no_public_object_shows_a_secret(shown):
    assert SECRET not in repr(shown)
    assert SECRET not in str(shown)


def test_a_repr_that_works_is_left_alone():
    @safe_repr
    class Fine:
        def __repr__(self) -> str:
            return "fine"

    assert repr(Fine()) == "fine"
