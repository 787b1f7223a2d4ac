"""A run may be killed at any instant: each row gets the voiceprint of its own source, and is paid once or reported.

In full it is `nox -s torture`. What fails here by its seed is repeated there alone:
`python benchmarks/torture.py VARIANT --cases 1 --seed SEED --rows ROWS`. Single kills between two steps, and a
disk that is full, are in the table of `tests/faults`.
"""

import asyncio

import attrs
from enrollment.torture.cases import VARIANTS, draw
from enrollment.torture.harness import torture
from enrollment.torture.points import POINTS

# Slow enough for a machine that runs other tests meanwhile.
SCALE = 40.0


async def torture_all(cases, folder):
    """Do some cases side by side, because most of their time is waiting. Give those with broken promises."""
    outcomes = await asyncio.gather(
        *(torture(case, _made(folder / str(at)), scale=SCALE) for at, case in enumerate(cases))
    )
    return outcomes, {str(outcome.case): outcome.broken for outcome in outcomes if outcome.broken}


def _made(folder):
    folder.mkdir()
    return folder


async def test_killed_at_seeded_points(tmp_path):
    outcomes, broken = await torture_all([draw("lost-answers", seed, 30) for seed in range(6)], tmp_path)
    assert broken == {}
    assert sum(outcome.kills for outcome in outcomes) >= 6


async def test_killed_in_other_trouble(tmp_path):
    cases = [draw(variant, 1, 12) for variant in VARIANTS if variant != "lost-answers"]
    _, broken = await torture_all(cases, tmp_path)
    assert broken == {}


async def test_what_is_accepted_late_is_found(tmp_path):
    """Where half of the submissions are accepted long after their connection was cut, none is sent twice unreported."""
    late = attrs.evolve(draw("lost-answers", 3, 12), losses={"accept-late": 0.5}, late_seconds=30.0, kills=())
    _, broken = await torture_all([attrs.evolve(late, on_unknown="hold")], tmp_path)
    assert broken == {}


def test_points_are_at_steps_of_the_program():
    assert [name for name, point in POINTS.items() if not callable(getattr(point.owner, point.step, None))] == []
