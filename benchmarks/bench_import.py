"""CPU time of importing this package, against importing aiohttp, which every user of it has to import anyway.

Each import runs in a fresh interpreter and is measured inside of it, so that the interpreter's own start does not
count. The three take turns, so that a machine that changes its speed changes it for all; each ratio is of two
neighbours. aiohttp against itself shows the noise.
"""

import argparse
import statistics
import subprocess
import sys

CONTESTANTS = {
    "aiohttp": "aiohttp",
    "this package": "pyannote_voiceprint_async",
    "aiohttp, again": "aiohttp",
}
TARGET = 1.3

PROGRAM = "import time; began = time.process_time(); import {}; print(time.process_time() - began)"


def import_seconds(module: str) -> float:
    """Give the CPU seconds that one import takes in a fresh interpreter."""
    command = [sys.executable, "-c", PROGRAM.format(module)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def measure(runs: int) -> dict[str, list[float]]:
    """Give the seconds of each contestant, run after run."""
    for module in CONTESTANTS.values():
        import_seconds(module)  # the first import compiles, and fills the page cache
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(runs):
        for name, module in CONTESTANTS.items():
            seconds[name].append(import_seconds(module))
    return seconds


def report(seconds: dict[str, list[float]]) -> None:
    """Print the table."""
    reference = seconds["aiohttp"]
    print(f"{'':24}{'CPU ms, median':>16}{'of aiohttp: median':>22}{'quartiles':>18}")
    for name, values in seconds.items():
        ratios = [value / other for value, other in zip(values, reference, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name:24}{statistics.median(values) * 1000:16.1f}{middle:22.3f}{f'{low:.3f} to {high:.3f}':>18}")
    print(f"target: at most {TARGET} of aiohttp; {len(reference)} runs each")


def main() -> None:
    """Read the options, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="of each import, at least 2")
    report(measure(parser.parse_args().runs))


if __name__ == "__main__":
    main()
