"""Code of the user's program that fails during a request: trace hooks, sessions, connectors, resolvers.

The progress of the request decides about the outcome, not the exception.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver
from aiohttp_errors import CLASSES, KEY, SECRET, made
from hostile_server import HostileServer, answer, found_in, hang_up, nothing_left_behind, shown_of

from pyannote_voiceprint_async import (
    ApiConnectionError,
    AsyncVoiceprintClient,
    JobCreated,
    RetryPolicy,
    Timeouts,
    VoiceprintError,
)
from pyannote_voiceprint_async.transport.request import SubmissionHooks

URL = "https://example.com/voice.wav"
KINDS = [*CLASSES, OSError, ConnectionResetError, TimeoutError, ValueError, RuntimeError, KeyError, Exception]
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

Fail = Callable[[], None]
Open = Callable[[Fail], aiohttp.ClientSession]


@pytest.fixture(autouse=True)
async def _leaves_nothing_behind():
    async with nothing_left_behind():
        yield


def hook(stage: str) -> Open:
    """Return a function that opens a session whose trace hook of this stage fails."""

    def open_session(fail: Fail) -> aiohttp.ClientSession:
        async def failing(*_: object) -> None:
            fail()

        trace = aiohttp.TraceConfig()
        getattr(trace, stage).append(failing)
        return aiohttp.ClientSession(trace_configs=[trace])

    return open_session


def session_before(fail: Fail) -> aiohttp.ClientSession:
    class Failing(aiohttp.ClientSession):
        def request(self, *args, **kwargs):
            fail()

    return Failing()


def session_after(fail: Fail) -> aiohttp.ClientSession:
    class Failing(aiohttp.ClientSession):
        async def request(self, *args, **kwargs):
            await super().request(*args, **kwargs)
            fail()

    return Failing()


def connector(fail: Fail) -> aiohttp.ClientSession:
    class Failing(aiohttp.TCPConnector):
        async def connect(self, *args, **kwargs):
            fail()

    return aiohttp.ClientSession(connector=Failing())


def resolver(fail: Fail) -> aiohttp.ClientSession:
    class Failing(AbstractResolver):
        async def resolve(self, *args, **kwargs):
            fail()

        async def close(self):
            pass

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Failing()))


BEFORE_THE_FIRST_BYTE = {
    "session": session_before,
    "connector": connector,
    "resolver": resolver,
    **{
        stage: hook(stage)
        for stage in (
            "on_request_start",
            "on_connection_create_start",
            "on_connection_create_end",
            "on_dns_resolvehost_start",
            "on_request_headers_sent",
        )
    },
}
WITHOUT_A_RESPONSE = {stage: hook(stage) for stage in ("on_request_chunk_sent", "on_request_exception")}
AFTER_THE_RESPONSE = {"session": session_after, "on_request_end": hook("on_request_end")}


def failing(kind: type[BaseException]) -> Fail:
    def fail() -> None:
        raise made(kind)

    return fail


async def submitted(server: HostileServer, open_session: Open, fail: Fail) -> JobCreated | VoiceprintError:
    """Submit through a session that fails at one place, and check that the error shows no secret."""
    base_url = f"http://localhost:{server.port}"
    async with (
        open_session(fail) as session,
        AsyncVoiceprintClient(KEY, base_url=base_url, session=session, retry=RetryPolicy(max_tries=1)) as client,
    ):
        (ended,) = await asyncio.gather(client.submit(URL), return_exceptions=True)
        assert client.stats.in_flight == 0
    if not isinstance(ended, JobCreated):
        assert isinstance(ended, VoiceprintError)
        assert found_in(shown_of(ended), KEY, SECRET) == []
    return ended


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", BEFORE_THE_FIRST_BYTE.values(), ids=BEFORE_THE_FIRST_BYTE)
async def test_a_failure_before_the_first_byte_sends_nothing(place, kind):
    async with HostileServer(answer()) as server:
        error = await submitted(server, place, failing(kind))
    assert isinstance(error, VoiceprintError)
    assert (error.outcome_unknown, server.asked) == (False, [])


@pytest.mark.parametrize("kind", [*KINDS, asyncio.CancelledError])
@pytest.mark.parametrize("place", WITHOUT_A_RESPONSE.values(), ids=WITHOUT_A_RESPONSE)
async def test_a_failure_after_the_first_byte_leaves_the_outcome_unknown(place, kind):
    async with HostileServer(hang_up) as server:
        error = await submitted(server, place, failing(kind))
    assert isinstance(error, VoiceprintError)
    assert (error.outcome_unknown, error.retryable) == (True, False)


@pytest.mark.parametrize("kind", [*KINDS, asyncio.CancelledError])
@pytest.mark.parametrize("place", AFTER_THE_RESPONSE.values(), ids=AFTER_THE_RESPONSE)
async def test_a_failure_after_the_response_loses_no_job(place, kind, caplog):
    async with HostileServer(answer()) as server:
        assert await submitted(server, place, failing(kind)) == JobCreated("job-1")
    assert [kind.__name__ in record.message for record in caplog.records if record.levelname == "WARNING"] == [True]


@pytest.mark.parametrize("place", AFTER_THE_RESPONSE.values(), ids=AFTER_THE_RESPONSE)
async def test_a_failure_after_a_refusal_was_read_keeps_the_refusal(place):
    async with HostileServer(answer(b"", "401 No")) as server:
        error = await submitted(server, place, failing(ValueError))
    assert (error.status, error.outcome_unknown) == (401, False)


@pytest.mark.parametrize("kind", [ValueError, OSError, aiohttp.ClientError, Exception])
@pytest.mark.parametrize("how", ["on_request_start", "on_request_chunk_sent", "on_request_end"])
async def test_an_upload_whose_trace_hook_fails_is_retried(monkeypatch, how, kind):
    """Instrumentation libraries add trace hooks to every session."""
    fails = iter([made(kind)])

    def fail() -> None:
        if (exc := next(fails, None)) is not None:
            raise exc

    async def serve(wire):
        await wire.body()
        url = b'{"url":"http://127.0.0.1:%d/put"}' % server.port
        await wire.send(answer(url if wire.asked.method == "POST" else b""))

    monkeypatch.setattr(aiohttp, "ClientSession", partial(hooked, aiohttp.ClientSession, how, fail))
    async with (
        HostileServer(serve) as server,
        AsyncVoiceprintClient(KEY, base_url=server.url, retry=RetryPolicy(base=0.001)) as client,
    ):
        assert (await client.upload(b"RIFF" * 100)).startswith("media://")


def hooked(session, how: str, fail: Fail, **options) -> aiohttp.ClientSession:
    async def failing(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        if params.method == "PUT":
            fail()

    trace = aiohttp.TraceConfig()
    getattr(trace, how).append(failing)
    return session(**options, trace_configs=[trace])


async def test_a_session_that_repeats_requests_by_itself_sends_a_submission_once():
    class Repeating(aiohttp.ClientSession):
        async def request(self, *args, **kwargs):
            try:
                return await super().request(*args, **kwargs)
            except aiohttp.ClientError:
                return await super().request(*args, **kwargs)

    async with HostileServer(hang_up, answer()) as server:
        error = await submitted(server, lambda _: Repeating(), failing(ValueError))
    assert (type(error), error.outcome_unknown, len(server.asked)) == (ApiConnectionError, True, 1)


async def test_a_session_that_ignores_middlewares_loses_no_job():
    class Old(aiohttp.ClientSession):
        def request(self, *args, middlewares, **kwargs):
            return super().request(*args, **kwargs)

    async with HostileServer(answer()) as server:
        assert await submitted(server, lambda _: Old(), failing(ValueError)) == JobCreated("job-1")


class FailingHandler(logging.Handler):
    """A log handler whose disk is full."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("no log today")


