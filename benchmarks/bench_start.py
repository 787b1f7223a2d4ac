"""What it costs to begin: the import of this package, and the command's first words, in CPU time.

- The import is measured inside of a fresh interpreter, against that of aiohttp, which every user of this package has to
  import anyway. It is `from pyannote_voiceprint_async import AsyncVoiceprintClient`: the package waits with what it
  imports for the first name that is asked for.
- `pyannote-voiceprint --help` and `--version` are measured as whole processes, against an interpreter that does
  nothing, and one that imports aiohttp.

All take turns, and each ratio is one of neighbours. aiohttp against itself is the noise. All find their bytecode
compiled, in a folder of its own: pip compiles what it installs, but neither what is installed with `-e`, nor what runs
where PYTHONDONTWRITEBYTECODE is set.
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
    """Give the CPU seconds that an import takes in a fresh interpreter, without the interpreter's own start."""
    command = [sys.executable, "-c", INSIDE.format(statement)]
    return float(subprocess.run(command, capture_output=True, check=True, env=environment, text=True).stdout)


def process_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Give the CPU seconds of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def take_turns(
    seconds: Callable[[T, dict[str, str]], float], contestants: Mapping[str, T], slices: int
) -> dict[str, dict[str, Any]]:
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as bytecode:
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
        for contestant in contestants.values():
            seconds(contestant, environment)  # the first time compiles, and fills the page cache
        for _ in range(slices):
            for name, contestant in contestants.items():
                taken[name].append(seconds(contestant, environment))
    return harness.compare(taken, reference=next(iter(contestants)))


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
