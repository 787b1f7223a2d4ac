"""The calls that meet a fault. Each call has its own URL, by which the server identifies it."""

import asyncio
import errno
import io
import random
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from faults.stage import Stage

from pyannote_voiceprint_async import AsyncVoiceprintClient, JobCreated

Call = Callable[[Stage, str], Awaitable[Any]]
"""Makes one call with this URL, and returns or raises the result of the call."""

# The maximum number of loop iterations before a call starts, and before it is cancelled.
_BEGIN, _LEAVE = 200, 20
_RANDOM = random.Random(1)
_SPEAKERS = {"Ann": "voiceprint of Ann"}


def submit_with(client: AsyncVoiceprintClient, url: str) -> Awaitable[JobCreated]:
    """Submit a voiceprint, or with every second call an identification: a fault is the same for both."""
    return client.submit_identification(url, _SPEAKERS) if _is_identification(url) else client.submit(url)


def wait_with(client: AsyncVoiceprintClient, url: str, **options: Any) -> Coroutine[Any, Any, Any]:
    """Submit and wait, with every second call for an identification."""
    if _is_identification(url):
        return client.identify(url, _SPEAKERS, **options)
    return client.voiceprint(url, **options)


def _is_identification(url: str) -> bool:
    return int(urlsplit(url).path.rpartition("-")[2]) % 2 == 1


async def submit(stage: Stage, url: str) -> Any:
    return await submit_with(stage.client, url)


async def submit_alone(stage: Stage, url: str) -> Any:
    """Submit with a separate client, so that no other call affects its rate limiter."""
    return await submit_with(await stage.open(), url)


async def read(stage: Stage, url: str) -> Any:
    return await stage.client.get_job(urlsplit(url).path.rpartition("/")[2])


async def voiceprint(stage: Stage, url: str) -> Any:
    return await wait_with(stage.client, url, timeout=None)


async def voiceprint_in_no_time(stage: Stage, url: str) -> Any:
    return await wait_with(stage.client, url, timeout=500.0)


# Callers that are cancelled


async def cancel_before_the_first_byte(stage: Stage, url: str) -> Any:
    task = asyncio.ensure_future(submit_with(stage.client, url))
    await asyncio.sleep(0)
    task.cancel()
    return await task


async def cancel_in_flight(stage: Stage, url: str) -> Any:
    task = asyncio.ensure_future(submit_with(stage.client, url))
    await _until_seen(stage, url)
    task.cancel()
    return await task


async def cancel_at_any_moment(stage: Stage, url: str) -> Any:
    await _iterate(_RANDOM.randrange(_BEGIN))
    task = asyncio.ensure_future(submit_with(stage.client, url))
    await _iterate(_RANDOM.randrange(_LEAVE))
    task.cancel()
    return await task


async def cancel_twice(stage: Stage, url: str) -> Any:
    """Cancel again in the loop iteration in which the first cancellation ends the call."""
    task = asyncio.ensure_future(submit_with(stage.client, url))
    await _until_seen(stage, url)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    return await task


async def run_out_of_time(stage: Stage, url: str) -> Any:
    """End the call with a timeout of the caller."""
    task = asyncio.ensure_future(submit_with(stage.client, url))
    await _until_seen(stage, url)
    return await asyncio.wait_for(task, 0.0)


async def cancel_the_wait(stage: Stage, url: str) -> Any:
    task = await _until_submitted(stage.client, url)
    task.cancel()
    return await task


async def cancel_reading(stage: Stage, url: str) -> Any:
    task = asyncio.create_task(read(stage, url))
    await _until_seen(stage, urlsplit(url).path.rpartition("/")[2])
    task.cancel()
    return await task


async def close_in_flight(stage: Stage, url: str) -> Any:
    client = await stage.open()
    task = asyncio.ensure_future(submit_with(client, url))
    await _until_seen(stage, url)
    await client.aclose()
    return await task


async def close_in_the_wait(stage: Stage, url: str) -> Any:
    client = await stage.open()
    task = await _until_submitted(client, url)
    await client.aclose()
    return await task


async def _iterate(many: int) -> None:
    for _ in range(many):
        await asyncio.sleep(0)


async def _until_seen(stage: Stage, asked_for: str) -> None:
    while not stage.scene.seen[asked_for]:
        await asyncio.sleep(0.001)


async def _until_submitted(client: AsyncVoiceprintClient, url: str) -> asyncio.Task[Any]:
    """Start a call, and return its task when it waits for its job."""
    submitted = asyncio.Event()
    task = asyncio.create_task(wait_with(client, url, timeout=None, on_submitted=lambda _: submitted.set()))
    await submitted.wait()
    return task


# Files that cannot be read


async def enroll_nothing(stage: Stage, url: str) -> Any:
    return await stage.client.voiceprint(Path("/nowhere") / Path(urlsplit(url).path).name, timeout=None)


async def enroll_a_folder(stage: Stage, url: str) -> Any:
    return await stage.client.voiceprint(Path(__file__).parent, timeout=None)


async def enroll_an_empty_file(stage: Stage, url: str) -> Any:
    return await stage.client.voiceprint(b"", timeout=None)


async def enroll_a_bad_sector(stage: Stage, url: str) -> Any:
    return await stage.client.voiceprint(_BadSector(bytes(1000)), timeout=None, check=False)


async def enroll_a_file_that_shrinks(stage: Stage, url: str) -> Any:
    return await stage.client.voiceprint(_Shrinking(bytes(1000)), timeout=None, check=False)


async def enroll_a_file_that_grows(stage: Stage, url: str) -> Any:
    return await stage.client.voiceprint(_Growing(bytes(1000)), timeout=None, check=False)


class _BadSector(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


class _Shrinking(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 100)) if self.tell() < 500 else b""


class _Growing(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(size) or b"more"