async def test_a_log_handler_that_fails_changes_nothing(caplog):
    caplog.set_level(logging.DEBUG, "pyannote_voiceprint_async")
    logger, handler = logging.getLogger("pyannote_voiceprint_async"), FailingHandler()
    logger.addHandler(handler)
    try:
        async with HostileServer(answer()) as server, AsyncVoiceprintClient(KEY, base_url=server.url) as client:
            assert (await client.submit(URL)).job_id == "job-1"
    finally:
        logger.removeHandler(handler)


async def test_a_bug_after_the_response_loses_no_job_id(monkeypatch):
    def explode(*_: object) -> None:
        raise ValueError("a bug")

    async with HostileServer(answer()) as server, AsyncVoiceprintClient(KEY, base_url=server.url) as client:
        monkeypatch.setattr("pyannote_voiceprint_async.transport.server_clock.ServerClock.record", explode)
        with pytest.raises(VoiceprintError) as caught:
            await client.submit(URL)
    assert (caught.value.outcome_unknown, caught.value.job_id, len(server.asked)) == (True, "job-1", 1)


@pytest.mark.parametrize("exc", [OSError("disk full"), ValueError("no"), KeyError("no"), aiohttp.ClientError("no")])
async def test_an_exception_of_before_send_is_raised_unchanged_and_sends_nothing(exc):
    async def before_send() -> None:
        raise exc

    async with HostileServer(answer()) as server, AsyncVoiceprintClient(KEY, base_url=server.url) as client:
        from pyannote_voiceprint_async.models import VoiceprintRequest

        with pytest.raises(type(exc)) as caught:
            await client.engine.submit(VoiceprintRequest(URL), hooks=SubmissionHooks(before_send, lambda: None))
    assert (caught.value is exc, server.asked) == (True, [])


@pytest.mark.parametrize("kind", [ValueError, Exception, OSError, asyncio.CancelledError])
async def test_a_hook_that_fails_in_the_background_loses_no_job(kind):
    """The caller was cancelled; the response is read nevertheless."""
    release = asyncio.Event()

    async def late(wire):
        await wire.body()
        await release.wait()
        await wire.send(answer())

    async with (
        HostileServer(late) as server,
        hook("on_request_end")(failing(kind)) as session,
        AsyncVoiceprintClient(KEY, base_url=server.url, session=session, timeouts=Timeouts(total=20.0)) as client,
    ):
        task = asyncio.create_task(client.submit(URL))
        while not server.asked:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        release.set()
        await client.aclose()
        assert (task.cancelled(), client.abandoned) == (True, (JobCreated("job-1"),))
