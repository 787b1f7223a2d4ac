"""Measure how long a test with the fixtures of the pytest plugin takes, and what the plugin costs other tests.

pytest runs a project of two tests, each many times: one does nothing, the other creates a voiceprint with
`voiceprint_client`. The time of a test includes its fixtures: the sandbox, its thread, the client, and closing them. Of
both, the first is left out, because it imports the package.

The import of the plugin is measured inside a fresh interpreter that has imported pytest, as pytest itself does.
"""

import contextlib
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import bench_start
import harness
import pytest

TESTS, FULL_TESTS = 100, 1000
SLICES = 15
TARGET = 50

NOTHING, VOICEPRINT = "test_nothing", "test_voiceprint"
PROJECT = """
import pytest

@pytest.mark.asyncio
@pytest.mark.parametrize("turn", range({tests}))
async def test_nothing(turn):
    pass

@pytest.mark.asyncio
@pytest.mark.parametrize("turn", range({tests}))
async def test_voiceprint(voiceprint_client, turn):
    await voiceprint_client.voiceprint("https://example.com/voice.wav")
"""

INSIDE = "import pytest, time; began = time.process_time(); {}; print(time.process_time() - began)"
IMPORTS = {
    "nothing": "pass",
    "the plugin": "import pyannote_voiceprint_async.testing",
    "nothing, again": "pass",
}


class Stopwatch:
    """A pytest plugin that measures each test with its fixtures: its seconds, and the CPU seconds of all threads."""

    def __init__(self) -> None:
        self.measured: dict[str, list[tuple[float, float]]] = {NOTHING: [], VOICEPRINT: []}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Function) -> Generator[None, object, object]:
        began, cpu_began = time.perf_counter(), time.process_time()
        result = yield
        times = (time.perf_counter() - began, time.process_time() - cpu_began)
        self.measured[item.originalname].append(times)
        return result


def run_tests(tests: int) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds and the CPU seconds of each test, by its name."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        Path(folder, "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", "utf-8")
        Path(folder, "test_project.py").write_text(PROJECT.format(tests=tests + 1), "utf-8")
        code = pytest.main([folder, "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"], plugins=[watch])
    assert code == 0
    return {name: times[1:] for name, times in watch.measured.items()}


def import_seconds(statement: str, environment: dict[str, str]) -> float:
    """Return the CPU seconds of an import in a fresh interpreter that has imported pytest."""
    command = [sys.executable, "-c", INSIDE.format(statement)]
    return float(subprocess.run(command, capture_output=True, check=True, env=environment, text=True).stdout)


def measure(*, full: bool) -> dict[str, Any]:
    measured = harness.in_fresh_process(run_tests, FULL_TESTS if full else TESTS)
    tests = {}
    for name, times in measured.items():
        seconds, cpu_seconds = zip(*times, strict=True)
        tests[name] = {"seconds": harness.quartiles(seconds), "cpu": harness.quartiles(cpu_seconds)}
    return {"tests": tests, "imports": bench_start.take_turns(import_seconds, IMPORTS, SLICES)}


def show(results: dict[str, Any]) -> None:
    print(f"The target is {TARGET} ms for a test that creates a voiceprint.\n")
    rows = [(name, in_ms(found["seconds"]), in_ms(found["cpu"])) for name, found in results["tests"].items()]
    harness.table(("a test with its fixtures", "ms", "CPU, ms"), rows)
    rows = [(name, in_ms(found)) for name, found in results["imports"].items()]
    harness.table(("an import after that of pytest", "CPU, ms"), rows)


def in_ms(seconds: Mapping[str, float]) -> str:
    return harness.span({name: seconds[name] * 1000 for name in ("low", "median", "high")}, 1)


def draw(_results: dict[str, Any], _folder: Path) -> list[str]:
    """Draw nothing: the tables are short."""
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
