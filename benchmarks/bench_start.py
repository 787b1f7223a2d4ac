"""Measure the CPU time of importing the package, and of starting the command.

- The import is measured inside a fresh interpreter, and compared with that of aiohttp, which this package needs anyway.
  The statement is `from pyannote_voiceprint_async import AsyncVoiceprintClient`: the package imports its modules with
  the first public name.
- `pyannote-voiceprint --help` and `--version` are measured as whole processes, and compared with an interpreter that
  does nothing, and with one that imports aiohttp.

The contestants take turns, and each ratio compares neighbours. aiohttp against itself shows the noise. All bytecode is
compiled in advance, in a folder of its own, as pip does for an installed package. An editable installation or
PYTHONDONTWRITEBYTECODE would otherwise add the compilation.
"""

import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import harness

T = TypeVar("T")

SLICES, FULL_SLICES = 30, 100
TARGET = 1.3

AIOHTTP, AGAIN = "import aiohttp", "import aiohttp, again"
IMPORTS = {
    AIOHTTP: "import aiohttp",
    "import this package": "from pyannote_voiceprint_async import AsyncVoiceprintClient",
    AGAIN: "import aiohttp",
}
INSIDE = "import time; began = time.process_time(); {}; print(time.process_time() - began)"

COMMAND = str(Path(sysconfig.get_path("scripts"), "pyannote-voiceprint"))
PROCESSES = {
    "python -c 'import aiohttp'": [sys.executable, "-c", "import aiohttp"],
    "python -c pass": [sys.executable, "-c", "pass"],
    "pyannote-voiceprint --version": [COMMAND, "--version"],
    "pyannote-voiceprint --help": [COMMAND, "--help"],
    "python -c 'import aiohttp', again": [sys.executable, "-c", "import aiohttp"],
}


def import_seconds(statement: str, environment: dict[str, str]) -> float:
    """Return the CPU seconds of an import in a fresh interpreter, without the start of the interpreter."""
    command = [sys.executable, "-c", INSIDE.format(statement)]
    return float(subprocess.run(command, capture_output=True, check=True, env=environment, text=True).stdout)


def process_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return the CPU seconds of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def take_turns(
    seconds: Callable[[T, dict[str, str]], float], contestants: Mapping[str, T], slices: int
) -> dict[str, dict[str, Any]]:
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as bytecode:
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
        for contestant in contestants.values():
            seconds(contestant, environment)  # the first run compiles the bytecode and fills the page cache
        for _ in range(slices):
            for name, contestant in contestants.items():
                measured[name].append(seconds(contestant, environment))
    return harness.compare(measured, reference=next(iter(contestants)))


def measure(*, full: bool) -> dict[str, Any]:
    slices = FULL_SLICES if full else SLICES
    return {
        "imports": take_turns(import_seconds, IMPORTS, slices),
        "processes": take_turns(process_seconds, PROCESSES, slices),
    }


def show(results: dict[str, Any]) -> None:
    print(f"The target of this package is {TARGET} at most.\n")
    for what, heading in (("imports", "inside of a process"), ("processes", "a whole process")):
        rows = [
            (name, f"{found['median'] * 1000:.0f}", harness.span(found["ratio"]))
            for name, found in results[what].items()
        ]
        harness.table((heading, "CPU, ms", "of importing aiohttp"), rows)


def draw(_results: dict[str, Any], _folder: Path) -> list[str]:
    """Draw nothing: the tables are short."""
    return []


if __name__ == "__main__":
    harness.main(measure, show, draw)
