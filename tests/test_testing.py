"""The pytest plugin, in scratch projects. Each run of pytest is a process, so there is one for each mode."""

import pytest

import pyannote_voiceprint_async.testing as plugin
from pyannote_voiceprint_async.sandbox import SandboxThread

pytest_plugins = ["pytester"]

CONFTEST = """
    import sys

    def pytest_sessionstart():
        # Installed, the plugin imports nothing that costs time.
        loaded = sorted(name for name in sys.modules if name.startswith("pyannote_voiceprint_async"))
        assert loaded == ["pyannote_voiceprint_async", "pyannote_voiceprint_async.testing"]
"""

# Warnings about a project without configuration, and about the package that Starlette's TestClient uses.
SETTINGS = """
    [pytest]
    filterwarnings =
        error
        ignore:The configuration option "asyncio_default_fixture_loop_scope" is unset
        ignore:Using `httpx`
"""

STRICT = """
    import asyncio
    import contextlib

    import pytest
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling

    URL = "https://example.com/voice.wav"
    SANDBOXES = set()

    @pytest.mark.asyncio
    async def test_pytest_asyncio(voiceprint_client, voiceprint_sandbox):
        voiceprint = await voiceprint_client.voiceprint(URL)
        assert [job.id for job in voiceprint_sandbox.accepted] == [voiceprint.job_id]
        SANDBOXES.add(voiceprint_sandbox.url)

    @pytest.mark.asyncio(loop_scope="session")
    @pytest.mark.parametrize("turn", [1, 2])
    async def test_event_loop_of_the_session(voiceprint_client, voiceprint_sandbox, turn):
        voiceprint_sandbox.on_next(job="failed", error="Could not load audio")
        with pytest.raises(Exception, match="Could not load audio"):
            await voiceprint_client.voiceprint(URL)
        assert len(voiceprint_sandbox.accepted) == 1
        SANDBOXES.add(voiceprint_sandbox.url)

    @pytest.mark.anyio
    async def test_anyio(voiceprint_client, voiceprint_sandbox):
        await voiceprint_client.voiceprint(URL)
        assert len(voiceprint_sandbox.accepted) == 1

    @pytest.mark.parametrize("turn", [1, 2])
    def test_service(voiceprint_session_sandbox, turn):
        sandbox = voiceprint_session_sandbox

        @contextlib.asynccontextmanager
        async def lifespan(app):
            polling = Polling(first=0.005)
            async with AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=polling) as app.client:
                yield

        app = FastAPI(lifespan=lifespan)

        @app.get("/voiceprint")
        async def voiceprint(url: str) -> str:
            return (await app.client.voiceprint(url)).job_id

        with TestClient(app) as http:
            job_id = http.get("/voiceprint", params={"url": URL}).json()
        assert [job.id for job in sandbox.accepted][turn - 1 :] == [job_id]

    def test_synchronous(voiceprint_client):
        pass
"""

AUTO = """
    import pytest

    URL = "https://example.com/voice.wav"

    @pytest.fixture
    async def service(voiceprint_client):
        yield voiceprint_client
        # The client is open until the fixtures that use it have ended.
        await voiceprint_client.voiceprint(URL)

    async def test_fixture_of_the_user(service, voiceprint_sandbox):
        await service.voiceprint(URL)
        assert len(voiceprint_sandbox.accepted) == 1

    class TestMethods:
        async def test_method(self, voiceprint_client, voiceprint_sandbox):
            voiceprint_sandbox.fail_next("server-error", operation="job")
            await voiceprint_client.voiceprint(URL)
            assert "server-error" in [request.fault for request in voiceprint_sandbox.requests]

    @pytest.mark.anyio
    async def test_that_two_plugins_would_run(voiceprint_client):
        pass

    @pytest.fixture(autouse=True)
    def no_tasks_or_connections_stay(recwarn):
        yield
        assert list(recwarn) == []
"""


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Return a function that runs the tests of a project, and returns their outcomes and their output."""

    def run(tests: str, *options: str) -> tuple[dict[str, int], str]:
        pytester.makeconftest(CONFTEST)
        pytester.makeini(SETTINGS)
        pytester.makepyfile(tests)
        result = pytester.runpytest_subprocess("-p", "no:schemathesis", *options)
        return result.parseoutcomes(), result.stdout.str()

    return run


def test_fixtures_work_with_anyio_synchronous_services_and_the_strict_mode_of_pytest_asyncio(run):
    """Without configuration, anyio also runs each test on trio, where the client cannot be used."""
    outcomes, output = run(STRICT)
    assert outcomes == {"passed": 6, "skipped": 1, "errors": 1}
    assert "voiceprint_client needs an async test that pytest-asyncio or anyio runs" in output


def test_fixtures_work_in_the_auto_mode_of_pytest_asyncio(run):
    """In this mode, pytest-asyncio also runs the tests of anyio: one for each of its backends, asyncio and trio."""
    outcomes, output = run(AUTO, "-o", "asyncio_mode=auto")
    assert outcomes == {"passed": 2, "errors": 2}
    assert "To let anyio run it, set asyncio_mode = strict in the configuration of pytest" in output


def test_the_thread_of_a_sandbox_is_found_in_the_module_of_the_fixtures():
    assert plugin.SandboxThread is SandboxThread
    with pytest.raises(AttributeError, match="no attribute 'Sandbox'"):
        _ = plugin.Sandbox
