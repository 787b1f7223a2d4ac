"""The lines of a dry run."""

import attrs
import pytest

from pyannote_voiceprint_async.cli.dry_run_text import dry_run_lines
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun
from pyannote_voiceprint_async.settings import RateLimit

_LIMIT = RateLimit(100)


def lines(dry_run, *, is_sandbox=False):
    return list(dry_run_lines(dry_run, _LIMIT, is_sandbox=is_sandbox))


def test_a_list_that_is_done_has_nothing_to_submit():
    assert lines(DryRun(rows=3, succeeded=3)) == [
        "Nothing was sent or changed. The list has 3 rows:",
        "      3 have a voiceprint",
        "To be submitted: 0 jobs (about 0.00 EUR).",
    ]


def test_a_new_short_list_has_neither_states_nor_a_time():
    assert lines(DryRun(rows=5, jobs=5, seconds=0.4)) == [
        "Nothing was sent or changed. The list has 5 rows.",
        "To be submitted: 5 jobs (about 0.07 EUR).",
    ]


def test_the_price_is_that_of_the_jobs_and_the_sandbox_is_free():
    dry_run = DryRun(rows=200, jobs=200, seconds=60.0)
    assert "To be submitted: 200 jobs (about 3.00 EUR)." in lines(dry_run)
    assert "To be submitted: 200 jobs (free in the sandbox)." in lines(dry_run, is_sandbox=True)


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(DryRun) if isinstance(field.default, int)])
def test_every_count_is_reported(name):
    assert any("7" in line for line in lines(DryRun(**{name: 7})))
