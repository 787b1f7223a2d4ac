"""Without an asyncio event loop, each operation raises one clear error and leaves no coroutine behind."""

import asyncio
import copy
import pickle

import pytest
from enrollment_world import people

from pyannote_voiceprint_async import AsyncVoiceprintClient, ConfigurationError
from pyannote_voiceprint_async.concurrency.event_loop import running_loop
from pyannote_voiceprint_async.enrollment import enroll

URL = "https://example.com/voice.wav"


def client() -> AsyncVoiceprintClient:
    return AsyncVoiceprintClient("sk-1", base_url="http://127.0.0.1:9")


async def entered():
    async with client():
        pass


async def all_of(items):
    async with items:
        async for _ in items:
            pass


async def listed():
    async for _ in client().list_jobs():
        pass


async def enrolled(ledger):
    async with enroll(client(), people(1), ledger) as run:
        async for _ in run:
            pass


OPERATIONS = {
    "async with": entered,
    "submit": lambda: client().submit(URL),
    "submit_many": lambda: all_of(client().submit_many([URL])),
    "wait": lambda: client().wait("job-1"),
    "voiceprint of a URL": lambda: client().voiceprint(URL),
    "voiceprint of bytes": lambda: client().voiceprint(b"RIFF"),
    "voiceprint_many": lambda: all_of(client().voiceprint_many([URL])),
    "upload": lambda: client().upload(b"RIFF"),
    "get_job": lambda: client().get_job("job-1"),
    "list_jobs": listed,
    "check_key": lambda: client().check_key(),
}


def by_hand(operation):
    """Run a coroutine that never waits, without an event loop."""
    operation().send(None)


def under_trio(operation):
    import trio

    trio.run(operation)


@pytest.mark.parametrize("run", [by_hand, under_trio])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_asyncio_each_operation_raises_a_helpful_error(operation, run):
    with pytest.raises(ConfigurationError, match="asyncio") as caught:
        run(OPERATIONS[operation])
    assert (caught.value.retryable, caught.value.outcome_unknown) == (False, False)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("run", [by_hand, under_trio])
def test_without_asyncio_an_enrollment_raises_a_helpful_error(tmp_path, run):
    with pytest.raises(ConfigurationError, match="asyncio"):
        run(lambda: enrolled(tmp_path / "x.ledger"))
    assert list(tmp_path.iterdir()) == []


async def test_the_running_loop_is_returned():
    assert running_loop() is asyncio.get_running_loop()


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        *[lambda client, protocol=protocol: pickle.dumps(client, protocol) for protocol in range(6)],
    ],
)
def test_a_client_cannot_be_pickled_or_copied(duplicate):
    with pytest.raises(TypeError, match="in each process") as caught:
        duplicate(client())
    assert "sk-1" not in str(caught.value)


async def test_a_client_in_use_cannot_be_pickled(client):
    with pytest.raises(TypeError, match="in each process"):
        pickle.dumps({"client": client})
