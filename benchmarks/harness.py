"""The parts that all measurements share: command line, statistics, tables, figures, and facts about the machine.

A measurement is a file `bench_<name>.py` with three functions:

- `measure(*, full)` returns the results as JSON types; a full measurement has no time limit.
- `show(results)` prints the tables in Markdown. The README contains them as they are printed.
- `draw(results, folder)` writes the figures, and returns their file names.

It ends with `harness.main(measure, show, draw)`.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Results = dict[str, Any]

MEBIBYTE = 1024 * 1024
STATM = Path("/proc/self/statm")

PACKAGES = (
    "pyannote-voiceprint-async", "aiohttp", "orjson", "uvloop", "httpx", "aiolimiter", "tenacity", "pyannoteai-sdk",
)  # fmt: skip

# The palette of Okabe and Ito, which color-blind people can distinguish. The first color is always this client.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
# Markers distinguish the lines in grey, too.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#767676"


# The command line


def main(
    measure: Callable[..., Results],
    show: Callable[[Results], None],
    draw: Callable[[Results, Path], list[str]],
) -> None:
    """Run the command line of a measurement: measure, then print and draw the results."""
    parser = argparse.ArgumentParser(
        description=sys.modules["__main__"].__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="run the full measurement, without a time limit")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, as JSON")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="write the figures to this folder")
    options = parser.parse_args()
    # Show the results as they are read from JSON later.
    results = json.loads(json.dumps(measure(full=options.full)))
    if options.json:
        options.json.write_text(json.dumps(results), "utf-8")
    show(results)
    if options.figures:
        options.figures.mkdir(parents=True, exist_ok=True)
        draw(results, options.figures)


def progress(what: str) -> None:
    """Report on stderr what is being measured."""
    print(f"… {what}", file=sys.stderr, flush=True)


def in_fresh_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a fresh process, and return its result."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def core(number: int) -> int:
    """Return the system's number of one of the cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[number % len(cores)]


def stay_on_core(number: int) -> None:
    """Pin this process to one core, where the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core(number)})


def url(number: int) -> str:
    return f"https://example.com/voices/{number:07}.wav"


def urls(items: int) -> Iterator[str]:
    """Return the URLs of this many recordings."""
    return map(url, range(items))


# Statistics


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"low": low, "median": median, "high": high}


def compare(slices: Mapping[str, Sequence[float]], reference: str) -> dict[str, dict[str, Any]]:
    """Return the quartiles of each contestant, and those of its ratios to the reference, slice by slice.

    If the machine changes its speed, neighbouring slices change alike, and their ratio stays the same.
    """
    compared = {}
    for name, values in slices.items():
        ratios = [value / other for value, other in zip(values, slices[reference], strict=True)]
        compared[name] = quartiles(values) | {"slices": len(values), "ratio": quartiles(ratios)}
    return compared


# Tables


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, words: int = 1) -> None:
    """Print a Markdown table with aligned columns.

    Args:
        headings: the headings of the columns.
        rows: the cells.
        words: the number of columns, from the left, that hold text. The others hold numbers, aligned to the right.
    """
    cells = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width if at < words else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
    for row in [cells[0], rule, *cells[1:]]:
        padded = [f"{cell:{'<' if at < words else '>'}{widths[at]}}" for at, cell in enumerate(row)]
        print(f"| {' | '.join(padded)} |")
    print(flush=True)


def span(values: Mapping[str, float], digits: int = 2) -> str:
    """Format a median, with its quartiles if they differ from it."""
    low, median, high = (f"{values[name]:.{digits}f}" for name in ("low", "median", "high"))
    return median if low == high else f"{median} ({low} to {high})"


# Figures


@contextmanager
def figure(folder: Path, name: str, *, columns: int = 1, height: float = 4.5, share_y: bool = False) -> Iterator[Any]:
    """Yield the axes of a figure, 1,200 pixels wide, which is written at the end of the block."""
    import matplotlib as mpl  # noqa: PLC0415 - the import takes half a second, and only figures need it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    style = {
        "axes.grid": True, "axes.axisbelow": True, "axes.spines.right": False, "axes.spines.top": False,
        "axes.titlesize": 11, "font.size": 10, "grid.color": "#dddddd", "legend.frameon": False,
    }  # fmt: skip
    with plt.rc_context(style):
        drawn, axes = plt.subplots(1, columns, figsize=(8, height), sharey=share_y, layout="constrained")
        yield axes
        drawn.savefig(folder / name, dpi=150, metadata={"Software": None})
        plt.close(drawn)


# The machine


def machine() -> Results:
    """Return the facts about this machine."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of the measured packages."""
    return {name: found for name in PACKAGES if (found := _version(name))}


def now() -> str:
    """Return the time, to the minute."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def resident_bytes() -> int:
    """Return the resident memory of this process, or its maximum so far on systems without /proc."""
    if STATM.exists():
        return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # noqa: PLC0415 - Windows does not have this module

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
