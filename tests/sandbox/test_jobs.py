import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.sandbox import Job
from pyannote_voiceprint_async.sandbox.jobs import STATUSES, JobRegistry
from pyannote_voiceprint_async.sandbox.media import StoredMedia

START = 1_800_000_000.0
GOOD, BAD = (StoredMedia(sha256=b"x" * 32, size=1, usable=usable, stored_at=START) for usable in (True, False))


def accept(url="https://example.com", media=None, seconds=(10.0, 10.0)) -> Job:
    return JobRegistry(seconds, seed=0).accept({"url": url}, media, START)


@pytest.mark.parametrize(
    ("age", "stage"),
    [
        (0.0, ("pending", 0.0)),
        (0.9, ("pending", 0.0)),
        (1.0, ("created", 1.0)),
        (2.9, ("created", 1.0)),
        (3.0, ("running", 3.0)),
        (9.9, ("running", 3.0)),
        (10.0, ("succeeded", 10.0)),
        (1e6, ("succeeded", 10.0)),
    ],
)
def test_a_job_moves_on_with_its_age(age, stage):
    status, since = accept().stage(START + age)
    assert (status, since - START) == stage


@given(st.floats(0.0, 100.0), st.lists(st.floats(0.0, 200.0), min_size=2))
def test_a_job_never_goes_back(seconds, ages):
    job = accept(seconds=(seconds, seconds))
    seen = [STATUSES.index(job.status(START + age)) for age in sorted(ages)]
    assert seen == sorted(seen)


def test_a_job_of_no_duration_is_done_at_once():
    assert accept(seconds=(0.0, 0.0)).status(START) == "succeeded"


@pytest.mark.parametrize(
    ("url", "media", "fate"),
    [
        ("https://example.com/voice.wav", None, "succeeded"),
        ("https://example.com/unreachable/voice.wav", None, "failed"),
        ("https://unreachable.example.com/voice.wav?unreachable", None, "succeeded"),
        ("https://example.com/canceled.wav", None, "canceled"),
        ("media://voice.wav", GOOD, "succeeded"),
        ("media://unreachable/canceled.wav", GOOD, "succeeded"),
        ("media://voice.wav", BAD, "failed"),
        ("media://voice.wav", None, "failed"),
    ],
)
def test_how_a_job_ends(url, media, fate):
    assert accept(url, media).status(START + 10.0) == fate


def test_durations_are_drawn_from_the_range_and_repeat_with_the_seed():
    first, again, other = (
        [jobs.accept({"url": "https://x"}, None, START).seconds for _ in range(50)]
        for jobs in (JobRegistry((0.5, 3.0), 1), JobRegistry((0.5, 3.0), 1), JobRegistry((0.5, 3.0), 2))
    )
    assert first == again
    assert first != other
    assert all(0.5 <= seconds <= 3.0 for seconds in first)
    assert len(set(first)) == 50


def test_a_job_remembers_what_was_asked_for():
    asked = {
        "url": "https://x",
        "model": "precision-3",
        "webhook": "https://hook",
        "webhookStatusOnly": True,
    }
    job = JobRegistry((1.0, 1.0), 0).accept(asked, None, START)
    assert (job.kind, job.url, job.model) == ("voiceprint", "https://x", "precision-3")
    assert (job.webhook, job.webhook_status_only) == ("https://hook", True)


@pytest.mark.parametrize("asked", [{"url": "https://x"}, {"url": "https://x", "model": None}])
def test_what_was_not_asked_for_has_its_default(asked):
    job = JobRegistry((1.0, 1.0), 0).accept(asked, None, START)
    assert (job.model, job.webhook, job.webhook_status_only) == ("precision-2", None, False)


@given(st.integers(0, 40), st.integers(1, 10), st.sampled_from([None, "succeeded", "failed"]))
def test_pages_show_every_job_once_newest_first(count, limit, status):
    jobs = JobRegistry((1.0, 1.0), 0)
    for index in range(count):
        word = "unreachable" if index % 3 else "voice"
        jobs.accept({"url": f"https://x/{word}/{index}"}, None, START)
    seen, after, more = [], None, True
    while more:
        page, more = jobs.page(limit, after, status, START + 1.0)
        seen += page
        after = page[-1].id if page else None
    expected = [job for job in reversed(jobs.accepted) if status in {None, job.fate}]
    assert seen == expected


def test_a_page_is_not_moved_by_newer_jobs():
    jobs = JobRegistry((1.0, 1.0), 0)
    first, second, third = (jobs.accept({"url": f"https://x/{n}"}, None, START) for n in range(3))
    page, _ = jobs.page(1, None, None, START)
    jobs.accept({"url": "https://x/newer"}, None, START)
    assert page == [third]
    assert jobs.page(2, page[-1].id, None, START) == ([second, first], False)
