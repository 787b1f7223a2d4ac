"""What is concluded from the times of intents and of jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment.ledger.recordings import UnresolvedSubmission
from pyannote_voiceprint_async.enrollment.run.outcome_matching import (
    Offset,
    OwnJob,
    UnknownJob,
    decide,
    measure,
    windows_of,
)

PATIENCE = 90.0
NOW = 100_000.0


def error_flags(intents, jobs, *, given_up=(), listed_since=None, now=NOW):
    unresolved = [UnresolvedSubmission(number, *times, False) for number, times in enumerate(intents, 1)]
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
    found = error_flags(intents, jobs, **options)
    assert (found.unsent, found.held, found.adoptable) == (unsent, held, adoptable)


TIMES = st.floats(NOW - 20_000, NOW, allow_nan=False)
INTENTS = st.lists(st.tuples(TIMES, st.floats(0, 400)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=8)
JOBS = st.lists(st.one_of(st.none(), TIMES), max_size=8)


@given(INTENTS, JOBS, INTENTS)
def test_what_may_have_been_accepted_is_never_sent_again(intents, jobs, given_up):
    found = error_flags(intents, jobs, given_up=given_up)
    windows = windows_of(intents, PATIENCE)
    assert sorted([*found.unsent, *found.held]) == list(range(1, len(intents) + 1))
    for number in found.unsent:
        assert not any(at is None or windows[number - 1].begins <= at <= windows[number - 1].ends for at in jobs)


@given(INTENTS, JOBS, INTENTS)
def test_a_job_is_adopted_by_one_who_alone_can_own_it(intents, jobs, given_up):
    found = error_flags(intents, jobs, given_up=given_up)
    assert len(set(found.adoptable.values())) == len(found.adoptable)
    everybody = windows_of([*intents, *given_up], PATIENCE)
    for job_id in found.adoptable.values():
        at = jobs[int(job_id.split()[1]) - 1]
        assert sum(window.has(UnknownJob(job_id, at)) for window in everybody) == 1


# Clocks that are apart

HOUR = 3600.0
UNMEASURED = measure([], 60.0)
CLOCKS = [
    # the offset, a job's time -> unsent, held, adoptable
    ("a job behind by the measured offset", Offset(-HOUR, -HOUR + 60), AT - HOUR, [], [1], {1: "job 1"}),
    ("a job ahead by the measured offset", Offset(HOUR, HOUR + 60), AT + HOUR, [], [1], {1: "job 1"}),
    ("clocks that were together when it was sent", Offset(-HOUR, -HOUR + 60), AT, [], [1], {}),
    ("a job beyond the measured offset", Offset(-HOUR, -HOUR + 60), AT - HOUR - 6, [1], [], {}),
    ("no offset known, the job an hour ahead", UNMEASURED, AT + HOUR, [], [1], {}),
    ("no offset known, the job without its zone", UNMEASURED, AT - 14 * HOUR, [], [1], {}),
    ("no offset known, the job at its time", UNMEASURED, AT + 1, [], [1], {1: "job 1"}),
    ("no offset known, the job a day away", UNMEASURED, AT - 24 * HOUR, [1], [], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("offset", "at", "unsent", "held", "adoptable"), [row[1:] for row in CLOCKS], ids=[row[0] for row in CLOCKS]
)
def test_windows_are_as_wide_as_the_clocks_are_apart(offset, at, unsent, held, adoptable):
    found = decide(
        [UnresolvedSubmission(1, AT, AT, False)],
        [],
        [UnknownJob("job 1", at)],
        patience=PATIENCE,
        listed_since=None,
        now=NOW,
        offset=offset,
    )
    assert (found.unsent, found.held, found.adoptable) == (unsent, held, adoptable)


LATENCIES = st.floats(0.0, 60.0)


@given(
    ahead=st.floats(-HOUR, HOUR),
    own=st.lists(st.tuples(st.floats(-2000.0, 900.0), LATENCIES), min_size=1, max_size=5),
    delay=st.floats(0.0, PATIENCE),
)
def test_however_far_the_clocks_are_apart_a_job_that_was_made_is_never_missed(ahead, own, delay):
    ours = [OwnJob(AT + at + ahead, AT + at + latency, "precision-2") for at, latency in own]
    found = decide(
        [UnresolvedSubmission(1, AT, AT, False)],
        [],
        [UnknownJob("job 1", AT + delay + ahead)],
        patience=PATIENCE,
        listed_since=None,
        now=NOW,
        offset=measure(ours, 60.0),
    )
    assert (found.held, found.adoptable) == ([1], {1: "job 1"})


def own(kind, model, submitted="precision-2"):
    return OwnJob(AT, AT, submitted, kind, model)


KINDS = [
    # the unknown job's type and model, our own jobs in the list -> may it be ours?
    ("nothing is listed", None, None, [], True),
    ("as it was submitted", "voiceprint", "precision-2", [own("voiceprint", "precision-2")], True),
    ("another type", "diarize", "precision-2", [], False),
    ("another type, in capitals", "IDENTIFY", None, [], False),
    ("a type that nothing explains", "embedding", None, [], True),
    ("a type that our jobs do not have", "embedding", None, [own("voiceprint", None)], False),
    ("a type that our jobs have, by whatever name", "identify", None, [own("identify", None)], True),
    ("our jobs have no type", "voiceprint", None, [own(None, None)], True),
    ("another model", None, "precision-3", [], False),
    ("a model by a name that nothing explains", None, "p2", [], True),
    ("a model by the name that our jobs have", None, "p2", [own(None, "p2")], True),
    ("a model by another name than our jobs have", None, "p3", [own(None, "p2")], False),
    ("a model of our other jobs", None, "p3", [own(None, "p2"), own(None, "p3", "precision-3")], False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "model", "ours", "may_be"), [row[1:] for row in KINDS], ids=[row[0] for row in KINDS])
def test_a_job_of_another_type_or_model_is_not_ours(kind, model, ours, may_be):
    found = decide(
        [UnresolvedSubmission(1, AT, AT, False, "precision-2")],
        [],
        [UnknownJob("job 1", AT, kind, model)],
        patience=PATIENCE,
        listed_since=None,
        now=NOW,
        ours=ours,
    )
    assert (found.held, found.unsent) == (([1], []) if may_be else ([], [1]))
