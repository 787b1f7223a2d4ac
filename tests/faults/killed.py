"""Faults that end the program itself: it is killed, or its disk is full. The torture of enrollment does it."""

import tempfile
from collections import Counter
from pathlib import Path

import attrs
from enrollment.torture.cases import Case, Kill, draw
from enrollment.torture.harness import Outcome, torture
from faults.counts import Counts, census, left_since

# Slow enough for a machine that runs other tests meanwhile.
_SCALE = 40.0
_ROWS = 12


def killed(point: str, seed: int = 7) -> Case:
    """Kill a run at its fifth passage of a point. Without any other trouble, what it leaves in doubt is found out."""
    return attrs.evolve(_quiet("lost-answers", seed, _ROWS), files=0, kills=(Kill(point, 5),))


def full_disk(seed: int = 1) -> Case:
    """Let the disk get full in the middle of a run."""
    return attrs.evolve(_quiet("full-disk", seed, 20), largest_file=240_000, kills=())


def _quiet(variant: str, seed: int, rows: int) -> Case:
    return attrs.evolve(draw(variant, seed, rows), losses={}, on_unknown="hold")


async def run(case: Case) -> Counts:
    """Start a run until it has done its work, and audit it."""
    before = census()
    with tempfile.TemporaryDirectory() as folder:
        outcome = await torture(case, Path(folder), scale=_SCALE)
    return Counts(
        calls=case.rows,
        requests=outcome.requests,
        tries=outcome.requests,
        happened=Counter({_said_of(outcome): case.rows}),
        duplicates=outcome.count("paid twice"),
        losses=outcome.count("lost") + outcome.count("unreported"),
        leaks=await left_since(before),
    )


def _said_of(outcome: Outcome) -> str:
    """Say how the runs ended; a promise that was broken is an end that nobody expects."""
    ends = [*(f"killed at {point}" for point in outcome.killed_at), *outcome.errors, *outcome.broken]
    return ", ".join(["enroll: " + ", ".join(ends), "then done"])
