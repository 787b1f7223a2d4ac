"""What every measurement shares: its command line, its statistics, how it prints and draws, what the machine is.

A measurement is a file `bench_NAME.py` that reads like its description:

- `measure(*, full)` gives what was found, as JSON can hold it; `full` is without a bound on the time.
- `show(results)` prints its tables, in Markdown: the README has them as they are printed.
- `draw(results, folder)` writes its figures, and gives their names.

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

# By Okabe and Ito: told apart by everybody, and in grey. The first is for this client, wherever it appears.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
# For those who see no colours at all.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#767676"


# The command line


def main(
    measure: Callable[..., Results],
    show: Callable[[Results], None],
    draw: Callable[[Results, Path], list[str]],
) -> None:
    """Read the options of a measurement, measure, and say what was found."""
    parser = argparse.ArgumentParser(
        description=sys.modules["__main__"].__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="all of it, however long that takes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go as JSON")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="where the figures go")
    options = parser.parse_args()
    # What is shown is what can be read again later.
    results = json.loads(json.dumps(measure(full=options.full)))
    if options.json:
        options.json.write_text(json.dumps(results), "utf-8")
    show(results)
    if options.figures:
        options.figures.mkdir(parents=True, exist_ok=True)
        draw(results, options.figures)


def progress(what: str) -> None:
    """Say what is being measured, where it does not stand among the results."""
    print(f"… {what}", file=sys.stderr, flush=True)


def in_fresh_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of a measurement in a process that has done nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def core(number: int) -> int:
    """Give the number, to the system, of one of the cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[number % len(cores)]


def stay_on_core(number: int) -> None:
    """Keep this process on one core, where that can be said."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core(number)})


def url(number: int) -> str:
    return f"https://example.com/voices/{number:07}.wav"


def urls(items: int) -> Iterator[str]:
    """Give as many different recordings."""
    return map(url, range(items))


# Statistics


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Give the median and the quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"low": low, "median": median, "high": high}


def compare(slices: Mapping[str, Sequence[float]], reference: str) -> dict[str, dict[str, Any]]:
    """Compare what took turns: the quartiles of each, and those of its ratios to the reference, slice by slice.

    A machine that changes its speed changes it for neighbours alike, and so leaves their ratio alone.
    """
    compared = {}
    for name, values in slices.items():
        ratios = [value / other for value, other in zip(values, slices[reference], strict=True)]
        compared[name] = quartiles(values) | {"slices": len(values), "ratio": quartiles(ratios)}
    return compared


# Tables


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, words: int = 1) -> None:
    """Print a table in Markdown that can be read as it is.

    Args:
        headings: of the columns.
        rows: what stands in them.
        words: how many columns, from the left, hold words; the others hold numbers, and are aligned to the right.
    """
    cells = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width if at < words else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
    for row in [cells[0], rule, *cells[1:]]:
        padded = [f"{cell:{'<' if at < words else '>'}{widths[at]}}" for at, cell in enumerate(row)]
        print(f"| {' | '.join(padded)} |")
    print(flush=True)


def span(values: Mapping[str, float], digits: int = 2) -> str:
    """Write a median, with its quartiles if they differ from it."""
    low, median, high = (f"{values[name]:.{digits}f}" for name in ("low", "median", "high"))
    return median if low == high else f"{median} ({low} to {high})"


# Figures


@contextmanager
def figure(folder: Path, name: str, *, columns: int = 1, height: float = 4.5, share_y: bool = False) -> Iterator[Any]:
    """Give the axes of a figure, 1,200 pixels wide, that is written when the block ends."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second, and only a figure needs it

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
    """Say what is measured on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def versions() -> dict[str, str]:
    """Give the versions of what is measured."""
    return {name: found for name in PACKAGES if (found := _version(name))}


def now() -> str:
    """Give the time, to the minute."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def resident_bytes() -> int:
    """Give the resident memory of this process; where there is no /proc, the most that it ever was."""
    if STATM.exists():
        return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # noqa: PLC0415 - Windows has none

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
