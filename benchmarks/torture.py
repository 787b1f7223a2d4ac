"""Torture of bulk enrollment: a run is killed at seeded points and started again, beside a second program on its key.

Each case is drawn from its seed: where it is killed, what is done with rows in doubt, how many rows are under way at
once. All cases lose answers to accepted submissions; each variant adds one kind of trouble. At the end of a case, each
row has the voiceprint of its own source, and no job was paid that the ledger does not know or report.

Time passes faster here than outside, for the program and for the sandbox alike.
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

# It has nothing but the kills, the second program, and answers that are lost.
FIRST = next(iter(VARIANTS))


@attrs.frozen
class Settings:
    """How it is tortured."""

    scale: float
    """Scaled seconds in a real one."""


def run(case: Case, settings: Settings) -> Outcome:
    """Do one case, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(torture(case, Path(folder), scale=settings.scale))


def run_all(cases: Iterable[Case], settings: Settings, workers: int) -> Iterator[Outcome]:
    """Do all cases, some of them side by side, and give each outcome as it comes."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run, case, settings) for case in cases]):
            yield done.result()


def counts(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Add up some cases."""
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total["cases"] += 1
        for column in ("starts", "kills", "requests", "jobs", "duplicates", "reported", "uncertain"):
            total[column] += getattr(outcome, column)
        total["lost"] += outcome.count("lost")
        total["wrong"] += outcome.count("wrong")
        total["broken"] += len(outcome.broken)
    return total


def complain(outcome: Outcome, settings: Settings) -> None:
    """Say what is broken, and how to see it again."""
    case = outcome.case
    print(f"\nBROKEN: {case}")
    for promise in outcome.broken[:20]:
        print(f"  {promise}")
    print(
        f"  Again: python benchmarks/torture.py {case.variant} --cases 1 --rows {case.rows} --seed {case.seed} "
        f"--scale {settings.scale:g}\n",
        flush=True,
    )


def report(outcomes: list[Outcome]) -> None:
    """Print the table, and where it was killed."""
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
        print("not met: " + ", ".join(missed))


def main() -> None:
    """Read the options, torture, report; exit with 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", help=f"{', '.join(VARIANTS)}; all by default")
    parser.add_argument(
        "--cases",
        type=int,
        default=100,
        help="of each variant that is named; by default of the first, others a quarter",
    )
    parser.add_argument("--rows", type=int, default=300, help="of each list")
    parser.add_argument("--seed", type=int, default=0, help="of the first case; the others follow")
    parser.add_argument("--workers", type=int, default=8, help="cases side by side; most of their time is waiting")
    parser.add_argument("--scale", type=float, default=40.0, help="scaled seconds in a real one")
    options = parser.parse_args()
    if unknown := set(options.variants) - VARIANTS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
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
            complain(outcome, settings)
    report(outcomes)
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(any(outcome.broken for outcome in outcomes))


if __name__ == "__main__":
    main()
