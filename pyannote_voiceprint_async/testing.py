"""The pytest plugin: a sandbox and a client for tests that need no key.

pytest loads this module in every run on a machine that has this package, so it imports the package only in fixtures.

| fixture | what it is |
| --- | --- |
| `voiceprint_sandbox` | a fresh `Sandbox`, for synchronous and asynchronous tests |
| `voiceprint_client` | an `AsyncVoiceprintClient` of this sandbox, for tests that pytest-asyncio or anyio runs |
| `voiceprint_session_sandbox` | one `Sandbox` for all tests of the run, for services that are started once |

Jobs end, and are polled, after milliseconds. There is no rate limit. For other settings, start a sandbox of your own:
`with SandboxThread(Sandbox(rate_limit=(5, 1.0))) as sandbox:`. No header contains the length of a rate-limit window, so
pass the limit to your client, too: `rate_limits=RateLimits(submissions=RateLimit(5, 1.0))`. Otherwise, it waits for a
minute.
"""

from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .client import AsyncVoiceprintClient
    from .sandbox import Sandbox, SandboxThread

__all__ = ["SandboxThread", "voiceprint_client", "voiceprint_sandbox", "voiceprint_session_sandbox"]


def __getattr__(name: str) -> Any:
    """Import `SandboxThread` when it is used."""
    if name == "SandboxThread":
        from .sandbox import SandboxThread  # noqa: PLC0415

        return SandboxThread
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@pytest.fixture
def voiceprint_sandbox() -> "Iterator[Sandbox]":
    """A fresh sandbox, whose jobs end after milliseconds, without a rate limit."""
    with _sandbox_thread() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def voiceprint_session_sandbox() -> "Iterator[Sandbox]":
    """One sandbox for all tests of the run. Its requests and its scripts are those of all tests together."""
    with _sandbox_thread() as sandbox:
        yield sandbox


@pytest.fixture
def voiceprint_client(request: pytest.FixtureRequest) -> "AsyncVoiceprintClient":
    """A client of `voiceprint_sandbox`, which polls after milliseconds. It is closed in the event loop of the test."""
    client: AsyncVoiceprintClient = request.getfixturevalue(_client_fixture(request))
    return client


def _client_fixture(request: pytest.FixtureRequest) -> str:
    """Return the name of the fixture that the plugin of the test can run, in the event loop of the test."""
    # pytest-asyncio adds its mark to all async tests in auto mode.
    mark = request.node.get_closest_marker("asyncio")
    if mark is not None:
        if "anyio_backend" in request.fixturenames:
            pytest.fail(
                "pytest-asyncio runs this test, but anyio would run the fixture voiceprint_client, in another event "
                "loop: the test is also marked with @pytest.mark.anyio, or uses the fixture anyio_backend. To let "
                "anyio run it, set asyncio_mode = strict in the configuration of pytest; to let pytest-asyncio run it, "
                "remove the mark.",
                pytrace=False,
            )
        loop_scope = mark.kwargs.get("loop_scope") or request.config.getini("asyncio_default_test_loop_scope")
        return _add_client_fixture(request.config, loop_scope)
    if "anyio_backend" not in request.fixturenames:
        pytest.fail(
            "The fixture voiceprint_client needs an async test that pytest-asyncio or anyio runs: install one of them, "
            "and mark the test with @pytest.mark.asyncio or @pytest.mark.anyio. Synchronous tests of a service use "
            "voiceprint_sandbox: pass its `url` and `api_key` to the client of the service.",
            pytrace=False,
        )
    if request.getfixturevalue("anyio_backend_name") != "asyncio":
        pytest.skip("AsyncVoiceprintClient needs asyncio.")
    return "_voiceprint_client_of_anyio"


@pytest.fixture
async def _voiceprint_client_of_anyio(voiceprint_sandbox: "Sandbox") -> "AsyncIterator[AsyncVoiceprintClient]":
    async with _client_of(voiceprint_sandbox) as client:
        yield client


def _add_client_fixture(config: pytest.Config, loop_scope: Any) -> str:
    """Add the fixture for event loops of a scope of pytest-asyncio, unless it is there, and return its name."""
    name = f"_voiceprint_client_of_{loop_scope}_loop"
    if not config.pluginmanager.has_plugin(name):
        import pytest_asyncio  # noqa: PLC0415 - it runs the test, so it is there

        @pytest_asyncio.fixture(name=name, loop_scope=loop_scope)
        async def client_of_loop(voiceprint_sandbox: "Sandbox") -> "AsyncIterator[AsyncVoiceprintClient]":
            async with _client_of(voiceprint_sandbox) as client:
                yield client

        plugin = ModuleType(name)
        plugin.client_of_loop = client_of_loop  # type: ignore[attr-defined]  # pytest finds it there
        config.pluginmanager.register(plugin, name)
    return name


def _sandbox_thread() -> "SandboxThread":
    from .sandbox import Sandbox, SandboxThread  # noqa: PLC0415 - see the module docstring

    return SandboxThread(Sandbox(window="none", job_seconds=0.002, accept_late_seconds=0.01, webhook_time_scale=0.001))


def _client_of(sandbox: "Sandbox") -> "AsyncVoiceprintClient":
    from . import AsyncVoiceprintClient, Polling, RetryPolicy  # noqa: PLC0415 - see the module docstring

    return AsyncVoiceprintClient(
        sandbox.api_key,
        base_url=sandbox.url,
        polling=Polling(first=0.005, longest=0.05, webhook_grace=0.5),
        retry=RetryPolicy(base=0.01, cap=0.1),
    )
