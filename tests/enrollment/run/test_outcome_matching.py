"""What the times of intents and of listed jobs show about submissions of unknown outcome."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment.ledger.recordings import UnknownOutcome
from pyannote_voiceprint_async.enrollment.run.outcome_matching import (
    MINIMUM_SKEW,
    ClockOffset,
    OwnJob,
    UnknownJob,
    acceptance_windows,
    match_outcomes,
    measure_offset,
)

REQUEST_LIFETIME = 90.0
NOW = 100_000.0


def match(intents, jobs, *, unresolvable_intents=(), listed_since=None):
    """Match submissions with these intents against unknown jobs with these times."""
    unresolved = [UnknownOutcome(number, *times, False) for number, times in enumerate(intents, 1)]
    return match_outcomes(
        unresolved,
        unresolvable_intents,
        [UnknownJob(f"job {number}", at) for number, at in enumerate(jobs, 1)],
        request_lifetime=REQUEST_LIFETIME,
        listed_since=listed_since,
        now=NOW,
    )


def match_one(job, **options):
    """Match one submission against one unknown job."""
    return match_outcomes(
        [UnknownOutcome(1, AT, AT, False, "precision-2")],
        [],
        [job],
        request_lifetime=REQUEST_LIFETIME,
        listed_since=None,
        now=NOW,
        **options,
    )


AT = NOW - 1000
LATEST = AT + REQUEST_LIFETIME
TABLE = [
    # name, intents, jobs, options -> not accepted, possibly accepted, adoptable
    ("no job", [(AT, AT)], [], {}, [1], [], {}),
    ("a job in the window", [(AT, AT)], [AT + 1], {}, [], [1], {1: "job 1"}),
    ("a job at the end of the window", [(AT, AT)], [LATEST], {}, [], [1], {1: "job 1"}),
    ("a job slightly before the intent", [(AT, AT)], [AT - 4], {}, [], [1], {1: "job 1"}),
    ("a job slightly before the window", [(AT, AT)], [AT - 6], {}, [], [1], {}),
    ("a job slightly after the window", [(AT, AT)], [LATEST + 6], {}, [], [1], {}),
    ("a job 30 s early", [(AT, AT)], [AT - 30], {}, [], [1], {}),
    ("a job 60 s early", [(AT, AT)], [AT - 60], {}, [], [1], {}),
    ("a job before the window by the minimum skew", [(AT, AT)], [AT - MINIMUM_SKEW], {}, [], [1], {}),
    ("a job after the window by the minimum skew", [(AT, AT)], [LATEST + MINIMUM_SKEW], {}, [], [1], {}),
    ("a job clearly before the window", [(AT, AT)], [AT - MINIMUM_SKEW - 6], {}, [1], [], {}),
    ("a job clearly after the window", [(AT, AT)], [LATEST + MINIMUM_SKEW + 6], {}, [1], [], {}),
    ("a job in the window, and an earlier one", [(AT, AT)], [AT, AT - 60], {}, [], [1], {1: "job 1"}),
    ("a job without a time", [(AT, AT)], [None], {}, [], [1], {1: "job 1"}),
    ("two jobs for one row", [(AT, AT)], [AT, AT + 1], {}, [], [1], {}),
    ("one job for two rows", [(AT, AT), (AT + 1, AT + 1)], [AT + 2], {}, [], [1, 2], {}),
    ("two separate windows", [(AT, AT), (AT + 500, AT + 500)], [AT, AT + 500], {}, [], [1, 2],
     {1: "job 1", 2: "job 2"}),
    ("a job in one of two close windows", [(AT, AT), (AT + 500, AT + 500)], [AT + 500], {}, [], [1, 2], {2: "job 1"}),
    ("a job in one of two distant windows", [(AT - 500, AT - 500), (AT + 500, AT + 500)], [AT + 500], {}, [1], [2],
     {2: "job 1"}),
    ("a job that may belong to an unresolvable intent", [(AT, AT)], [AT],
     {"unresolvable_intents": [(AT - 10, AT - 10)]}, [], [1], {}),
    ("an intent dated by clocks that differ", [(AT - 300, AT)], [AT - 299], {}, [], [1], {1: "job 1"}),
    ("an old intent, and the list reaches back to it", [(0.0, 0.0)], [], {"listed_since": -700.0}, [1], [], {}),
    ("an old intent, and the list reaches back only to its window", [(0.0, 0.0)], [], {"listed_since": -500.0}, [],
     [1], {}),
    ("an old intent, and the list ends before it", [(0.0, 0.0)], [], {"listed_since": None}, [], [1], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("intents", "jobs", "options", "not_accepted", "possibly_accepted", "adoptable"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_jobs_are_matched_by_their_times(intents, jobs, options, not_accepted, possibly_accepted, adoptable):
    found = match(intents, jobs, **options)
    assert (found.not_accepted, found.possibly_accepted, found.adoptable) == (
        not_accepted,
        possibly_accepted,
        adoptable,
    )


TIMES = st.floats(NOW - 20_000, NOW, allow_nan=False)
INTENTS = st.lists(st.tuples(TIMES, st.floats(0, 400)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=8)
JOBS = st.lists(st.one_of(st.none(), TIMES), max_size=8)


@given(INTENTS, JOBS, INTENTS)
def test_a_submission_with_a_job_in_its_window_is_never_sent_again(intents, jobs, unresolvable_intents):
    found = match(intents, jobs, unresolvable_intents=unresolvable_intents)
    windows = acceptance_windows(intents, REQUEST_LIFETIME)
    assert sorted([*found.not_accepted, *found.possibly_accepted]) == list(range(1, len(intents) + 1))
    for number in found.not_accepted:
        begins, ends = windows[number - 1]
        assert not any(at is None or begins - MINIMUM_SKEW <= at <= ends + MINIMUM_SKEW for at in jobs)


@given(INTENTS, JOBS, INTENTS)
def test_a_job_is_adoptable_only_if_it_is_in_a_single_window(intents, jobs, unresolvable_intents):
    found = match(intents, jobs, unresolvable_intents=unresolvable_intents)
    assert len(set(found.adoptable.values())) == len(found.adoptable)
    windows = acceptance_windows([*intents, *unresolvable_intents], REQUEST_LIFETIME)
    for job_id in found.adoptable.values():
        at = jobs[int(job_id.split()[1]) - 1]
        assert sum(window.contains(UnknownJob(job_id, at)) for window in windows) == 1


# Clocks that differ

HOUR = 3600.0
UNMEASURED = measure_offset([], 60.0)
OFFSETS = [
    # name, the offset, time of the job -> not accepted, possibly accepted, adoptable
    ("a job behind by the measured offset", ClockOffset(-HOUR, -HOUR + 60), AT - HOUR, [], [1], {1: "job 1"}),
    ("a job ahead by the measured offset", ClockOffset(HOUR, HOUR + 60), AT + HOUR, [], [1], {1: "job 1"}),
    ("clocks that agreed when the request was sent", ClockOffset(-HOUR, -HOUR + 60), AT, [], [1], {}),
    ("a job slightly beyond the measured offset", ClockOffset(-HOUR, -HOUR + 60), AT - HOUR - 6, [], [1], {}),
    ("a job clearly beyond the measured offset", ClockOffset(-HOUR, -HOUR + 60), AT - HOUR - 606, [1], [], {}),
    ("a job 30 s early, and no measured difference", ClockOffset(0.0, 60.0), AT - 30, [], [1], {}),
    ("a job 60 s early, and no measured difference", ClockOffset(0.0, 60.0), AT - 60, [], [1], {}),
    ("a job 11 minutes early, and no measured difference", ClockOffset(0.0, 60.0), AT - 660, [1], [], {}),
    ("no measured offset, a job an hour ahead", UNMEASURED, AT + HOUR, [], [1], {}),
    ("no measured offset, a job without its zone", UNMEASURED, AT - 14 * HOUR, [], [1], {}),
    ("no measured offset, a job at its time", UNMEASURED, AT + 1, [], [1], {1: "job 1"}),
    ("no measured offset, a job a day earlier", UNMEASURED, AT - 24 * HOUR, [1], [], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("offset", "at", "not_accepted", "possibly_accepted", "adoptable"),
    [row[1:] for row in OFFSETS],
    ids=[row[0] for row in OFFSETS],
)
def test_windows_are_widened_by_the_clock_offset(offset, at, not_accepted, possibly_accepted, adoptable):
    found = match_one(UnknownJob("job 1", at), offset=offset)
    assert (found.not_accepted, found.possibly_accepted, found.adoptable) == (
        not_accepted,
        possibly_accepted,
        adoptable,
    )


LATENCIES = st.floats(0.0, 60.0)


@given(
    ahead=st.floats(-HOUR, HOUR),
    own=st.lists(st.tuples(st.floats(-2000.0, 900.0), LATENCIES), min_size=1, max_size=5),
    delay=st.floats(0.0, REQUEST_LIFETIME),
)
def test_an_accepted_job_is_found_whatever_the_clock_offset(ahead, own, delay):
    own_jobs = [OwnJob(AT + at + ahead, AT + at + latency, "precision-2") for at, latency in own]
    found = match_one(UnknownJob("job 1", AT + delay + ahead), offset=measure_offset(own_jobs, 60.0))
    assert (found.possibly_accepted, found.adoptable) == ([1], {1: "job 1"})


@given(
    own=st.lists(st.tuples(st.floats(-2000.0, 900.0), LATENCIES), min_size=1, max_size=5),
    delay=st.floats(0.0, REQUEST_LIFETIME),
    skew=st.floats(-MINIMUM_SKEW, MINIMUM_SKEW),
)
def test_a_job_dated_by_another_clock_than_our_own_jobs_holds_its_submission(own, delay, skew):
    own_jobs = [OwnJob(AT + at, AT + at + latency, "precision-2") for at, latency in own]
    found = match_one(UnknownJob("job 1", AT + delay + skew), offset=measure_offset(own_jobs, 60.0))
    assert found.not_accepted == []
    assert [job.job_id for job in found.unknown_jobs] == ["job 1"]


def own_job(kind, model, submitted="precision-2"):
    return OwnJob(AT, AT, submitted, kind, model)


KINDS = [
    # name, type and model of the unknown job, our own jobs in the list -> whether the job may be ours
    ("a list without types and models", None, None, [], True),
    ("the submitted type and model", "voiceprint", "precision-2", [own_job("voiceprint", "precision-2")], True),
    ("another type", "diarize", "precision-2", [], False),
    ("another type in capitals", "IDENTIFY", None, [], False),
    ("an unknown type without own jobs", "embedding", None, [], True),
    ("a type that our own jobs do not have", "embedding", None, [own_job("voiceprint", None)], False),
    ("a type that our own jobs have", "identify", None, [own_job("identify", None)], True),
    ("own jobs without a type", "voiceprint", None, [own_job(None, None)], True),
    ("another model", None, "precision-3", [], False),
    ("an unknown model name without own jobs", None, "p2", [], True),
    ("the model name of our own jobs", None, "p2", [own_job(None, "p2")], True),
    ("another model name than that of our own jobs", None, "p3", [own_job(None, "p2")], False),
    ("the model name of our own jobs by another model", None, "p3",
     [own_job(None, "p2"), own_job(None, "p3", "precision-3")], False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "model", "own_jobs", "may_be_ours"), [row[1:] for row in KINDS], ids=[row[0] for row in KINDS]
)
def test_a_job_of_another_type_or_model_is_not_ours(kind, model, own_jobs, may_be_ours):
    found = match_one(UnknownJob("job 1", AT, kind, model), own_jobs=own_jobs)
    assert (found.possibly_accepted, found.not_accepted) == (([1], []) if may_be_ours else ([], [1]))
