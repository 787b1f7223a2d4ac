"""The lines about the plan of a run."""

import attrs
import pytest

from pyannote_voiceprint_async import RateLimit
from pyannote_voiceprint_async.cli.plan_text import plan_lines
from pyannote_voiceprint_async.enrollment import RunPlan


def lines(plan, *, is_sandbox=False, **options):
    return list(plan_lines(plan, is_sandbox=is_sandbox, **options))


def test_a_list_that_is_done_has_nothing_to_submit():
    assert lines(RunPlan(rows=3, succeeded=3), is_dry_run=True) == [
        "Nothing was sent or changed. The list has 3 rows:",
        "      3 with a voiceprint",
        "To be submitted: 0 jobs (about 0.00 EUR).",
    ]


def test_a_run_states_the_lines_of_its_dry_run():
    plan = RunPlan(rows=5, jobs=5, seconds=0.4)
    said = lines(plan)
    assert said == ["The list has 5 rows.", "To be submitted: 5 jobs (about 0.075 EUR)."]
    assert lines(plan, is_dry_run=True) == [f"Nothing was sent or changed. {said[0]}", *said[1:]]


def test_the_cost_is_that_of_the_jobs_at_the_price_and_the_sandbox_is_free():
    plan = RunPlan(rows=200, jobs=200, seconds=60.0)
    assert "To be submitted: 200 jobs (about 3.00 EUR)." in lines(plan)
    assert "To be submitted: 200 jobs (about 4.00 EUR)." in lines(attrs.evolve(plan, price=0.02))
    assert "To be submitted: 200 jobs (free in the sandbox)." in lines(plan, is_sandbox=True)


def test_jobs_that_depend_on_unknown_outcomes_are_named_with_their_cost():
    [line] = [line for line in lines(RunPlan(rows=3, jobs=1, possible_jobs=2, unresolved=2)) if "submitted:" in line]
    assert line == (
        "To be submitted: 1 job (about 0.015 EUR), and up to 2 more (about 0.03 EUR) for rows of unknown outcome that "
        "were not accepted."
    )


def test_the_time_is_that_of_the_rate_limit():
    assert lines(RunPlan(rows=90, jobs=90, seconds=3600.0, limit=RateLimit(30, per=1200.0)))[-1] == (
        "At 30 submissions in 1200 seconds, the last one is sent after 1 h 0 min."
    )


# `new_jobs` only decides whether a question is asked.
@pytest.mark.parametrize(
    "name",
    [field.name for field in attrs.fields(RunPlan) if isinstance(field.default, int) and field.name != "new_jobs"],
)
def test_every_count_is_reported(name):
    assert any("7" in line for line in lines(RunPlan(**{name: 7})))


def test_one_row_and_one_submission_are_singular():
    assert lines(RunPlan(rows=1, jobs=1, submitted=1, seconds=8.0, limit=RateLimit(1, per=2.0))) == [
        "The list has 1 row:",
        "      1 submitted by an earlier run, awaiting a result",
        "To be submitted: 1 job (about 0.015 EUR).",
        "At 1 submission in 2 seconds, the last one is sent after 8 s.",
    ]
