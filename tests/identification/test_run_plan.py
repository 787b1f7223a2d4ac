"""The plan of a run of `identify`: pure."""

from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.identification.run_plan import PlannedJob, plan_run

DAY = 24 * 3600.0


def counts(jobs, **options):
    """Return the counts that are not 0, the billed seconds, and the jobs of unknown length."""
    plan = plan_run(jobs, Options(**options), now=100 * DAY)
    names = ("succeeded", "submitted", "overdue", "failed", "expired", "unresolved", "resubmitted", "jobs",
             "possible_jobs", "uploads")  # fmt: skip
    found = {name: number for name in names if (number := getattr(plan.counts, name))}
    return found, plan.billed_seconds, plan.unknown_lengths


def test_each_state_is_counted_and_only_what_is_sent_is_billed():
    states = ["succeeded", "failed", "expired", "submitted", "uncertain", "submitting", "pending"]
    jobs = [PlannedJob(is_file=True, seconds=60.4, state=state) for state in states]
    held = dict.fromkeys(["succeeded", "failed", "expired", "submitted"], 1)
    assert counts(jobs) == (held | {"unresolved": 2, "jobs": 1, "possible_jobs": 2, "uploads": 1}, 61, 0)
    assert counts(jobs, on_unknown="resubmit") == (held | {"resubmitted": 2, "jobs": 3, "uploads": 3}, 183, 0)


def test_a_short_recording_is_billed_as_20_seconds_and_an_unknown_length_is_counted():
    jobs = [PlannedJob(is_file=False, seconds=seconds) for seconds in (1.0, 20.1, None, 0.0)]
    assert counts(jobs) == ({"jobs": 4}, 20 + 21 + 20, 1)


def test_the_result_of_a_job_of_yesterday_has_probably_expired():
    jobs = [PlannedJob(is_file=False, seconds=1.0, state="submitted", accepted_at=100 * DAY - age) for age in (DAY, 1)]
    assert counts(jobs) == ({"submitted": 2, "overdue": 1}, 0, 0)


def test_a_kept_upload_is_not_uploaded_again():
    jobs = [
        PlannedJob(is_file=True, seconds=1.0, media_url="media://a", uploaded_at=100 * DAY - age) for age in (DAY, 1)
    ]
    assert counts(jobs) == ({"jobs": 2, "uploads": 1}, 40, 0)
