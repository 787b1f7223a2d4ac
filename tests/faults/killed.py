"""Faults that end the program: it is killed, or its disk is full. They use the torture test of enrollment."""

import tempfile
from collections import Counter
from pathlib import Path

import attrs
from enrollment.torture.cases import Case, Kill, draw
from enrollment.torture.harness import Outcome, torture
from faults.counts import Counts, census, left_since

# The clock is slow enough for a machine that runs other tests at the same time.
_SCALE = 40.0
_ROWS = 12


def killed(point: str, seed: int = 7) -> Case:
    """Return a case that kills a run when it passes a point for the fifth time, and has no other trouble."""
    return attrs.evolve(_quiet("lost-answers", seed, _ROWS), files=0, kills=(Kill(point, 5),))


def full_disk(seed: int = 1) -> Case:
    """Return a case whose disk becomes full in the middle of a run."""
    return attrs.evolve(_quiet("full-disk", seed, 20), growth=13_000, kills=())


def _quiet(variant: str, seed: int, rows: int) -> Case:
    return attrs.evolve(draw(variant, seed, rows), losses={}, on_unknown="hold")


async def run(case: Case) -> Counts:
    """Restart a run until it is finished, and audit its ledger."""
    before = census()
    with tempfile.TemporaryDirectory() as folder:
        outcome = await torture(case, Path(folder), scale=_SCALE)
    return Counts(
        calls=case.rows,
        requests=outcome.requests,
        tries=outcome.requests,
        happened=Counter({_outcome_text(outcome): case.rows}),
        duplicates=outcome.count("paid twice"),
        losses=outcome.count("lost") + outcome.count("unreported"),
        leaks=await left_since(before),
    )


def _outcome_text(outcome: Outcome) -> str:
    """Return how the runs ended. A broken promise is an outcome that no fault expects."""
    ends = [*(f"killed at {point}" for point in outcome.killed_at), *outcome.errors, *outcome.broken]
    return ", ".join(["enroll: " + ", ".join(ends), "then done"])
