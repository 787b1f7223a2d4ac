"""Fixtures of all tests: sandbox, client, fake clock, a check for blocking calls; and the summary of faults."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import backoff  # noqa: F401 - importing it in the first client would be reported as a blocking call
import cattrs  # noqa: F401 - as above
import pytest
from blockbuster import BlockBuster
from fake_clock import FakeClock
from faults.rows import lines
from hypothesis import settings

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling
from pyannote_voiceprint_async.sandbox import Sandbox

# No time limit for examples: a busy machine must not fail a test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SPEECH = Path(__file__).parents[1] / "examples" / "speech"
_RAM_DISK = Path("/dev/shm")  # noqa: S108 - Linux; the files in it are in private folders of pytest
_LEAST_FREE = 1 << 30


def pytest_configure() -> None:
    """Keep temporary files in memory, cache bytecode, and handle SIGINT."""
    if "TMPDIR" not in os.environ and _is_suitable(_RAM_DISK):
        # On a disk, the tests would spend most of their time in the `fsync` of SQLite and PostgreSQL.
        os.environ["TMPDIR"] = tempfile.tempdir = str(_RAM_DISK)
    # The tests start many interpreters. Each of them would compile the package again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A shell ignores SIGINT for jobs in the background, and some tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_suitable(folder: Path) -> bool:
    """Return whether a folder has enough space, and programs in it can be executed."""
    return (
        os.access(folder, os.W_OK)
        and shutil.disk_usage(folder).free >= _LEAST_FREE
        and not os.statvfs(folder).f_flag & os.ST_NOEXEC
    )


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Start three workers a core with `-n auto`: many tests wait for disks, processes and timers."""
    cores = yield
    return 3 * cores


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector: in each worker, it would take as long as the collection itself."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()  # or each collection in a test would traverse all collected tests, which takes half a second
        gc.enable()


@pytest.hookimpl(trylast=True)  # after tests were deselected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests so that each worker starts with its share of the slow ones: at the end, one would run alone.

    `--dist worksteal` first divides the list into one part for each worker.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = iter([item for item in items if not item.get_closest_marker("slow")])
    arranged: list[pytest.Item] = []
    for number in range(workers):
        size = (len(items) - len(arranged)) // (workers - number)
        share = slow[number::workers]
        arranged += [*share, *islice(others, max(size - len(share), 0))]
    items[:] = arranged


@pytest.fixture(scope="session", autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """A blocking call of the package on the event loop fails the test."""
    blocker = BlockBuster("pyannote_voiceprint_async", excluded_modules=["pyannote_voiceprint_async.cli"])
    blocker.activate()
    yield
    blocker.deactivate()


@pytest.fixture(scope="session", autouse=True)
def _no_keys() -> Iterator[None]:
    """Remove keys and proxies from the environment, so that no test depends on them or uses them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in (
            "PYANNOTEAI_API_KEY",
            "PYANNOTE_API_KEY",
            "PYANNOTEAI_BASE_URL",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "PYANNOTE_VOICEPRINT_SHARED",
        ):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        yield


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def speech() -> Path:
    """The folder with recordings of five speakers, as WAV."""
    return SPEECH


@pytest.fixture
def audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that writes non-empty files into the current folder."""
    monkeypatch.chdir(tmp_path)

    def make(*paths: str) -> None:
        for path in map(Path, paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF")

    return make


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Return a function that enters an async context until the end of the test: `sandbox = await start(Sandbox())`."""
    async with AsyncExitStack() as stack:
        yield stack.enter_async_context


@pytest.fixture
async def sandbox(start: Callable[..., Any]) -> Sandbox:
    """A sandbox without an effective rate limit, whose jobs end at once."""
    return await start(Sandbox(rate_limit=(1_000_000, 60.0), read_limit=(1_000_000, 60.0), job_seconds=0.0))


@pytest.fixture
def start_client(start: Callable[..., Any], sandbox: Sandbox) -> Callable[..., Awaitable[AsyncVoiceprintClient]]:
    """Return a function that starts a client of the sandbox with short polling intervals."""

    def start_client(**settings: Any) -> Awaitable[AsyncVoiceprintClient]:
        settings = {"base_url": sandbox.url, "polling": Polling(first=0.01, longest=0.05)} | settings
        return start(AsyncVoiceprintClient(sandbox.api_key, **settings))

    return start_client


@pytest.fixture
async def client(start_client: Callable[..., Awaitable[AsyncVoiceprintClient]]) -> AsyncVoiceprintClient:
    """A client of the sandbox with short polling intervals."""
    return await start_client()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of all faults by family; `benchmarks/bench_faults.py` prints those of each fault."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    rows = [value for report in reports for name, value in report.user_properties if name == "fault"]
    if rows:
        terminalreporter.section("faults")
        for line in lines(rows, with_faults=False):
            terminalreporter.write_line(line)
