"""What is concluded from the times of intents and of jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment.ledger import Unresolved
from pyannote_voiceprint_async.enrollment.reconcile import UnknownJob, decide, windows_of

PATIENCE = 90.0
NOW = 100_000.0


def verdict(intents, jobs, *, given_up=(), listed_since=None, now=NOW):
    unresolved = [Unresolved(number, *times, False) for number, times in enumerate(intents, 1)]
    unknown = [UnknownJob(f"job {number}", at) for number, at in enumerate(jobs, 1)]
    return decide(unresolved, given_up, unknown, patience=PATIENCE, listed_since=listed_since, now=now)


AT = NOW - 1000
TABLE = [
    # intents, jobs, options -> unsent, held, adoptable
    ("no job at all", [(AT, AT)], [], {}, [1], [], {}),
    ("a job in the window", [(AT, AT)], [AT + 1], {}, [], [1], {1: "job 1"}),
    ("a job that came late", [(AT, AT)], [AT + PATIENCE], {}, [], [1], {1: "job 1"}),
    ("a job a little early", [(AT, AT)], [AT - 4], {}, [], [1], {1: "job 1"}),
    ("a job before", [(AT, AT)], [AT - 6], {}, [1], [], {}),
    ("a job after", [(AT, AT)], [AT + PATIENCE + 6], {}, [1], [], {}),
    ("a job without a time", [(AT, AT)], [None], {}, [], [1], {1: "job 1"}),
    ("two jobs for one row", [(AT, AT)], [AT, AT + 1], {}, [], [1], {}),
    ("one job for two rows", [(AT, AT), (AT + 1, AT + 1)], [AT + 2], {}, [], [1, 2], {}),
    ("far apart", [(AT, AT), (AT + 500, AT + 500)], [AT, AT + 500], {}, [], [1, 2], {1: "job 1", 2: "job 2"}),
    ("each row has its own window", [(AT, AT), (AT + 500, AT + 500)], [AT + 500], {}, [1], [2], {2: "job 1"}),
    ("what was given up may own it", [(AT, AT)], [AT], {"given_up": [(AT - 10, AT - 10)]}, [], [1], {}),
    ("clocks that disagree widen it", [(AT - 300, AT)], [AT - 299], {}, [], [1], {1: "job 1"}),
    ("old, and the list goes back to it", [(0.0, 0.0)], [], {"listed_since": -100.0}, [1], [], {}),
    ("old, and the list ends before it", [(0.0, 0.0)], [], {"listed_since": None}, [], [1], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("intents", "jobs", "options", "unsent", "held", "adoptable"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_the_table(intents, jobs, options, unsent, held, adoptable):
    found = verdict(intents, jobs, **options)
    assert (found.unsent, found.held, found.adoptable) == (unsent, held, adoptable)


TIMES = st.floats(NOW - 20_000, NOW, allow_nan=False)
INTENTS = st.lists(st.tuples(TIMES, st.floats(0, 400)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=8)
JOBS = st.lists(st.one_of(st.none(), TIMES), max_size=8)


@given(INTENTS, JOBS, INTENTS)
def test_what_may_have_been_accepted_is_never_sent_again(intents, jobs, given_up):
    found = verdict(intents, jobs, given_up=given_up)
    windows = windows_of(intents, PATIENCE)
    assert sorted([*found.unsent, *found.held]) == list(range(1, len(intents) + 1))
    for number in found.unsent:
        assert not any(at is None or windows[number - 1].begins <= at <= windows[number - 1].ends for at in jobs)


@given(INTENTS, JOBS, INTENTS)
def test_a_job_is_adopted_by_one_who_alone_can_own_it(intents, jobs, given_up):
    found = verdict(intents, jobs, given_up=given_up)
    assert len(set(found.adoptable.values())) == len(found.adoptable)
    everybody = windows_of([*intents, *given_up], PATIENCE)
    for job_id in found.adoptable.values():
        at = jobs[int(job_id.split()[1]) - 1]
        assert sum(window.has(UnknownJob(job_id, at)) for window in everybody) == 1
