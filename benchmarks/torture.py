"""Kill enrollment runs at seeded points and start them again, beside a second program that uses the same key.

The seed of a case determines where the run is killed, what it does with unknown outcomes, and how many rows are in
progress at once. In all cases, some responses to accepted submissions are lost; each variant adds one kind of fault. At
the end of a case, each row must have the voiceprint of its own source, and each paid job must be known to the ledger or
reported by it.

Time passes faster than in reality, for the program and for the sandbox.
"""

import argparse
import asyncio
import math
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from enrollment.torture.cases import VARIANTS, Case, draw
from enrollment.torture.harness import Outcome, torture
from enrollment.torture.points import NAMES

COLUMNS = (
    "cases", "starts", "kills", "requests", "jobs", "duplicates", "reported", "uncertain", "lost", "wrong", "broken",
)  # fmt: skip

# The variant without further faults: kills, the second program, and lost responses.
FIRST = next(iter(VARIANTS))


@attrs.frozen
class Settings:
    """The settings of all cases."""

    scale: float
    """Seconds of the program in one real second."""


def run(case: Case, settings: Settings) -> Outcome:
    """Run one case."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(torture(case, Path(folder), scale=settings.scale))


def run_all(cases: Iterable[Case], settings: Settings, workers: int) -> Iterator[Outcome]:
    """Run all cases in processes, several at once, and yield each outcome as it finishes."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run, case, settings) for case in cases]):
            yield done.result()


def counts(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Return the sums over the cases."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total["cases"] += 1
        for column in ("starts", "kills", "requests", "jobs", "duplicates", "reported", "uncertain"):
            total[column] += getattr(outcome, column)
        total["lost"] += outcome.count("lost")
        total["wrong"] += outcome.count("wrong")
        total["broken"] += len(outcome.broken)
    return total


def print_failure(outcome: Outcome, settings: Settings) -> None:
    """Print the broken promises of a case, and the command that repeats it."""
    case = outcome.case
    print(f"\nBROKEN: {case}")
    for promise in outcome.broken[:20]:
        print(f"  {promise}")
    print(
        f"  To repeat: python benchmarks/torture.py {case.variant} --cases 1 --rows {case.rows} --seed {case.seed} "
        f"--scale {settings.scale:g}\n",
        flush=True,
    )


def report(outcomes: list[Outcome]) -> None:
    """Print the table, and the points at which runs were killed."""
    print(f"{'':16}" + "".join(f"{column:>11}" for column in COLUMNS))
    for variant in VARIANTS:
        chosen = [outcome for outcome in outcomes if outcome.case.variant == variant]
        if chosen:
            total = counts(chosen)
            print(f"{variant:16}" + "".join(f"{total[column]:11,}" for column in COLUMNS))
    total = counts(outcomes)
    print(f"{'all':16}" + "".join(f"{total[column]:11,}" for column in COLUMNS))
    killed = Counter(point for outcome in outcomes for point in outcome.killed_at)
    print("\nkilled at: " + ", ".join(f"{point} {killed[point]}" for point in NAMES if killed[point]))
    if missed := [point for point in NAMES if not killed[point]]:
        print("not reached: " + ", ".join(missed))


def main() -> None:
    """Run the command line; exit with 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", help=f"{', '.join(VARIANTS)}; all by default")
    parser.add_argument(
        "--cases",
        type=int,
        default=100,
        help="cases of each named variant; without names, the first variant has this many, the others a quarter",
    )
    parser.add_argument("--rows", type=int, default=300, help="rows of each list")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case; the others follow")
    parser.add_argument("--workers", type=int, default=8, help="concurrent cases, which mostly wait")
    parser.add_argument("--scale", type=float, default=40.0, help="seconds of the program in one real second")
    options = parser.parse_args()
    if unknown := set(options.variants) - VARIANTS.keys():
        parser.error(f"there is no variant {', '.join(sorted(unknown))}")
    many = dict.fromkeys(options.variants, options.cases) or {
        name: options.cases if name == FIRST else math.ceil(options.cases / 4) for name in VARIANTS
    }
    cases = [
        draw(name, seed, options.rows)
        for name, cases in many.items()
        for seed in range(options.seed, options.seed + cases)
    ]
    settings, outcomes, began = Settings(options.scale), [], time.monotonic()
    for outcome in run_all(cases, settings, options.workers):
        outcomes.append(outcome)
        if outcome.broken:
            print_failure(outcome, settings)
    report(outcomes)
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(any(outcome.broken for outcome in outcomes))


if __name__ == "__main__":
    main()
