"""What all tests share: a sandbox, a client on it, a clock that tests move, two watchdogs, and the table of faults."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import backoff  # noqa: F401 - loaded with the first client; the watchdog for blocking calls would meet the loading
import cattrs  # noqa: F401 - the same
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from fake_clock import FakeClock
from faults.rows import lines
from hypothesis import settings

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling
from pyannote_voiceprint_async.sandbox import Sandbox

# No test asserts how long something takes: machines have other work.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SPEECH = Path(__file__).parents[1] / "examples" / "speech"


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> Iterator[BlockBuster]:
    """A blocking call of the package on the event loop fails the test."""
    with blockbuster_ctx("pyannote_voiceprint_async", excluded_modules=["pyannote_voiceprint_async.cli"]) as blocker:
        yield blocker


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may depend on, or use, what is in the environment."""
    for name in ("PYANNOTEAI_API_KEY", "PYANNOTE_API_KEY", "PYANNOTEAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def speech() -> Path:
    """A folder with real speech: five voices in WAV, a conversation in FLAC."""
    return SPEECH


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Enter an async context that ends with the test, as in `sandbox = await start(Sandbox())`."""
    async with AsyncExitStack() as stack:
        yield stack.enter_async_context


@pytest.fixture
async def sandbox(start: Callable[..., Any]) -> Sandbox:
    """A sandbox whose rate limit nobody reaches, and whose jobs are done at once."""
    return await start(Sandbox(rate_limit=(1_000_000, 60.0), read_limit=(1_000_000, 60.0), job_seconds=0.0))


@pytest.fixture
async def client(start: Callable[..., Any], sandbox: Sandbox) -> AsyncVoiceprintClient:
    """A client of the sandbox that hardly waits."""
    return await start(
        AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=Polling(first=0.01, longest=0.05))
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was counted while faults were on; `benchmarks/bench_faults.py` shows each of them."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    rows = [value for report in reports for name, value in report.user_properties if name == "fault"]
    if rows:
        terminalreporter.section("faults")
        for line in lines(rows, with_faults=False):
            terminalreporter.write_line(line)
