"""What it costs to begin: the import of this package, and the command's first words, in CPU time.

- The import is measured inside of a fresh interpreter, against that of aiohttp, which every user of this package has to
  import anyway. It is `from pyannote_voiceprint_async import AsyncVoiceprintClient`: the package waits with what it
  imports for the first name that is asked for.
- `pyannote-voiceprint --help` and `--version` are measured as whole processes, against an interpreter that does
  nothing, and one that imports aiohttp.

All take turns, and each ratio is one of neighbours. Bytecode is compiled before. aiohttp against itself is the noise.
"""

import resource
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import harness

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


def import_seconds(statement: str) -> float:
    """Give the CPU seconds that an import takes in a fresh interpreter, without the interpreter's own start."""
    command = [sys.executable, "-c", INSIDE.format(statement)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def process_seconds(command: list[str]) -> float:
    """Give the CPU seconds of a whole process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def take_turns(contestants: Mapping[str, Callable[[], float]], slices: int) -> dict[str, dict[str, Any]]:
    for seconds in contestants.values():
        seconds()  # the first time compiles, and fills the page cache
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(slices):
        for name, seconds in contestants.items():
            taken[name].append(seconds())
    return harness.compare(taken, reference=next(iter(contestants)))


def measure(*, full: bool) -> dict[str, Any]:
    slices = FULL_SLICES if full else SLICES
    return {
        "imports": take_turns({name: partial(import_seconds, said) for name, said in IMPORTS.items()}, slices),
        "processes": take_turns({name: partial(process_seconds, said) for name, said in PROCESSES.items()}, slices),
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
