"""A run that is killed at any instant: each row gets the voiceprint of its own source, and is paid once or reported.

`nox -s torture` runs many more cases. To repeat one case that failed here:
`python benchmarks/torture.py VARIANT --cases 1 --seed SEED --rows ROWS`. The table in `tests/faults` has single kills
between two steps and a full disk.
"""

import asyncio

import attrs
import pytest
from enrollment.torture.cases import VARIANTS, draw
from enrollment.torture.harness import torture
from enrollment.torture.points import POINTS

# Slow enough for a machine that runs other tests at the same time.
SCALE = 40.0


async def torture_all(cases, folder):
    """Run cases side by side, and return their outcomes and the broken promises by case."""
    outcomes = await asyncio.gather(
        *(torture(case, _created(folder / str(at)), scale=SCALE) for at, case in enumerate(cases))
    )
    return outcomes, {str(outcome.case): outcome.broken for outcome in outcomes if outcome.broken}


def _created(folder):
    folder.mkdir()
    return folder


@pytest.mark.slow
async def test_no_promise_is_broken_when_runs_are_killed_at_seeded_points(tmp_path):
    outcomes, broken = await torture_all([draw("lost-answers", seed, 30) for seed in range(6)], tmp_path)
    assert broken == {}
    assert sum(outcome.kills for outcome in outcomes) >= 6


@pytest.mark.slow
async def test_no_promise_is_broken_when_further_faults_occur(tmp_path):
    cases = [draw(variant, 1, 12) for variant in VARIANTS if variant != "lost-answers"]
    _, broken = await torture_all(cases, tmp_path)
    assert broken == {}


@pytest.mark.slow
async def test_submissions_that_are_accepted_late_are_not_sent_twice(tmp_path):
    """Half of the submissions are accepted long after their connection was cut."""
    late = attrs.evolve(draw("lost-answers", 3, 12), losses={"accept-late": 0.5}, late_seconds=30.0, kills=())
    _, broken = await torture_all([attrs.evolve(late, on_unknown="hold")], tmp_path)
    assert broken == {}


def test_each_kill_point_names_an_existing_step_of_the_program():
    assert [name for name, point in POINTS.items() if not callable(getattr(point.owner, point.step, None))] == []
